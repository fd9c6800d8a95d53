"""The outbox: records written in the same transaction as the rows they tell of, published afterwards, in order.

A service that uses it creates the table in a migration with `table_ddl` and runs one `OutboxPump`.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from shared.db.database import Database
from shared.db.migrate import EVERYONE
from shared.errors import RetryLaterError
from shared.kafka.publisher import Outgoing, Publisher
from shared.telemetry.logs import logger

IDLE_S = 0.5  # a safety net: writers wake the pump themselves
BATCH = 2000


def table_ddl(table: str = "outbox") -> list[str]:
    """Statements for a migration. Not tenant data: rows live for milliseconds and only the pump reads them."""
    return [
        f"CREATE TABLE {table} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, topic text NOT NULL, "
        "key bytea NOT NULL, body bytea NOT NULL)"
    ]


async def put(connection: Any, records: Sequence[Outgoing], table: str = "outbox") -> None:
    """Adds records within the caller's raw asyncpg transaction (`Database.hot`)."""
    if records:
        await connection.execute(
            f"INSERT INTO {table} (topic, key, body) SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[])",
            [r.topic for r in records], [r.key for r in records], [r.value for r in records],
        )  # fmt: skip


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
        """Publishes up to BATCH records in the order of their ids; answers how many."""
        async with self._database.hot(EVERYONE) as connection:
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock(hashtext($1))", f"outbox {self._name}"):
                return 0
            rows = await connection.fetch(f"SELECT id, topic, key, body FROM {self._table} ORDER BY id LIMIT $1", BATCH)
            if rows:
                await self._publisher.publish([Outgoing(r["topic"], bytes(r["key"]), bytes(r["body"])) for r in rows])
                await connection.execute(
                    f"DELETE FROM {self._table} WHERE id = ANY($1::bigint[])", [r["id"] for r in rows]
                )
            return len(rows)
