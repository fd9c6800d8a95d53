"""The claims table: one row `(message_id, attempt)` before any octet of that message goes to a carrier.

Every statement is a batch. What a statement does not return, someone else has decided; `look` tells how. Planner
switches keep a statement on the primary key while the table's statistics are still those of an empty one.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from shared.db.database import Database, passing_troubles
from shared.db.migrate import EVERYONE, TENANT_SETTING

from smpp_connector.domain.claim_rules import Claim, Outcome
from smpp_connector.domain.settlement import Settlement, pack_about, pack_answers

Key = tuple[str, int]

_BEGIN = (
    f"SELECT set_config('{TENANT_SETTING}', $1, true), set_config('enable_seqscan', 'off', true), "
    "set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)"
)

# Only under a lease that is in force: one that was taken over makes no new claims.
_ARM = """
INSERT INTO claims (message_id, attempt, tenant_id, carrier, slot, epoch, token, about)
SELECT u.m, u.a, u.t, $5, $6, $7, $8, u.b FROM unnest($1::uuid[], $2::int[], $3::text[], $4::bytea[]) AS u (m, a, t, b)
WHERE EXISTS (SELECT FROM bind_leases l WHERE l.carrier = $5 AND l.slot = $6 AND l.epoch = $7
              AND l.lease_until > clock_timestamp())
ON CONFLICT DO NOTHING RETURNING message_id, attempt
"""

_REARM = """
UPDATE claims c SET outcome = NULL, cause = NULL, settled_at = NULL, answer = NULL, slot = $4, epoch = $5, token = $6,
                    claimed_at = clock_timestamp()
FROM unnest($1::uuid[], $2::int[]) AS u (m, a)
WHERE c.message_id = u.m AND c.attempt = u.a AND c.carrier = $3 AND c.outcome = 'free'
  AND EXISTS (SELECT FROM bind_leases l WHERE l.carrier = $3 AND l.slot = $4 AND l.epoch = $5
              AND l.lease_until > clock_timestamp())
RETURNING c.message_id, c.attempt
"""

# Only what is still open under the epoch that wrote it: an answer after the claim was declared unknown changes nothing.
_RECORD = """
UPDATE claims c SET outcome = u.o, cause = u.c, settled_at = u.s, answer = u.w
FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::bigint[], $6::bytea[], $7::smallint[], $8::bigint[])
     AS u (m, a, o, c, s, w, slot, epoch)
WHERE c.message_id = u.m AND c.attempt = u.a AND c.carrier = $9 AND c.outcome IS NULL
  AND c.slot = u.slot AND c.epoch = u.epoch
RETURNING c.message_id, c.attempt
"""

_SETTLE = """
INSERT INTO claims AS c (message_id, attempt, tenant_id, carrier, slot, epoch, token, about, outcome, cause, settled_at)
SELECT u.m, u.a, u.t, $8, 0, 0, 0, u.b, u.o, u.c, u.s
FROM unnest($1::uuid[], $2::int[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::bigint[])
     AS u (m, a, t, b, o, c, s)
ON CONFLICT (message_id, attempt) DO UPDATE
   SET outcome = EXCLUDED.outcome, cause = EXCLUDED.cause, settled_at = EXCLUDED.settled_at
 WHERE c.outcome = 'free' AND c.carrier = EXCLUDED.carrier
RETURNING message_id, attempt
"""

_ALIVE = "coalesce(l.epoch = c.epoch AND l.lease_until > clock_timestamp(), false)"
_COLUMNS = (
    "c.message_id, c.attempt, c.carrier, c.slot, c.epoch, c.token, c.outcome, c.cause, c.settled_at, c.about, c.answer"
)

_LOOK = f"""
SELECT {_COLUMNS}, {_ALIVE} AS owner_alive
FROM unnest($1::uuid[], $2::int[]) AS u (m, a)
JOIN claims c ON c.message_id = u.m AND c.attempt = u.a
LEFT JOIN bind_leases l ON l.carrier = c.carrier AND l.slot = c.slot
"""

_DECLARE_UNKNOWN = f"""
UPDATE claims c SET outcome = 'unknown', cause = $4, settled_at = $5
FROM unnest($1::uuid[], $2::int[]) AS u (m, a)
WHERE c.message_id = u.m AND c.attempt = u.a AND c.carrier = $3 AND c.outcome IS NULL
  AND NOT coalesce((SELECT {_ALIVE} FROM bind_leases l WHERE l.carrier = c.carrier AND l.slot = c.slot), false)
RETURNING c.message_id, c.attempt
"""

_SWEEP = f"""
UPDATE claims c SET outcome = 'unknown', cause = $2, settled_at = $3
WHERE c.carrier = $1 AND c.outcome IS NULL
  AND c.claimed_at >= (SELECT min(open_since) FROM bind_leases WHERE carrier = $1)
  AND NOT coalesce((SELECT {_ALIVE} FROM bind_leases l WHERE l.carrier = c.carrier AND l.slot = c.slot), false)
RETURNING {_COLUMNS}
"""

_UNKNOWN_BEFORE = """
SELECT DISTINCT u.m, u.a FROM unnest($1::uuid[], $2::int[]) AS u (m, a)
JOIN claims c ON c.message_id = u.m AND c.attempt < u.a WHERE c.outcome = 'unknown'
"""

_FORGET = """
DELETE FROM claims WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM claims WHERE carrier = $1 AND claimed_at < clock_timestamp() - make_interval(days => $2)
    AND outcome IS NOT NULL LIMIT 5000))
"""


class Wanted:
    """A claim to make."""

    __slots__ = ("about", "key", "tenant_id")

    def __init__(self, key: Key, tenant_id: str, about: bytes) -> None:
        self.key, self.tenant_id, self.about = key, tenant_id, about


class Recorded:
    """An answer to record against an open claim of ours."""

    __slots__ = ("epoch", "settlement")

    def __init__(self, settlement: Settlement, epoch: int) -> None:
        self.settlement, self.epoch = settlement, epoch


class Claims:
    """The claims of one carrier. RetryLaterError from any method: whether it took effect is not known."""

    def __init__(self, database: Database, carrier: str) -> None:
        self._database, self._carrier = database, carrier

    @asynccontextmanager
    async def _hot(self, tenants: Iterable[str]) -> AsyncIterator[Any]:
        names = sorted(set(tenants))
        if any("," in name or name == EVERYONE for name in names):
            raise ValueError("a tenant's id has no comma and is not everyone")
        async with self._transaction(",".join(names)) as connection:
            yield connection

    @asynccontextmanager
    async def _transaction(self, tenants: str) -> AsyncIterator[Any]:
        async with passing_troubles(), self._database.pool.acquire() as connection, connection.transaction():
            await connection.execute(_BEGIN, tenants)
            yield connection

    async def arm(self, new: Sequence[Wanted], free: Sequence[Wanted], slot: int, epoch: int, token: int) -> set[Key]:
        """Claims `new` ones, and `free` ones again. What is returned may be written under this slot and epoch, and
        nothing else may. `token` is unlike that of any other call. No key twice in one call."""
        async with self._hot(w.tenant_id for w in (*new, *free)) as connection:
            mine: set[Key] = set()
            if new:
                rows = await connection.fetch(
                    _ARM,
                    [w.key[0] for w in new],
                    [w.key[1] for w in new],
                    [w.tenant_id for w in new],
                    [w.about for w in new],
                    self._carrier,
                    slot,
                    epoch,
                    token,
                )
                mine |= {w.key for w in new} if len(rows) == len(new) else _keys(rows)
            if free:
                rows = await connection.fetch(
                    _REARM, [w.key[0] for w in free], [w.key[1] for w in free], self._carrier, slot, epoch, token
                )
                mine |= _keys(rows)
        return mine

    async def record(self, answers: Sequence[Recorded], unwritten: Sequence[Settlement]) -> set[Key]:
        """Records `answers` of written messages, and the end of messages that were never written. What is returned is
        in force; the rest someone else has decided. No key twice in one call."""
        settlements = [*(a.settlement for a in answers), *unwritten]
        async with self._hot(s.about.tenant_id for s in settlements) as connection:
            done: set[Key] = set()
            if answers:
                of = [a.settlement for a in answers]
                rows = await connection.fetch(
                    _RECORD,
                    [s.message_id for s in of],
                    [s.attempt for s in of],
                    [s.outcome for s in of],
                    [s.cause for s in of],
                    [s.at for s in of],
                    [pack_answers(s.answers) for s in of],
                    [s.slot for s in of],
                    [a.epoch for a in answers],
                    self._carrier,
                )
                done |= {(s.message_id, s.attempt) for s in of} if len(rows) == len(of) else _keys(rows)
            if unwritten:
                # In one order everywhere, so that two processes never wait for each other.
                ordered = sorted(unwritten, key=lambda s: (s.message_id, s.attempt))
                rows = await connection.fetch(
                    _SETTLE,
                    [s.message_id for s in ordered],
                    [s.attempt for s in ordered],
                    [s.about.tenant_id for s in ordered],
                    [pack_about(s.about) for s in ordered],
                    [s.outcome for s in ordered],
                    [s.cause for s in ordered],
                    [s.at for s in ordered],
                    self._carrier,
                )
                done |= _keys(rows)
        return done

    async def look(self, keys: Sequence[Key], tenants: Iterable[str]) -> dict[Key, Claim]:
        """The rows that are there."""
        async with self._hot(tenants) as connection:
            rows = await connection.fetch(_LOOK, [k[0] for k in keys], [k[1] for k in keys])
        found = [_claim(row, owner_alive=row["owner_alive"]) for row in rows]
        return {(c.message_id, c.attempt): c for c in found}

    async def declare_unknown(self, keys: Sequence[Key], tenants: Iterable[str], cause: str, now_ms: int) -> set[Key]:
        """Open claims whose owner is gone become unknown, checked once more where it is decided."""
        async with self._hot(tenants) as connection:
            rows = await connection.fetch(
                _DECLARE_UNKNOWN, [k[0] for k in keys], [k[1] for k in keys], self._carrier, cause, now_ms
            )
        return _keys(rows)

    async def sweep(self, cause: str, now_ms: int) -> list[Claim]:
        """Every open claim of this carrier whose owner is gone becomes unknown; answers those."""
        async with passing_troubles(), self._database.pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT set_config($1, $2, true)", TENANT_SETTING, EVERYONE)
            rows = await connection.fetch(_SWEEP, self._carrier, cause, now_ms)
        return [_claim(row, owner_alive=False, outcome=Outcome.UNKNOWN, cause=cause, settled_at=now_ms) for row in rows]

    async def unknown_before(self, keys: Sequence[Key], tenants: Iterable[str]) -> set[Key]:
        """Those of which an earlier attempt, over any carrier, is unknown."""
        async with self._hot(tenants) as connection:
            rows = await connection.fetch(_UNKNOWN_BEFORE, [k[0] for k in keys], [k[1] for k in keys])
        return {(str(row[0]), row[1]) for row in rows}

    async def forget_old(self, days: int) -> int:
        """Deletes some settled claims past their use; answers how many."""
        async with passing_troubles(), self._database.pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT set_config($1, $2, true)", TENANT_SETTING, EVERYONE)
            status = await connection.execute(_FORGET, self._carrier, days)
        return int(status.split()[-1])


def _keys(rows: Iterable[Any]) -> set[Key]:
    return {(str(row[0]), row[1]) for row in rows}


def _claim(row: Any, **known: Any) -> Claim:
    values = {
        "message_id": str(row["message_id"]),
        "attempt": row["attempt"],
        "carrier": row["carrier"],
        "slot": row["slot"],
        "epoch": row["epoch"],
        "token": row["token"],
        "outcome": row["outcome"],
        "cause": row["cause"],
        "settled_at": row["settled_at"],
        "about": bytes(row["about"]),
        "answer": None if row["answer"] is None else bytes(row["answer"]),
    }
    return Claim(**{**values, **known})
