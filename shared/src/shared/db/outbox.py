"""The outbox: records written in the same transaction as the rows they tell of, published afterwards, in order.

A service that uses it creates the table in a migration with `table_ddl` and runs one `OutboxPump`.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from shared.db.database import Database
from shared.db.migrate import EVERYONE
from shared.errors import RetryLaterError
from shared.kafka.publisher import Outgoing, Publisher
from shared.telemetry.logs import logger

IDLE_S = 0.5  # a safety net: writers wake the pump themselves
PACK = 500  # records a row: a row for each would cost more than all the rest of a small record's way
BATCH = 8  # rows published at once

_Packed = list[tuple[str, bytes, bytes]]  # topic, key, body
_decoder = msgspec.msgpack.Decoder(_Packed)


def table_ddl(table: str = "outbox") -> list[str]:
    """Statements for a migration. Not tenant data: rows live for milliseconds and only the pump reads them."""
    return [
        f"CREATE TABLE {table} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, records bytea NOT NULL)",
        # Sealed numbers and hashes do not compress; trying costs more than writing.
        f"ALTER TABLE {table} ALTER COLUMN records SET STORAGE EXTERNAL",
    ]


async def put(connection: Any, records: Sequence[Outgoing], table: str = "outbox") -> None:
    """Adds records, in their order, within the caller's raw asyncpg transaction (`Database.hot`)."""
    packs = [
        msgspec.msgpack.encode([(r.topic, r.key, r.value) for r in records[start : start + PACK]])
        for start in range(0, len(records), PACK)
    ]
    if packs:
        await connection.execute(f"INSERT INTO {table} (records) SELECT * FROM unnest($1::bytea[])", packs)


def unpack(records: bytes) -> list[Outgoing]:
    """What one row holds, in order."""
    return [Outgoing(*record) for record in _decoder.decode(records)]


class OutboxPump:
    """Publishes what is in the outbox, then deletes it. One replica at a time holds the advisory lock."""

    def __init__(self, database: Database, publisher: Publisher, name: str, table: str = "outbox") -> None:
        self._database, self._publisher, self._name, self._table = database, publisher, name, table
        self._wake = asyncio.Event()
        self._log = logger(outbox=name)

    def wake(self) -> None:
        """To be called after a commit that put something in."""
        self._wake.set()

    async def run(self) -> None:
        while True:
            self._wake.clear()
            try:
                while await self.pump_once() == BATCH:
                    pass
            except RetryLaterError as error:
                self._log.warning("outbox waits", error=str(error))
                await asyncio.sleep(1)
            try:
                await asyncio.wait_for(self._wake.wait(), IDLE_S)
            except TimeoutError:
                pass

    async def pump_once(self) -> int:
        """Publishes up to BATCH rows in the order of their ids; answers how many."""
        async with self._database.hot(EVERYONE) as connection:
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock(hashtext($1))", f"outbox {self._name}"):
                return 0
            rows = await connection.fetch(f"SELECT id, records FROM {self._table} ORDER BY id LIMIT $1", BATCH)
            if rows:
                await self._publisher.publish(record for row in rows for record in unpack(row["records"]))
                await connection.execute(
                    f"DELETE FROM {self._table} WHERE id = ANY($1::bigint[])", [r["id"] for r in rows]
                )
            return len(rows)
