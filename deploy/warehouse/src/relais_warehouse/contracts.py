"""The data contracts as the sink and dbt's sources need them: which topics, which columns, of which type."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

FOLDER = Path(__file__).parents[2] / "contracts"
# Naive timestamps in UTC: DuckDB's time zones are an extension that hosts without a network lack.
_ARROW = {
    "string": pa.large_string(), "json": pa.large_string(), "int": pa.int32(), "long": pa.int64(), "double": pa.float64(),
    "boolean": pa.bool_(), "bytes": pa.large_binary(), "timestamp": pa.timestamp("us"), "decimal(18,6)": pa.decimal128(18, 6),
}  # fmt: skip
# Where a record stood, and when the brokers took it: what makes repeats tell apart and freshness measurable.
ORIGIN = (
    ("_topic", pa.large_string()), ("_partition", pa.int32()), ("_offset", pa.int64()), ("_timestamp", pa.timestamp("us")),
)  # fmt: skip


@dataclass(frozen=True)
class Contract:
    table: str
    base: str  # the topic's name without lane, carrier and version
    columns: tuple[tuple[str, str], ...]  # name and physical type; what is sealed is left out

    @property
    def arrow(self) -> pa.Schema:
        own = [pa.field(name, _ARROW[kind]) for name, kind in self.columns]
        return pa.schema([*own, *(pa.field(name, kind) for name, kind in ORIGIN)])

    def holds(self, topic: str) -> bool:
        """`sms.submit` holds `sms.submit.mercure.now.v1`; dead letters are no part of it."""
        parts = topic.removeprefix(f"{self.base}.").split(".")
        return topic.startswith(f"{self.base}.") and parts[-1].startswith("v") and len(parts) <= 3


def contracts(folder: Path = FOLDER) -> list[Contract]:
    return [_contract(yaml.safe_load(path.read_text())) for path in sorted(folder.glob("*.yaml"))]


def _contract(document: dict[str, Any]) -> Contract:
    [schema] = document["schema"]
    columns = tuple(
        (p["name"], p["physicalType"])
        for p in schema["properties"]
        if not p.get("classification", "").startswith("sealed")
    )
    return Contract(schema["name"], document["name"], columns)
