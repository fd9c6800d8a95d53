"""The table of parts that wait for the rest of their message.

A part is in the table before the carrier hears that we have it. Rows of a message are marked as told after the brokers
have it; a process that dies between leaves them to be told again, under the same event_id.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from shared.contracts.fields import SYSTEM_TENANT
from shared.db.database import Database

from smpp_connector.domain.long_messages import KEPT_MS, Known, Place, place

MOST_TOLD_AT_ONCE = 200  # messages

Reference = tuple[str, int, int]
"""peer, reference, total"""


class NewPart(Struct, frozen=True, gc=False):
    """`number` and `content` are sealed; `peer` stands for handset and receiver. `shift` are the national tables."""

    peer: str
    reference: int
    total: int
    part: int
    digest: str
    stops: bool
    number: bytes
    recipient: str
    content: bytes
    encoding: str | None
    shift: tuple[int, int]


class Group(Struct, frozen=True, gc=False):
    """What has come of one message, parts in order."""

    peer: str
    reference: int
    total: int
    generation: int
    number: bytes
    recipient: str
    since_ms: int
    parts: tuple[tuple[int, str, bytes, str | None, tuple[int, int]], ...]
    """Number, digest, sealed content, encoding, shift."""


_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 7))"

_KNOWN = """
SELECT p.peer, p.reference, p.total, p.generation, p.part, p.digest, p.due_at, p.told_at IS NOT NULL AS told
FROM inbound_parts p JOIN (
    SELECT q.peer, q.reference, q.total, max(q.generation) AS generation
    FROM inbound_parts q JOIN unnest($2::text[], $3::int[], $4::smallint[]) AS u (peer, reference, total)
      ON q.carrier = $1 AND q.peer = u.peer AND q.reference = u.reference AND q.total = u.total
    GROUP BY 1, 2, 3) g
  ON p.carrier = $1 AND p.peer = g.peer AND p.reference = g.reference AND p.total = g.total AND p.generation = g.generation
"""

_INSERT = """
INSERT INTO inbound_parts (carrier, peer, reference, total, generation, part, tenant_id, digest, number, recipient,
                           content, encoding, shift_single, shift_locking, came_at, due_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
"""

_ALL_DUE = """
UPDATE inbound_parts SET due_at = $6
WHERE carrier = $1 AND peer = $2 AND reference = $3 AND total = $4 AND generation = $5 AND told_at IS NULL AND due_at <> $6
"""

_DUE = """
SELECT p.peer, p.reference, p.total, p.generation, p.part, p.digest, p.number, p.recipient, p.content, p.encoding,
       p.shift_single, p.shift_locking, p.came_at
FROM inbound_parts p JOIN (
    SELECT DISTINCT peer, reference, total, generation FROM inbound_parts
    WHERE carrier = $1 AND told_at IS NULL AND due_at <= $2 LIMIT $3) g USING (peer, reference, total, generation)
WHERE p.carrier = $1 AND p.told_at IS NULL ORDER BY p.came_at, p.part
"""

_NEXT_DUE = "SELECT min(due_at) FROM inbound_parts WHERE carrier = $1 AND told_at IS NULL"

_TOLD = """
UPDATE inbound_parts SET told_at = $7, content = '', number = ''
WHERE carrier = $1 AND peer = $2 AND reference = $3 AND total = $4 AND generation = $5 AND part = ANY ($6::smallint[])
"""

_FORGET = "DELETE FROM inbound_parts WHERE carrier = $1 AND told_at < $2"


class InboundParts:
    """The parts of one carrier. RetryLaterError from any method: whether it took effect is not known, and doing it
    again does no harm."""

    def __init__(self, database: Database, carrier: str) -> None:
        self._database, self._carrier = database, carrier

    async def keep(self, parts: Sequence[NewPart], now_ms: int) -> None:
        """After this they are durable."""
        carrier = self._carrier
        async with self._database.hot(SYSTEM_TENANT) as connection:
            # Processes of one carrier take turns: none may miss the part that another is just writing.
            await connection.execute(_LOCK, carrier)
            known = await self._known(connection, parts)
            for new in parts:
                key = (new.peer, new.reference, new.total)
                found = place(known[key], new.part, new.digest, new.total, now_ms, stops=new.stops)
                if found is None:
                    continue
                if found.ended is not None:
                    await connection.execute(_ALL_DUE, carrier, *key, found.ended, now_ms)
                    known[key] = []
                await connection.execute(
                    _INSERT, carrier, *key, found.generation, new.part, SYSTEM_TENANT, new.digest, new.number, new.recipient,
                    new.content, new.encoding, *new.shift, now_ms, found.due,
                )  # fmt: skip
                await connection.execute(_ALL_DUE, carrier, *key, found.generation, found.due)
                known[key] = _with(known[key], new, found)

    async def _known(self, connection: Any, parts: Sequence[NewPart]) -> defaultdict[Reference, list[Known]]:
        keys = sorted({(new.peer, new.reference, new.total) for new in parts})
        rows = await connection.fetch(_KNOWN, self._carrier, *(list(column) for column in zip(*keys, strict=True)))
        known: defaultdict[Reference, list[Known]] = defaultdict(list)
        for peer, reference, total, *rest in rows:
            known[peer, reference, total].append(Known(*rest))
        return known

    async def due(self, now_ms: int) -> tuple[list[Group], int | None]:
        """Messages whose time to be told has come, whole or not; and when the next one's comes, None if none waits."""
        async with self._database.hot(SYSTEM_TENANT) as connection:
            rows = await connection.fetch(_DUE, self._carrier, now_ms, MOST_TOLD_AT_ONCE)
            following = await connection.fetchval(_NEXT_DUE, self._carrier)
        groups: dict[tuple[Any, ...], list[Any]] = {}
        for row in rows:
            groups.setdefault(tuple(row[:4]), []).append(row)
        return [_group(key, of) for key, of in groups.items()], following

    async def told(self, groups: Sequence[Group], now_ms: int) -> None:
        """The brokers have them. What they held is wiped; that they came is remembered for a while."""
        async with self._database.hot(SYSTEM_TENANT) as connection:
            await connection.executemany(
                _TOLD,
                [
                    (self._carrier, g.peer, g.reference, g.total, g.generation, [part[0] for part in g.parts], now_ms)
                    for g in groups
                ],
            )
            await connection.execute(_FORGET, self._carrier, now_ms - KEPT_MS)


def _with(known: list[Known], new: NewPart, found: Place) -> list[Known]:
    """The rows after the part was written: one `due` for all that wait."""
    others = [Known(k.generation, k.part, k.digest, k.due if k.told else found.due, k.told) for k in known]
    return [*others, Known(found.generation, new.part, new.digest, found.due, told=False)]


def _group(key: tuple[Any, ...], rows: Sequence[Any]) -> Group:
    peer, reference, total, generation = key
    parts = sorted(
        (r["part"], r["digest"], bytes(r["content"]), r["encoding"], (r["shift_single"], r["shift_locking"]))
        for r in rows
    )
    first = rows[0]
    return Group(
        peer, reference, total, generation, bytes(first["number"]), first["recipient"], first["came_at"], tuple(parts)
    )
