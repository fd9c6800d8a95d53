"""What tenants have used of their limits, and what was released for them, in PostgreSQL: one truth for all replicas."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from shared.clock import Clock
from shared.db.database import Database
from shared.db.migrate import EVERYONE
from shared.errors import RetryLaterError
from shared.telemetry.logs import logger

from router.domain.budgets import PACE, Admission, Use, Want, admit, keys_of
from router.domain.credit import Credit, Tenant, granted, waiting_of
from router.domain.limits import Limits, UseKey

SLOT_MS = 10_000
GRANTS_KEPT_MS = 2 * 3_600_000  # longer than anything released waits while carriers work
USES_KEPT_MS = 70 * 86_400_000  # a month and its neighbour, for those who ask what was used
PRUNE_S = 600

_KEYS = "unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS k (tenant_id, limit_id, campaign, period)"
_ORDER = "ORDER BY tenant_id, limit_id, campaign, period"
_MAKE = (
    f"INSERT INTO limit_uses (tenant_id, limit_id, campaign, period, touched_at) SELECT k.*, $5 FROM {_KEYS} "
    "ON CONFLICT DO NOTHING"
)
_LOCK = (
    "SELECT tenant_id, limit_id, campaign, period, messages, cost_micros, next_us FROM limit_uses "
    f"JOIN {_KEYS} USING (tenant_id, limit_id, campaign, period) {_ORDER} FOR UPDATE OF limit_uses"
)
_SAVE = (
    "UPDATE limit_uses u SET messages = g.messages, cost_micros = g.cost, next_us = g.next, touched_at = $8 FROM "
    "unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[]) "
    "AS g (tenant_id, limit_id, campaign, period, messages, cost, next) WHERE "
    "(u.tenant_id, u.limit_id, u.campaign, u.period) = (g.tenant_id, g.limit_id, g.campaign, g.period)"
)


class Used(NamedTuple):
    tenant: str
    limit: str
    campaign: str
    period: str
    messages: int
    cost: int


class LimitsStore:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._log = logger(part="limits")

    async def admit(self, wants: Sequence[Want], limits: Limits, now: int) -> list[Admission]:
        """As `budgets.admit`; what it uses up is durable afterwards, in all replicas."""
        keys = sorted(keys_of(wants, limits, now))
        if not keys:
            return [None] * len(wants)
        columns = [list(column) for column in zip(*keys, strict=True)]
        async with self._database.hot({key.tenant for key in keys}) as connection:
            rows = await connection.fetch(_LOCK, *columns)
            if len(rows) < len(keys):
                await connection.execute(_MAKE, *columns, now)
                rows = await connection.fetch(_LOCK, *columns)
            uses = {UseKey(*row[:4]): Use(*row[4:]) for row in map(tuple, rows)}
            found = admit(wants, limits, uses, now)
            after = [uses[key] for key in keys]
            await connection.execute(
                _SAVE, *columns, [u.messages for u in after], [u.cost for u in after], [u.next_us for u in after], now
            )
        return found

    async def used(self, tenant: str | None, since: int) -> list[Used]:
        """What was used, of periods touched since then (ms), newest first."""
        async with self._database.hot(EVERYONE if tenant is None else tenant) as connection:
            rows = await connection.fetch(
                "SELECT tenant_id, limit_id, campaign, period, messages, cost_micros FROM limit_uses "
                "WHERE period <> $1 AND touched_at >= $2 ORDER BY touched_at DESC LIMIT 1000",
                PACE, since,
            )  # fmt: skip
        return [Used(*row) for row in rows]

    async def grant(
        self, wants: Mapping[str, int], credit: Credit, queued: int, limits: Limits, kept: Mapping[str, int]
    ) -> dict[str, int]:
        """How many each tenant may release now. `queued`: messages in the topics, whose tenants the grants tell;
        `kept`: a tenant's messages in the timer table that wait for a carrier or for their turn."""
        slot = self._clock() // SLOT_MS
        async with self._database.hot(EVERYONE) as connection:
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext('router.credit'))")
            waits = await self._waiting(connection, queued, slot)
            names = {*wants, *waits, *kept}
            tenants = {
                name: Tenant(
                    waits.get(name, 0) + kept.get(name, 0), wants.get(name, 0), limits.shares.get(name, 1), limits.pace(name)
                )
                for name in names
            }  # fmt: skip
            found = granted(credit, tenants)
            given = [(name, messages) for name, messages in found.items() if messages]
            if given:
                await connection.execute(
                    "INSERT INTO credit_grants AS c (slot, tenant_id, messages) SELECT $1, * FROM unnest($2::text[], $3::bigint[]) "
                    "ON CONFLICT (slot, tenant_id) DO UPDATE SET messages = c.messages + excluded.messages",
                    slot, *(list(column) for column in zip(*given, strict=True)),
                )  # fmt: skip
        return found

    @staticmethod
    async def _waiting(connection: Any, queued: int, slot: int) -> dict[str, int]:
        if queued <= 0:
            return {}
        rows = await connection.fetch(
            "SELECT tenant_id, messages FROM credit_grants WHERE slot >= $1 ORDER BY slot DESC, tenant_id",
            slot - GRANTS_KEPT_MS // SLOT_MS,
        )
        return waiting_of(((row[0], row[1]) for row in rows), queued)

    async def run(self) -> None:
        """Forgets what nobody asks for any more."""
        while True:
            now = self._clock()
            try:
                async with self._database.hot(EVERYONE) as connection:
                    await connection.execute(
                        "DELETE FROM credit_grants WHERE slot < $1", (now - GRANTS_KEPT_MS) // SLOT_MS
                    )
                    await connection.execute(
                        "DELETE FROM limit_uses WHERE period <> 'total' AND touched_at < $1", now - USES_KEPT_MS
                    )
            except RetryLaterError as error:
                self._log.warning("old uses stay a while", error=str(error))
            await asyncio.sleep(PRUNE_S)
