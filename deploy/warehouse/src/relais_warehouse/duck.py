"""The Iceberg tables as DuckDB sees them: views over the files of the newest snapshot, so that no extension is needed."""

from collections.abc import Sequence
from pathlib import Path

import duckdb
from pyiceberg.catalog import Catalog

from relais_warehouse.contracts import Contract
from relais_warehouse.sink import NAMESPACE, table_for

_DUCK = {
    "string": "VARCHAR", "json": "VARCHAR", "int": "INTEGER", "long": "BIGINT", "double": "DOUBLE", "boolean": "BOOLEAN",
    "bytes": "BLOB", "timestamp": "TIMESTAMP", "decimal(18,6)": "DECIMAL(18,6)",
}  # fmt: skip
_ORIGIN = {"_topic": "VARCHAR", "_partition": "INTEGER", "_offset": "BIGINT", "_timestamp": "TIMESTAMP"}


def make_views(database: Path, catalog: Catalog, wanted: Sequence[Contract]) -> None:
    """Schema `raw`, a view a table; an empty one where nothing has landed. Columns are the contract's, always."""
    with duckdb.connect(str(database)) as duck:
        duck.execute(f"CREATE SCHEMA IF NOT EXISTS {NAMESPACE}")
        for contract in wanted:
            files = [
                task.file.file_path.removeprefix("file://") for task in table_for(catalog, contract).scan().plan_files()
            ]
            kinds = {name: _DUCK[kind] for name, kind in contract.columns} | _ORIGIN
            columns = ", ".join(f'CAST("{name}" AS {kind}) AS "{name}"' for name, kind in kinds.items())
            if files:
                listed = ", ".join("'" + path.replace("'", "''") + "'" for path in files)
                source = f"SELECT {columns} FROM read_parquet([{listed}], union_by_name = true)"
            else:
                nothing = ", ".join(f'CAST(NULL AS {kind}) AS "{name}"' for name, kind in kinds.items())
                source = f"SELECT {nothing} WHERE false"
            duck.execute(f'CREATE OR REPLACE VIEW {NAMESPACE}."{contract.table}" AS {source}')
