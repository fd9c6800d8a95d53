"""Idempotency rows in PostgreSQL: one statement for a whole group of requests, and one more where some came before."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import uuid4

from shared.clock import Clock
from shared.db.database import Database
from shared.db.migrate import EVERYONE

from ingest.domain.idempotency import (
    KEPT_S,
    LEASE_MS,
    Claim,
    Decision,
    Refusal,
    Renew,
    Replay,
    Row,
    Run,
    TakeOver,
    decide,
)  # fmt: skip

Begun = Run | Replay | Refusal
Place = tuple[str, str]  # tenant, key

_INSERT = """
INSERT INTO idempotency (tenant_id, key, fingerprint, born_ms, expires_ms, owner)
SELECT a.tenant_id, a.key, a.fingerprint, $4, $5, $6
FROM unnest($1::text[], $2::text[], $3::bytea[]) AS a(tenant_id, key, fingerprint)
ORDER BY a.tenant_id, a.key
ON CONFLICT (tenant_id, key) DO NOTHING
RETURNING tenant_id, key
"""
_FOUND = """
SELECT i.tenant_id, i.key, i.fingerprint, i.born_ms, i.expires_ms, i.owner, i.answer
FROM idempotency i JOIN unnest($1::text[], $2::text[]) AS a(tenant_id, key) USING (tenant_id, key)
ORDER BY i.tenant_id, i.key
FOR UPDATE OF i
"""
_OWN = """
UPDATE idempotency i SET owner = $6, fingerprint = a.fingerprint, born_ms = a.born_ms, expires_ms = a.expires_ms, answer = NULL
FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::bigint[]) AS a(tenant_id, key, fingerprint, born_ms, expires_ms)
WHERE i.tenant_id = a.tenant_id AND i.key = a.key
"""
_FINISH = """
UPDATE idempotency i SET owner = NULL, answer = coalesce(i.answer, a.answer)
FROM unnest($1::text[], $2::text[], $3::bytea[]) AS a(tenant_id, key, answer)
WHERE i.tenant_id = a.tenant_id AND i.key = a.key AND (i.owner = $4 OR a.answer IS NOT NULL)
"""
# The server's clock: replicas need not agree on theirs.
_ALIVE = "SELECT replica_id FROM replicas WHERE lease_until > (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
_BEAT = """
INSERT INTO replicas (replica_id, lease_until)
VALUES ($1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint + $2::bigint)
ON CONFLICT (replica_id) DO UPDATE SET lease_until = EXCLUDED.lease_until
"""
_SWEEP = """
DELETE FROM idempotency WHERE (tenant_id, key) IN
    (SELECT tenant_id, key FROM idempotency WHERE expires_ms < $1 ORDER BY expires_ms LIMIT 5000 FOR UPDATE SKIP LOCKED)
"""
_BURY = "DELETE FROM replicas WHERE lease_until < $1"
REPLICA_KEPT_MS = 3_600_000


class Ended(NamedTuple):
    """A request that ran: with its answer, or None when it could not be done and may be tried again."""

    place: Place
    answer: bytes | None


class IdempotencyStore:
    """The table as this process uses it, under an id of its own."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self.replica_id = uuid4().hex

    async def begin(self, claims: list[Claim]) -> Sequence[Begun]:
        """What each may do. Of two in one group with the same key the first runs."""
        now = self._clock()
        firsts: dict[Place, Claim] = {}
        for claim in claims:
            firsts.setdefault(claim.place, claim)
        expires = now + KEPT_S * 1000
        async with self._database.hot({c.tenant_id for c in claims}) as connection:
            rows = await connection.fetch(
                _INSERT, *_columns(firsts.values()), now, expires, self.replica_id
            )  # fmt: skip
            begun: dict[Place, Begun] = {(r["tenant_id"], r["key"]): Run(now, expires) for r in rows}
            if len(begun) < len(firsts):
                known = [claim for place, claim in firsts.items() if place not in begun]
                begun |= await self._known(connection, known, now)
        return [begun[c.place] if firsts[c.place] is c else _second(begun[c.place], firsts[c.place], c) for c in claims]

    async def _known(self, connection: Any, claims: list[Claim], now: int) -> dict[Place, Begun]:
        rows = await connection.fetch(_FOUND, [c.tenant_id for c in claims], [c.key for c in claims])
        # After the rows are locked: what this waited for may have changed who lives.
        alive = frozenset(r["replica_id"] for r in await connection.fetch(_ALIVE))
        found = {
            (r["tenant_id"], r["key"]): Row(r["fingerprint"], r["born_ms"], r["expires_ms"], r["owner"], r["answer"])
            for r in rows
        }
        begun: dict[Place, Begun] = {}
        owned: list[tuple[Claim, Run]] = []
        for claim in claims:
            row = found.get(claim.place)
            # A row that is gone again was swept in this moment: the caller's next try starts anew.
            decision: Decision = decide(row, claim.fingerprint, now, alive) if row else Refusal.RUNNING
            if isinstance(decision, TakeOver | Renew):
                run = decision.run if isinstance(decision, TakeOver) else Run(now, now + KEPT_S * 1000)
                owned.append((claim, run))
                begun[claim.place] = run
            else:
                begun[claim.place] = decision
        if owned:
            await connection.execute(
                _OWN, *_columns([c for c, _ in owned]), [r.born_ms for _, r in owned], [r.expires_ms for _, r in owned],
                self.replica_id,
            )  # fmt: skip
        return begun

    async def finish(self, ended: list[Ended]) -> Sequence[None]:
        """Stores the answers; rows without one are free again. The first answer stored stays."""
        async with self._database.hot({e.place[0] for e in ended}) as connection:
            await connection.execute(
                _FINISH, [e.place[0] for e in ended], [e.place[1] for e in ended], [e.answer for e in ended], self.replica_id
            )  # fmt: skip
        return [None] * len(ended)

    async def beat(self) -> None:
        """Renews this process's lease."""
        async with self._database.hot(EVERYONE) as connection:
            # The lease is worthless after a crash of the server anyway: no need to wait for the disk.
            await connection.execute("SET LOCAL synchronous_commit = off")
            await connection.execute(_BEAT, self.replica_id, LEASE_MS)

    async def sweep(self) -> None:
        """Deletes what has expired, and processes long dead."""
        async with self._database.hot(EVERYONE) as connection:
            await connection.execute(_SWEEP, self._clock())
            await connection.execute(_BURY, self._clock() - REPLICA_KEPT_MS)


def _columns(claims: Any) -> tuple[list[str], list[str], list[bytes]]:
    items = list(claims)
    return [c.tenant_id for c in items], [c.key for c in items], [c.fingerprint for c in items]


def _second(begun: Begun, first: Claim, second: Claim) -> Begun:
    if second.fingerprint != first.fingerprint:
        return Refusal.MISMATCH if isinstance(begun, Run) else Refusal.RUNNING
    return Refusal.RUNNING if isinstance(begun, Run) else begun
