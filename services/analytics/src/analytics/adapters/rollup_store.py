"""Counters and message states in PostgreSQL: a whole batch in one transaction, a few statements each."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from shared.db import outbox
from shared.db.database import Database
from shared.kafka.publisher import Outgoing
from shared.links.codes import recipient_of

from analytics.domain.contribution import Change, Counts, Minute, Place, State


class Counted(NamedTuple):
    """How far a partition is counted: the next offset, and the newest record's timestamp."""

    next_offset: int
    newest: int


_PLACE = ", ".join(Place._fields)
_HOUR = _PLACE.replace("minute", "hour")
_STATE = f"message_id, version, {_PLACE}, submitted, parts, cost_micros, attempt, submitted_at"
ERASED_REF = "\x01"  # in place of the name of somebody who asked to be forgotten; no name holds a control character
_TEXTS = len(Place._fields) - 2
_PLACE_TYPES = ["text[]", "bigint[]", *["text[]"] * _TEXTS]


def _given(types: Sequence[str]) -> str:
    return ", ".join(f"${number}::{kind}" for number, kind in enumerate(types, 1))


_SAVE_STATES = (
    f"INSERT INTO message_state ({_STATE}, contact_ref, recipient) SELECT * FROM unnest("
    + _given(
        ["uuid[]", "int[]", *_PLACE_TYPES, "bool[]", "int[]", "bigint[]", "int[]", "bigint[]", "text[]", "bigint[]"]
    )
    + f") ON CONFLICT (message_id) DO UPDATE SET ({_STATE}, contact_ref) = ("
    + ", ".join(f"excluded.{name.strip()}" for name in _STATE.split(","))
    # A name once known stays, and one that was taken away does not come back.
    + ", CASE WHEN message_state.contact_ref = '' THEN excluded.contact_ref ELSE message_state.contact_ref END"
    + ") WHERE excluded.version > message_state.version"
)
_ADD = (
    f"INSERT INTO rollups ({_HOUR}, messages, submitted, parts, cost_micros, changed_at) SELECT *, $17::bigint FROM unnest("
    + _given([*_PLACE_TYPES, *["bigint[]"] * 4])
    + f") ON CONFLICT ({_HOUR}) DO UPDATE SET messages = rollups.messages + excluded.messages, "
    "submitted = rollups.submitted + excluded.submitted, parts = rollups.parts + excluded.parts, "
    "cost_micros = rollups.cost_micros + excluded.cost_micros, changed_at = excluded.changed_at"
)
_LOCK_OFFSETS = (
    "SELECT o.topic, o.partition, o.next_offset, o.newest FROM offsets o "
    "JOIN unnest($1::text[], $2::int[]) AS g (topic, partition) USING (topic, partition) "
    "ORDER BY o.topic, o.partition FOR UPDATE OF o"
)
_ADD_MINUTES = (
    "INSERT INTO campaign_minutes AS m SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::bigint[]) "
    "ON CONFLICT (tenant_id, campaign_id, minute, run, outcome) DO UPDATE SET messages = m.messages + excluded.messages"
)


class Counting:
    """One batch's transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def counted(self, partitions: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Counted]:
        """How far these partitions are counted. Whoever else counts one of them waits until this batch is done."""
        places = sorted(partitions)
        columns = [place[0] for place in places], [place[1] for place in places]
        await self._connection.execute(
            "INSERT INTO offsets SELECT *, 0, 0 FROM unnest($1::text[], $2::int[]) ON CONFLICT DO NOTHING", *columns
        )
        rows = await self._connection.fetch(_LOCK_OFFSETS, *columns)
        return {(row[0], row[1]): Counted(row[2], row[3]) for row in rows}

    async def states(self, message_ids: Iterable[str]) -> dict[str, State]:
        rows = await self._connection.fetch(
            f"SELECT {_STATE} FROM message_state WHERE message_id = ANY($1::uuid[])", list(message_ids)
        )
        return {state.message_id: state for state in map(_state_of, rows)}

    async def save(
        self, found: Sequence[Change], sums: Mapping[Place, Counts], course: Mapping[Minute, int], reached: Mapping[tuple[str, int], Counted],
        records: Sequence[Outgoing], now: int,
    ) -> None:  # fmt: skip
        """States, counters, offsets and the records that tell of them, together or not at all."""
        execute = self._connection.execute
        if found:
            states = sorted((change.after for change in found), key=lambda state: state.message_id)
            rows = [
                (s.message_id, s.version, *s.place, bool(s.counts.submitted), s.counts.parts, s.counts.cost, s.attempt, s.submitted_at,
                 s.contact_ref, recipient_of(s.message_id))
                for s in states
            ]  # fmt: skip
            await execute(_SAVE_STATES, *(list(column) for column in zip(*rows, strict=True)))
        if sums:
            # Sorted by `moves`: two replicas that add to the same counters lock them in the same order.
            lines = [(*place, *counts) for place, counts in sums.items()]
            await execute(_ADD, *(list(column) for column in zip(*lines, strict=True)), now)
        if course:
            points = [(*minute, messages) for minute, messages in course.items()]
            await execute(_ADD_MINUTES, *(list(column) for column in zip(*points, strict=True)))
        await execute(
            "UPDATE offsets o SET next_offset = g.next_offset, newest = g.newest "
            "FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[]) AS g (topic, partition, next_offset, newest) "
            "WHERE o.topic = g.topic AND o.partition = g.partition",
            [place[0] for place in reached], [place[1] for place in reached],
            [counted.next_offset for counted in reached.values()], [counted.newest for counted in reached.values()],
        )  # fmt: skip
        await self.put(records)

    async def put(self, records: Sequence[Outgoing]) -> None:
        await outbox.put(self._connection, records)


class RollupStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def counting(self, tenants: Iterable[str]) -> AsyncIterator[Counting]:
        async with self._database.hot(tenants) as connection:
            yield Counting(connection)


def _state_of(row: Any) -> State:
    values = tuple(row)
    places = len(Place._fields)
    submitted, parts, cost, attempt, submitted_at = values[2 + places :]
    counts = Counts(1, int(submitted), parts, cost)
    return State(str(values[0]), values[1], Place(*values[2 : 2 + places]), counts, attempt, submitted_at)
