"""The jobs beside the stream: partitions, waiting receipts, messages that nobody speaks of any more, what is too old."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from asyncpg import DuplicateTableError
from shared.clock import Clock
from shared.contracts.events import InboundReceived
from shared.contracts.fields import SYSTEM_TENANT
from shared.crypto.vault import day_of
from shared.db.database import Database
from shared.db.migrate import EVERYONE
from shared.errors import RetryLaterError
from shared.telemetry.logs import logger
from shared.telemetry.metrics import Metrics

from dlr_processor.adapters import callback_queue, retries, waiting
from dlr_processor.adapters.ledger import tune_probes
from dlr_processor.domain.fold import Lost
from dlr_processor.domain.lost import AGES_MS, NO_ANSWER, NO_ANSWER_MS, NO_RECEIPT, NO_RECEIPT_MS, born_bound
from dlr_processor.domain.retry_policy import KEPT_MS
from dlr_processor.handlers import LedgerHandler

PARTITIONED = ("messages", "parts", "rare_states", "callbacks_made")
DAYS_AHEAD = 3
DAYS_BEHIND = 1  # messages born shortly before the first start
WAIT_MS = 24 * 3_600_000
LATE_OWNER_MS = 3_600_000  # how long a STOP whose sender nobody knows looks for a submission on its way
SLICE = 2000


class Housekeeping:
    def __init__(
        self, database: Database, handler: LedgerHandler, metrics: Metrics, now_ms: Clock, *, retention_days: int
    ) -> None:
        self._database, self._handler, self._now, self._retention_days = database, handler, now_ms, retention_days
        self._unmatched = metrics.gauge("relais_receipts_unmatched")
        self._odd = metrics.counter("relais_receipts_odd")
        self._log = logger(part="housekeeping")

    async def open(self) -> None:
        """The partitions must be there before the first record is written."""
        while True:
            try:
                return await self.partitions()
            except RetryLaterError as error:
                self._log.warning("partitions wait", error=str(error))
                await asyncio.sleep(1)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._every(2, self.waiting))
            group.create_task(self._every(30, self.late_owners))
            group.create_task(self._every(600, self.partitions))
            group.create_task(self._every(600, self.lost))
            group.create_task(self._every(900, self.old))

    async def _every(self, seconds: float, job: Callable[[], Awaitable[Any]]) -> None:
        while True:
            try:
                await job()
            except RetryLaterError as error:
                self._log.warning("a job waits", job=job.__name__, error=str(error))
            except Exception:
                self._log.exception("a job failed", job=job.__name__)
            await asyncio.sleep(seconds)

    async def partitions(self) -> None:
        """Makes the coming days' partitions, drops those past their retention. Each in a short transaction."""
        today = day_of(self._now())
        for table in PARTITIONED:
            for day in range(today - DAYS_BEHIND, today + DAYS_AHEAD + 1):
                await self._ddl("SELECT make_partition($1, $2)", table, day)
            days = await self._database.pool.fetch("SELECT partition_days($1)", table)
            for row in days:
                if row[0] < today - self._retention_days:
                    await self._ddl("SELECT drop_partition($1, $2)", table, row[0])
                    self._log.info("partition dropped", table=table, day=row[0])

    async def _ddl(self, statement: str, table: str, day: int) -> None:
        # Two replicas that start together both look, from their caches, before one has made it: then it is there.
        with contextlib.suppress(DuplicateTableError):
            async with self._database.hot(EVERYONE) as connection:
                # It locks the whole table for a moment: never let the stream queue behind it for long.
                await connection.execute("SET LOCAL lock_timeout = '2s'")
                await connection.fetchval(statement, table, day)

    async def waiting(self) -> None:
        while await self._handler.recheck_waiting() == 1000:
            pass
        async with self._database.hot(EVERYONE) as connection:
            await tune_probes(connection)
            gone = await waiting.give_up(connection, self._now() - WAIT_MS)
            self._unmatched.set(await waiting.count(connection))
        for (carrier, kind), number in gone.items():
            self._odd.add(number, {"kind": kind})
            self._log.error("receipts matched no submission within a day", carrier=carrier, kind=kind, receipts=number)

    async def late_owners(self) -> None:
        """Opt-outs that came while the submission they answer was still on its way to the ledger."""
        async with self._database.hot(EVERYONE) as connection:
            rows = await connection.fetch(
                "SELECT event_id, carrier, number, number_hash, recipient, text, keyword, received_at FROM inbound i "
                "WHERE tenant_id = $1 AND received_at > $2 AND keyword IN ('stop', 'start') AND NOT EXISTS "
                "(SELECT 1 FROM inbound o WHERE o.event_id = i.event_id AND o.tenant_id <> $1) LIMIT 1000",
                SYSTEM_TENANT, self._now() - LATE_OWNER_MS,
            )  # fmt: skip
        if rows:
            await self._handler.inbound(
                [
                    InboundReceived(
                        event_id=r["event_id"], tenant_id=SYSTEM_TENANT, occurred_at=r["received_at"], carrier=r["carrier"],
                        number=r["number"], number_hash=r["number_hash"], recipient=r["recipient"], text=r["text"],
                        keyword=r["keyword"],
                    )
                    for r in rows
                ]
            )  # fmt: skip

    async def lost(self) -> None:
        """Gives up messages without a final word: those that no carrier answered for, and those without a receipt."""
        now = self._now()
        async with self._database.hot(EVERYONE) as connection:
            await tune_probes(connection)
            rows = await connection.fetch(
                "SELECT DISTINCT m.message_id, m.tenant_id FROM parts p JOIN messages m USING (message_id, day) "
                "WHERE p.outcome = 'unknown' AND p.submitted_at < $1 AND m.status = 'submitted' "
                "AND m.updated_at < $1 LIMIT $2",
                now - NO_ANSWER_MS, SLICE,
            )  # fmt: skip
        if rows:
            await self._handler.lose([Lost(str(r[0]), r[1], now, NO_ANSWER) for r in rows])
        for age in AGES_MS:
            while await self._lost_at(age, now):
                pass

    async def _lost_at(self, age: int, now: int) -> bool:
        """Looks at one slice of the messages that have reached this age; true while there are more."""
        name = f"lost at {age}"
        upto = born_bound(now - age)
        async with self._database.hot(EVERYONE) as connection:
            await tune_probes(connection)
            start = await connection.fetchval("SELECT upto::text FROM sweeps WHERE name = $1", name)
            start = start or born_bound(now - age - 86_400_000)
            rows = await connection.fetch(
                "SELECT message_id, tenant_id, status, updated_at FROM messages "
                "WHERE day BETWEEN $1 AND $2 AND message_id > $3 AND message_id < $4 ORDER BY message_id LIMIT $5",
                int(start[:8], 16) // 86_400, int(upto[:8], 16) // 86_400, start, upto, SLICE,
            )  # fmt: skip
        found = [
            Lost(str(r[0]), r[1], now, NO_RECEIPT) for r in rows if r[2] == "submitted" and r[3] < now - NO_RECEIPT_MS
        ]
        if found:
            await self._handler.lose(found)
        reached = str(rows[-1][0]) if len(rows) == SLICE else max(start, upto)
        async with self._database.hot(EVERYONE) as connection:
            await connection.execute(
                "INSERT INTO sweeps (name, upto) VALUES ($1, $2) "
                "ON CONFLICT (name) DO UPDATE SET upto = greatest(sweeps.upto, excluded.upto)",
                name, reached,
            )  # fmt: skip
        return len(rows) == SLICE

    async def old(self) -> None:
        """Deletes what lies outside the partitions and has had its time."""
        now = self._now()
        before = now - self._retention_days * 86_400_000
        async with self._database.hot(EVERYONE) as connection:
            await connection.execute("DELETE FROM inbound WHERE received_at < $1", before)
            for table in PARTITIONED:  # late and impossible births, in the default partition
                await connection.execute(f"DELETE FROM {table} WHERE day < $1", day_of(before))
            await retries.let_go_before(connection, now - KEPT_MS)
            gone = await callback_queue.give_up(connection, now)
        if gone:
            self._log.error("callbacks given up after their whole schedule", callbacks=gone)
