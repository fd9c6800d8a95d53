"""The messages that wait, as rows: kept in batches, taken when due, several replicas side by side."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from shared.contracts.topics import Lane
from shared.db.database import Database
from shared.db.migrate import EVERYONE


class Kept(NamedTuple):
    """A row. `body` is the record as it came (Confluent wire format); times in ms UTC."""

    message_id: str
    tenant_id: str
    lane: str
    kind: str
    attempt: int
    due_at: int
    since: int
    reason: str
    contact_id: str
    campaign_id: str | None
    body: bytes


class Waiters(NamedTuple):
    """How many wait in each lane; of marketing those that wait for a carrier; and by tenant those and the ones that
    wait for their turn under a limit."""

    lanes: dict[str, int]
    for_a_carrier: int
    by_tenant: dict[str, int]


CARRIER_REASONS = ["no_healthy_carrier", "carrier_busy"]
_WAITING = (
    "SELECT lane, tenant_id, count(*), count(*) FILTER (WHERE reason = ANY($1::text[])), "
    "count(*) FILTER (WHERE reason = 'rate_limited') FROM deferred GROUP BY lane, tenant_id"
)
_COLUMNS = "message_id, tenant_id, lane, kind, attempt, due_at, since, reason, contact_id, campaign_id, body"
_TYPES = "$1::uuid[], $2::text[], $3::text[], $4::text[], $5::int[], $6::bigint[], $7::bigint[], $8::text[], $9::text[], $10::text[], $11::bytea[]"
# A later attempt's row replaces an earlier one, which has been sent already when its return comes back.
_KEEP = (
    f"INSERT INTO deferred ({_COLUMNS}) SELECT * FROM unnest({_TYPES}) "
    "ON CONFLICT (message_id) DO UPDATE SET (kind, attempt, due_at, since, reason, body) = "
    "(excluded.kind, excluded.attempt, excluded.due_at, excluded.since, excluded.reason, excluded.body) "
    "WHERE excluded.attempt > deferred.attempt"
)
_DUE = (
    f"SELECT {_COLUMNS} FROM deferred WHERE lane = $1 AND due_at <= $2 "
    "ORDER BY due_at, message_id LIMIT $3 FOR UPDATE SKIP LOCKED"
)
_AGAIN = (
    "UPDATE deferred d SET due_at = g.due_at, reason = g.reason "
    "FROM unnest($1::uuid[], $2::bigint[], $3::text[]) AS g (message_id, due_at, reason) WHERE d.message_id = g.message_id"
)
_MARK_CONTACTS = "UPDATE deferred SET due_at = $2 WHERE contact_id = ANY($1::text[]) AND lane = 'bulk' AND due_at > $2"
_MARK_CAMPAIGNS = (
    "UPDATE deferred d SET due_at = $3 FROM unnest($1::text[], $2::text[]) AS g (tenant_id, campaign_id) "
    "WHERE d.tenant_id = g.tenant_id AND d.campaign_id = g.campaign_id AND d.due_at > $3 AND ($4::text IS NULL OR d.reason = $4)"
)


class DueRows:
    """Due rows, locked until the transaction ends."""

    def __init__(self, connection: Any, rows: Sequence[Kept]) -> None:
        self._connection, self.rows = connection, rows

    async def done(self, message_ids: Sequence[str]) -> None:
        if message_ids:
            await self._connection.execute("DELETE FROM deferred WHERE message_id = ANY($1::uuid[])", message_ids)

    async def again(self, waits: Sequence[tuple[str, int, str]]) -> None:
        """(message id, due at, reason) of those that wait on."""
        if waits:
            await self._connection.execute(_AGAIN, *([w[i] for w in waits] for i in range(3)))


class DeferredStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, rows: Sequence[Kept]) -> None:
        """Durable afterwards. A row that is there already stays as it is."""
        last = {row.message_id: row for row in rows}  # one statement may touch a row once
        async with self._database.hot({row.tenant_id for row in rows}) as connection:
            await connection.execute(_KEEP, *(list(column) for column in zip(*last.values(), strict=True)))

    @asynccontextmanager
    async def due(self, lane: Lane, now: int, limit: int) -> AsyncIterator[DueRows]:
        """Rows that are due, earliest first, in one transaction: what `done` and `again` say holds when it ends well."""
        async with self._database.hot(EVERYONE) as connection:
            found = await connection.fetch(_DUE, str(lane), now, limit)
            yield DueRows(connection, [Kept(str(row[0]), *tuple(row)[1:]) for row in found])

    async def mark_contacts(self, contact_ids: Sequence[str], now: int) -> None:
        """What waits for these numbers' marketing is looked at now."""
        async with self._database.hot(EVERYONE) as connection:
            await connection.execute(_MARK_CONTACTS, contact_ids, now)

    async def mark_campaigns(
        self, campaigns: Iterable[tuple[str, str]], now: int, *, reason: str | None = None
    ) -> None:
        """What waits of these campaigns (tenant, campaign), for this reason or for any, is looked at now."""
        names = sorted(set(campaigns))
        if not names:
            return
        async with self._database.hot(EVERYONE) as connection:
            await connection.execute(_MARK_CAMPAIGNS, [n[0] for n in names], [n[1] for n in names], now, reason)

    async def waiting(self) -> Waiters:
        async with self._database.hot(EVERYONE) as connection:
            rows = await connection.fetch(_WAITING, CARRIER_REASONS)
        found = Waiters({}, 0, {})
        lanes, by_tenant, for_a_carrier = found.lanes, found.by_tenant, 0
        for lane, tenant, count, carrier, turn in rows:
            lanes[lane] = lanes.get(lane, 0) + count
            if lane == Lane.BULK:
                for_a_carrier += carrier
                by_tenant[tenant] = by_tenant.get(tenant, 0) + carrier + turn
        return found._replace(for_a_carrier=for_a_carrier)
