"""The ledger's hot statements: one for each table and batch, whatever the batch's size.

Each transaction must have called `tune` first: the plans below are right at every size of the tables, while a planner
that has not yet seen a new partition's statistics would read the whole partition instead.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

import msgspec
from asyncpg import UniqueViolationError
from shared.contracts.events import ReceiptReceived

from dlr_processor.domain.fold import Change, Extent
from dlr_processor.domain.ledger import Message, Part, PartKey, day_of_message
from dlr_processor.domain.match import Submission
from dlr_processor.domain.states import RANK, RARE, Reached

_TYPES = {
    "message_id": "uuid", "day": "int", "tenant_id": "text", "version": "int", "status": "text", "reason": "text",
    "final": "bool", "states": "text", "purpose": "text", "contact_id": "text", "contact_ref": "text",
    "number_hash": "text", "campaign_id": "text", "run": "text", "variant": "text", "segment": "text",
    "country": "text", "network": "text", "carrier": "text", "attempt": "int", "parts": "int",
    "cost_micros": "bigint", "currency": "text", "client_ref": "text", "callback_url": "text", "sender": "text",
    "decision": "text", "rules": "text", "drop_detail": "text", "deferred_until": "bigint", "retried": "int", "accepted_at": "bigint",
    "updated_at": "bigint",
}  # fmt: skip
MESSAGE_COLUMNS = Message.__struct_fields__
assert tuple(_TYPES) == MESSAGE_COLUMNS
_PLACE_OF_STATES = MESSAGE_COLUMNS.index("states")
# An id comes as text: a UUID object would be made of each, and text of that.
_LOAD_MESSAGES = (
    "SELECT message_id::text, "
    + ", ".join(MESSAGE_COLUMNS[1:])
    + " FROM messages WHERE day = $1 AND message_id = ANY($2::uuid[]) "
    "ORDER BY messages.message_id FOR UPDATE"
)
_ADD_MESSAGES = (
    f"INSERT INTO messages ({', '.join(MESSAGE_COLUMNS)}) SELECT "
    + ", ".join(f"{c}::jsonb" if c == "states" else c for c in MESSAGE_COLUMNS)
    + " FROM unnest("
    + ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(_TYPES.values(), 1))
    + f") AS given ({', '.join(MESSAGE_COLUMNS)})"
)

_PROGRESS = ("version", "status", "reason", "final", "states", "accepted_at", "updated_at")
_ATTEMPT = (*_PROGRESS, "network", "carrier", "attempt", "parts", "cost_micros", "currency", "sender", "decision")
_ALL = tuple(column for column in MESSAGE_COLUMNS if column not in ("message_id", "day", "tenant_id"))


def _update(columns: Sequence[str]) -> str:
    """For rows of one day that this transaction has locked; the version check is there all the same."""
    given = ("message_id", *columns)
    return (
        "UPDATE messages m SET "
        + ", ".join(f"{c} = g.{c}::jsonb" if c == "states" else f"{c} = g.{c}" for c in columns)
        + " FROM unnest("
        + ", ".join(f"${n}::{_TYPES[c]}[]" for n, c in enumerate(given, 2))
        + f") AS g ({', '.join(given)}) WHERE m.day = $1 AND m.message_id = ANY($2) "
        "AND m.message_id = g.message_id AND m.version = g.version - 1"
    )


_UPDATES = {
    extent: (columns, _update(columns), attrgetter("message_id", *columns))
    for extent, columns in ((Extent.PROGRESS, _PROGRESS), (Extent.ATTEMPT, _ATTEMPT), (Extent.ALL, _ALL))
}

_PART_TYPES = {
    "attempt": "int", "part": "int", "carrier": "text", "outcome": "text", "outcome_reason": "text",
    "carrier_message_id": "text", "command_status": "bigint", "price_micros": "bigint", "currency": "text",
    "sender": "text", "network": "text", "number_hash": "text", "decision": "text", "submitted_at": "bigint",
    "status": "text", "reason": "text", "error_code": "text", "done_at": "bigint",
}  # fmt: skip
PART_COLUMNS = Part.__struct_fields__
assert tuple(_PART_TYPES) == PART_COLUMNS
_LOAD_PARTS = (
    "SELECT message_id::text, "
    + ", ".join(PART_COLUMNS)
    + " FROM parts WHERE day = $1 AND message_id = ANY($2::uuid[])"
)
_WRITTEN = ("message_id", "day", "tenant_id", *PART_COLUMNS)
_SAVE_PARTS = (
    f"INSERT INTO parts ({', '.join(_WRITTEN)}) SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], "
    + ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(_PART_TYPES.values(), 4))
    + ") ON CONFLICT (message_id, attempt, part, day) DO UPDATE SET "
    + ", ".join(f"{c} = excluded.{c}" for c in PART_COLUMNS if c not in ("attempt", "part"))
)

_RECEIPT = ("attempt", "part", "carrier_message_id", "status", "reason", "error_code", "done_at")
_RECEIVE_PARTS = (
    "UPDATE parts p SET "
    + ", ".join(f"{c} = g.{c}" for c in _RECEIPT[2:])
    + " FROM unnest($2::uuid[], "
    + ", ".join(f"${n}::{_PART_TYPES[c]}[]" for n, c in enumerate(_RECEIPT, 3))
    + f") AS g (message_id, {', '.join(_RECEIPT)}) "
    "WHERE p.day = $1 AND p.message_id = ANY($2) "
    "AND p.message_id = g.message_id AND p.attempt = g.attempt AND p.part = g.part"
)

_FIND = (
    "SELECT g.n, p.message_id::text, p.tenant_id, p.attempt, p.part, p.submitted_at "
    "FROM unnest($1::int[], $2::text[], $3::text[]) AS g (n, id, carrier) "
    "JOIN parts p ON p.carrier_message_id = g.id AND p.carrier = g.carrier WHERE p.carrier_message_id = ANY($2)"
)
_FIND_RECENT = _FIND + " AND p.day >= $4"
_FIND_UNKNOWN = (
    "SELECT g.n, p.message_id::text, p.tenant_id, p.attempt, p.part, p.submitted_at "
    "FROM unnest($1::int[], $2::text[], $3::text[], $4::text[]) AS g (n, number_hash, carrier, sender) "
    "JOIN parts p ON p.number_hash = g.number_hash AND p.carrier = g.carrier AND p.sender = g.sender "
    "WHERE p.number_hash = ANY($2) AND p.outcome = 'unknown' AND p.carrier_message_id IS NULL "
    "AND (p.status IS NULL OR p.status IN ('enroute', 'accepted', 'unknown'))"
)

_states = msgspec.json.Decoder(list[Reached])
_encode = msgspec.json.Encoder().encode
_values: Callable[[Message], tuple[Any, ...]] = attrgetter(*MESSAGE_COLUMNS)
_receipt_values: Callable[[Part], tuple[Any, ...]] = attrgetter(*_RECEIPT)
_part_values: Callable[[Part], tuple[Any, ...]] = attrgetter(*PART_COLUMNS)


class StaleError(Exception):
    """Another process changed one of the rows since they were read: read them again."""


async def tune(connection: Any) -> None:
    """For statements that name their rows by arrays: `= ANY` walks an index, and a hash joins what it found with the
    values given. A day's new partition has no statistics, and without them the planner takes it for two rows."""
    await connection.execute(
        "SELECT set_config('enable_seqscan', 'off', true), set_config('enable_nestloop', 'off', true), "
        "set_config('enable_mergejoin', 'off', true), set_config('plan_cache_mode', 'force_custom_plan', true)"
    )


async def tune_probes(connection: Any) -> None:
    """For statements that look up one row for each of a few others."""
    await connection.execute(
        "SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), "
        "set_config('enable_mergejoin', 'off', true), set_config('plan_cache_mode', 'force_custom_plan', true)"
    )


def by_day(message_ids: Iterable[str]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    for message_id in message_ids:
        found[day_of_message(message_id)].append(message_id)
    return found


async def load_messages(connection: Any, message_ids: Iterable[str]) -> dict[str, Message]:
    """The rows, locked until the transaction ends, in an order that all processes share."""
    found = {}
    for day, ids in sorted(by_day(message_ids).items()):
        for row in await connection.fetch(_LOAD_MESSAGES, day, ids):
            values = list(row)
            values[_PLACE_OF_STATES] = _states.decode(row[_PLACE_OF_STATES])
            found[values[0]] = Message(*values)  # the columns are the fields
    return found


async def prepared_since(connection: Any, message_ids: Iterable[str]) -> dict[str, int]:
    """When those of these messages whose preparation is known were accepted."""
    found = {}
    for day, ids in by_day(message_ids).items():
        rows = await connection.fetch(
            "SELECT message_id::text, accepted_at FROM messages WHERE day = $1 AND message_id = ANY($2::uuid[]) "
            "AND rules IS NOT NULL",
            day, ids,
        )  # fmt: skip
        found.update(dict(rows))
    return found


async def owners(connection: Any, message_ids: Iterable[str]) -> dict[str, str]:
    """Whose messages these are."""
    found = {}
    for day, ids in by_day(message_ids).items():
        rows = await connection.fetch(
            "SELECT message_id, tenant_id FROM messages WHERE day = $1 AND message_id = ANY($2::uuid[])", day, ids
        )
        found.update({str(message_id): tenant for message_id, tenant in rows})
    return found


async def load_parts(connection: Any, message_ids: Iterable[str]) -> dict[str, dict[PartKey, Part]]:
    """The parts of messages whose rows this transaction has locked."""
    found: dict[str, dict[PartKey, Part]] = {}
    for day, ids in by_day(message_ids).items():
        for row in await connection.fetch(_LOAD_PARTS, day, ids):
            message_id, *values = row
            part = Part(*values)
            found.setdefault(message_id, {})[part.attempt, part.part] = part
    return found


async def save_messages(connection: Any, changes: Sequence[Change]) -> None:
    """Writes changed rows whose version was raised by one. StaleError when one was changed by someone else."""
    new = sorted(
        (c.message for c in changes if c.changed and c.message.version == 1),
        key=lambda message: (message.day, message.message_id),
    )
    if new:
        columns: list[Any] = list(zip(*map(_values, new), strict=True))
        columns[_PLACE_OF_STATES] = [_encode(states).decode() for states in columns[_PLACE_OF_STATES]]
        try:
            await connection.execute(_ADD_MESSAGES, *columns)
        except UniqueViolationError as error:
            raise StaleError from error  # written by another process since this one looked, or another tenant's
    for extent, (names, statement, values) in _UPDATES.items():
        days: dict[int, list[Message]] = defaultdict(list)
        for change in changes:
            if change.extent is extent and change.message.version > 1:
                days[change.message.day].append(change.message)
        place = names.index("states") + 1
        for day, messages in days.items():
            columns = list(zip(*map(values, messages), strict=True))
            columns[place] = [_encode(states).decode() for states in columns[place]]
            _written(await connection.execute(statement, day, *columns), len(messages))


async def save_rare(connection: Any, changes: Sequence[Change]) -> None:
    """Lists the messages that have come into a state in which few are: a person looking for them asks by state."""
    rows = [
        c.message for c in changes if c.changed and c.message.status in RARE and RANK[c.message.status] > c.old_rank
    ]
    if rows:
        await connection.execute(
            "INSERT INTO rare_states (tenant_id, status, message_id, day) "
            "SELECT * FROM unnest($1::text[], $2::text[], $3::uuid[], $4::int[]) ON CONFLICT DO NOTHING",
            [m.tenant_id for m in rows], [m.status for m in rows], [m.message_id for m in rows], [m.day for m in rows],
        )  # fmt: skip


def _written(result: str, expected: int) -> None:
    if int(result.rsplit(" ", 1)[1]) != expected:
        raise StaleError


async def save_parts(connection: Any, changes: Sequence[Change]) -> None:
    parts = [(change.message, part) for change in changes for part in change.parts]
    if parts:
        columns = list(zip(*(_part_values(part) for _, part in parts), strict=True))
        await connection.execute(
            _SAVE_PARTS,
            [m.message_id for m, _ in parts],
            [m.day for m, _ in parts],
            [m.tenant_id for m, _ in parts],
            *columns,
        )
    days: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for change in changes:
        for part in change.received:
            days[change.message.day].append((change.message.message_id, *_receipt_values(part)))
    for day, rows in days.items():
        await connection.execute(_RECEIVE_PARTS, day, *zip(*rows, strict=True))


async def find_submissions(
    connection: Any, receipts: Sequence[ReceiptReceived], since_day: int | None
) -> dict[int, list[Submission]]:
    """Candidates for receipts with an id, by the receipt's place in the sequence; None looks at every day kept."""
    places = [n for n, r in enumerate(receipts) if r.carrier_message_id is not None]
    if not places:
        return {}
    arguments = [places, [receipts[n].carrier_message_id for n in places], [receipts[n].carrier for n in places]]
    if since_day is None:
        rows = await connection.fetch(_FIND, *arguments)
    else:
        rows = await connection.fetch(_FIND_RECENT, *arguments, since_day)
    return _candidates(rows)


async def find_unknown(connection: Any, receipts: Sequence[ReceiptReceived]) -> dict[int, list[Submission]]:
    """Parts without an answer that have a receipt's number, carrier and sender, by the receipt's place."""
    rows = await connection.fetch(
        _FIND_UNKNOWN,
        list(range(len(receipts))),
        [r.number_hash for r in receipts],
        [r.carrier for r in receipts],
        [r.sender for r in receipts],
    )
    return _candidates(rows)


def _candidates(rows: Iterable[Any]) -> dict[int, list[Submission]]:
    found: dict[int, list[Submission]] = defaultdict(list)
    for n, message_id, tenant, attempt, part, submitted_at in rows:
        found[n].append(Submission(message_id, tenant, attempt, part, submitted_at))
    return found
