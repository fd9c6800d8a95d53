"""Topics into Iceberg tables, each record once: the offsets reached are a property of the snapshot that holds the rows.

So a kill between two appends loses and doubles nothing, and nothing else keeps offsets. One writer at a time: a second
one's append is refused (`commit.retry.num-retries=0`), because a retry would add its stale rows to the newer snapshot.
"""

import json
import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import fastavro
import pyarrow as pa
from aiokafka import AIOKafkaConsumer, TopicPartition
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table

from relais_warehouse.contracts import Contract

NAMESPACE = "raw"
OFFSETS = "relais.offsets"
BATCH = 10_000
_FRAME = struct.Struct(">bI")
_PROPERTIES = {
    "commit.retry.num-retries": "0",
    "commit.manifest-merge.enabled": "true",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
}
Places = dict[TopicPartition, int]


def local_catalog(home: Path) -> Catalog:
    """Tables and their catalogue in one folder; PostgreSQL takes SQLite's place by pyiceberg's own settings."""
    (home / "tables").mkdir(parents=True, exist_ok=True)
    return load_catalog("relais", type="sql", uri=f"sqlite:///{home}/catalog.db", warehouse=f"file://{home}/tables")


def table_for(catalog: Catalog, contract: Contract) -> Table:
    """The contract's table, made or widened: a contract's new fields become columns."""
    catalog.create_namespace_if_not_exists(NAMESPACE)
    name = f"{NAMESPACE}.{contract.table}"
    try:
        table = catalog.load_table(name)
    except NoSuchTableError:
        return catalog.create_table(name, contract.arrow, properties=_PROPERTIES)
    if set(contract.arrow.names) - set(table.schema().column_names):
        with table.update_schema() as update:
            update.union_by_name(contract.arrow)
        table = catalog.load_table(name)
    return table


def offsets_of(table: Table) -> dict[str, int]:
    """`topic:partition` to the next offset, as the newest snapshot that has rows says."""
    snapshot = table.current_snapshot()
    while snapshot is not None:
        found = snapshot.summary.additional_properties.get(OFFSETS) if snapshot.summary else None
        if found is not None:
            return dict(json.loads(found))
        snapshot = table.snapshot_by_id(snapshot.parent_snapshot_id) if snapshot.parent_snapshot_id else None
    return {}


class Decoder:
    """Avro in the Confluent wire format, by each record's own schema; schemas are asked of the registry once."""

    def __init__(self, registry_url: str) -> None:
        self._registry, self._schemas = registry_url.rstrip("/"), dict[int, Any]()

    def decode(self, value: bytes) -> dict[str, Any]:
        magic, schema_id = _FRAME.unpack_from(value)
        if magic != 0:
            raise ValueError("not the Confluent wire format")
        schema = self._schemas.get(schema_id)
        if schema is None:
            with urlopen(f"{self._registry}/schemas/ids/{schema_id}", timeout=30) as answer:  # noqa: S310 - an operator's setting
                schema = fastavro.parse_schema(json.loads(json.load(answer)["schema"]))
            self._schemas[schema_id] = schema
        return dict(fastavro.schemaless_reader(BytesIO(memoryview(value)[5:]), schema))  # type: ignore[arg-type]


def rows_of(contract: Contract, records: Iterable[Any], decoder: Decoder) -> tuple[list[dict[str, Any]], int]:
    """Rows, and how many records were no events and were left to their dead-letter topics."""
    rows, bad = [], 0
    for record in records:
        if record.value is None:
            continue  # a tombstone
        try:
            event = decoder.decode(record.value)
        except (ValueError, EOFError, struct.error, IndexError):
            bad += 1
            continue
        row = {name: _value(event.get(name), kind) for name, kind in contract.columns}
        row["_topic"], row["_partition"], row["_offset"] = record.topic, record.partition, record.offset
        row["_timestamp"] = datetime.fromtimestamp(record.timestamp / 1000, UTC).replace(tzinfo=None)
        rows.append(row)
    return rows, bad


def _value(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "timestamp":
        return value.astimezone(UTC).replace(tzinfo=None)
    return json.dumps(value, default=_plain) if kind == "json" else value


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    return str(value) if isinstance(value, Decimal) else value.hex()


async def land(bootstrap: str, decoder: Decoder, catalog: Catalog, wanted: Sequence[Contract]) -> dict[str, int]:
    """Everything that is on the topics now and not yet in the tables; rows added, by table."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest", max_partition_fetch_bytes=4_194_304
    )  # fmt: skip
    await consumer.start()
    try:
        cluster = await consumer._client.fetch_all_metadata()
        return {
            contract.table: await _land_one(consumer, decoder, table_for(catalog, contract), contract, cluster)
            for contract in wanted
        }
    finally:
        await consumer.stop()


async def _land_one(
    consumer: AIOKafkaConsumer, decoder: Decoder, table: Table, contract: Contract, cluster: Any
) -> int:
    places = [
        TopicPartition(topic, partition)
        for topic in sorted(cluster.topics())
        if contract.holds(topic)
        for partition in sorted(cluster.partitions_for_topic(topic))
    ]
    if not places:
        return 0
    consumer.assign(places)
    known, first, ends = offsets_of(table), await consumer.beginning_offsets(places), await consumer.end_offsets(places)
    reached: Places = {}
    for place in places:
        reached[place] = max(known.get(f"{place.topic}:{place.partition}", 0), first[place])
        consumer.seek(place, reached[place])
    added, batch = 0, list[Any]()
    while any(reached[place] < ends[place] for place in places):
        for place, records in (await consumer.getmany(timeout_ms=500, max_records=BATCH)).items():
            batch += records
            reached[place] = records[-1].offset + 1
        for place in places:  # what compaction or a transaction's marker left before the end
            reached[place] = max(reached[place], await consumer.position(place))
        if len(batch) >= BATCH:
            added += _append(table, contract, batch, decoder, reached)
            batch = []
    if batch:
        added += _append(table, contract, batch, decoder, reached)
    return added


def _append(table: Table, contract: Contract, records: Sequence[Any], decoder: Decoder, reached: Places) -> int:
    rows, _ = rows_of(contract, records, decoder)
    offsets = {f"{place.topic}:{place.partition}": offset for place, offset in sorted(reached.items())}
    table.append(pa.Table.from_pylist(rows, schema=contract.arrow), snapshot_properties={OFFSETS: json.dumps(offsets)})
    return len(rows)
