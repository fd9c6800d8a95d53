"""The claims table: one row `(message_id, attempt)` before any octet of that message goes to a carrier.

Every statement is a batch. What a statement does not return, someone else has decided; `look` tells how. Planner
switches keep a statement on the primary key while the table's statistics are still those of an empty one.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg
from shared.db.database import passing_troubles
from shared.db.migrate import EVERYONE, TENANT_SETTING

from smpp_connector.domain.claim_rules import Claim, Outcome
from smpp_connector.domain.settlement import Settlement, pack_about, pack_answers

Key = tuple[str, int]

# Of the sessions that make claims. They serve every tenant's messages, as background workers do, so a batch is one
# statement and one round trip; a row's tenant is its message's.
_SESSION = {
    TENANT_SETTING: EVERYONE,
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
_CONNECTIONS = 4

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
UPDATE claims c SET outcome = $4, cause = $5, settled_at = $6, answer = u.w
FROM unnest($1::uuid[], $2::int[], $3::bytea[]) AS u (m, a, w)
WHERE c.message_id = u.m AND c.attempt = u.a AND c.carrier = $7 AND c.outcome IS NULL
  AND c.slot = $8 AND c.epoch = $9
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
RETURNING 1
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

    _pool: asyncpg.Pool

    def __init__(self, url: str, carrier: str, service: str) -> None:
        self._url, self._carrier, self._service = url, carrier, service

    async def open(self) -> None:
        async with passing_troubles():
            self._pool = await asyncpg.create_pool(
                self._url, min_size=2, max_size=_CONNECTIONS, command_timeout=30, reset=_keep_session,
                server_settings={**_SESSION, "application_name": f"{self._service} claims"},
            )  # fmt: skip

    async def close(self) -> None:
        await self._pool.close()

    async def _fetch(self, statement: str, *values: Any) -> Any:
        async with passing_troubles():
            return await self._pool.fetch(statement, *values)

    async def arm(self, new: Sequence[Wanted], free: Sequence[Wanted], slot: int, epoch: int, token: int) -> set[Key]:
        """Claims `new` ones, and `free` ones again. What is returned may be written under this slot and epoch, and
        nothing else may. `token` is unlike that of any other call. No key twice in one call."""
        mine: set[Key] = set()
        if new:
            rows = await self._fetch(
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
            rows = await self._fetch(
                _REARM, [w.key[0] for w in free], [w.key[1] for w in free], self._carrier, slot, epoch, token
            )
            mine |= _keys(rows)
        return mine

    async def record(self, answers: Sequence[Recorded], unwritten: Sequence[Settlement]) -> set[Key]:
        """Records `answers` of written messages, and the end of messages that were never written. What is returned is
        in force; the rest someone else has decided. No key twice in one call."""
        done: set[Key] = set()
        alike: dict[tuple[Any, ...], list[Settlement]] = {}  # nearly always one: an array's element costs 1 us
        for a in answers:
            s = a.settlement
            alike.setdefault((s.outcome, s.cause, s.at, s.slot, a.epoch), []).append(s)
        for (outcome, cause, at, slot, epoch), of in alike.items():
            rows = await self._fetch(
                _RECORD,
                [s.message_id for s in of],
                [s.attempt for s in of],
                [pack_answers(s.answers) for s in of],
                outcome,
                cause,
                at,
                self._carrier,
                slot,
                epoch,
            )
            done |= {(s.message_id, s.attempt) for s in of} if len(rows) == len(of) else _keys(rows)
        if unwritten:
            # In one order everywhere, so that two processes never wait for each other.
            ordered = sorted(unwritten, key=lambda s: (s.message_id, s.attempt))
            rows = await self._fetch(
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

    async def look(self, keys: Sequence[Key]) -> dict[Key, Claim]:
        """The rows that are there."""
        rows = await self._fetch(_LOOK, [k[0] for k in keys], [k[1] for k in keys])
        found = [_claim(row, owner_alive=row["owner_alive"]) for row in rows]
        return {(c.message_id, c.attempt): c for c in found}

    async def declare_unknown(self, keys: Sequence[Key], cause: str, now_ms: int) -> set[Key]:
        """Open claims whose owner is gone become unknown, checked once more where it is decided."""
        rows = await self._fetch(
            _DECLARE_UNKNOWN, [k[0] for k in keys], [k[1] for k in keys], self._carrier, cause, now_ms
        )
        return _keys(rows)

    async def sweep(self, cause: str, now_ms: int) -> list[Claim]:
        """Every open claim of this carrier whose owner is gone becomes unknown; answers those."""
        rows = await self._fetch(_SWEEP, self._carrier, cause, now_ms)
        return [_claim(row, owner_alive=False, outcome=Outcome.UNKNOWN, cause=cause, settled_at=now_ms) for row in rows]

    async def unknown_before(self, keys: Sequence[Key]) -> set[Key]:
        """Those of which an earlier attempt, over any carrier, is unknown."""
        return _keys(await self._fetch(_UNKNOWN_BEFORE, [k[0] for k in keys], [k[1] for k in keys]))

    async def forget_old(self, days: int) -> int:
        """Deletes some settled claims past their use; answers how many."""
        return len(await self._fetch(_FORGET, self._carrier, days))


async def _keep_session(_: Any) -> None:
    """Nothing to undo: no statement here changes its session."""


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
