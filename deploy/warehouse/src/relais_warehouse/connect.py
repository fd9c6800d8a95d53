"""What Kafka Connect's Iceberg sink needs beforehand: its tables. And what it landed, counted.

The sink would make decimals (38,4), so that tables are made by the contracts. Nested fields are left to it: it widens
the tables by the records' own schemas.
"""

import os
from collections.abc import Iterable
from typing import Any

from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DecimalType,
    DoubleType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
)

from relais_warehouse.contracts import Contract
from relais_warehouse.sink import NAMESPACE

CATALOG = "iceberg"  # the sink's name for its catalogue, where nothing else is said
_TYPES: dict[str, Any] = {
    "string": StringType(), "int": IntegerType(), "long": LongType(), "double": DoubleType(), "boolean": BooleanType(),
    "bytes": BinaryType(), "timestamp": TimestamptzType(), "decimal(18,6)": DecimalType(18, 6),
}  # fmt: skip


def catalog() -> Catalog:
    """RELAIS_ICEBERG_SQL_URL is the catalogue's database as SQLAlchemy names it, RELAIS_ICEBERG_WAREHOUSE the tables' root."""
    try:
        url, warehouse = os.environ["RELAIS_ICEBERG_SQL_URL"], os.environ["RELAIS_ICEBERG_WAREHOUSE"]
    except KeyError as error:
        raise SystemExit(f"set {error.args[0]}: see the README's `More than one machine`") from None
    return load_catalog(CATALOG, type="sql", uri=url, warehouse=warehouse)


def make_tables(found: Catalog, wanted: Iterable[Contract]) -> list[str]:
    """One a contract, where there is none yet."""
    found.create_namespace_if_not_exists(NAMESPACE)
    made = []
    for contract in wanted:
        fields = [
            NestedField(number, name, _TYPES[kind], required=False)
            for number, (name, kind) in enumerate((c for c in contract.columns if c[1] in _TYPES), 1)
        ]
        found.create_table_if_not_exists(f"{NAMESPACE}.{contract.table}", Schema(*fields))
        made.append(contract.table)
    return made


def landed(found: Catalog, table: str) -> dict[str, int]:
    """Rows, and how many events they are: equal where each was landed once."""
    rows = found.load_table(f"{NAMESPACE}.{table}").scan(selected_fields=("event_id",)).to_arrow()
    return {"rows": rows.num_rows, "events": len(set(rows["event_id"].to_pylist()))}
