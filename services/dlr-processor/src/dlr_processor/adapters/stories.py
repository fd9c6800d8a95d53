"""Reading the ledger for people: one message's whole story, and lists."""

from typing import Any

import msgspec

from dlr_processor.adapters.ledger import MESSAGE_COLUMNS, PART_COLUMNS
from dlr_processor.domain.ledger import Message, Part, day_of_message
from dlr_processor.domain.lost import born_bound
from dlr_processor.domain.states import Reached

_states = msgspec.json.Decoder(list[Reached])
_COLUMNS = ", ".join(MESSAGE_COLUMNS)


async def story(connection: Any, tenant: str, message_id: str) -> tuple[Message, list[Part]] | None:
    day = day_of_message(message_id)
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM messages WHERE day = $1 AND message_id = $2 AND tenant_id = $3",
        day,
        message_id,
        tenant,
    )
    if row is None:
        return None
    parts = await connection.fetch(
        f"SELECT {', '.join(PART_COLUMNS)} FROM parts WHERE day = $1 AND message_id = $2 AND tenant_id = $3 "
        "ORDER BY attempt, part",
        day, message_id, tenant,
    )  # fmt: skip
    return _message(row), [Part(**dict(zip(PART_COLUMNS, part, strict=True))) for part in parts]


async def listed(
    connection: Any,
    tenant: str,
    *,
    status: str | None,
    campaign: str | None,
    client_ref: str | None,
    since: int | None,
    until: int | None,
    cursor: str | None,
    limit: int,
) -> list[Message]:
    """A tenant's messages, newest first by birth; `cursor` is the last id of the page before."""
    where, arguments = ["tenant_id = $1"], [tenant]

    def add(condition: str, *values: Any) -> None:
        for value in values:
            arguments.append(value)
            condition = condition.replace("?", f"${len(arguments)}", 1)
        where.append(condition)

    if status is not None:
        add("status = ?", status)
    if campaign is not None:
        add("campaign_id = ?", campaign)
    if client_ref is not None:
        add("client_ref = ?", client_ref)
    if since is not None:
        add("message_id >= ? AND day >= ?", born_bound(since), since // 86_400_000)
    if until is not None:
        add("message_id < ? AND day <= ?", born_bound(until), until // 86_400_000)
    if cursor is not None:
        add("message_id < ? AND day <= ?", cursor, day_of_message(cursor))
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM messages WHERE {' AND '.join(where)} ORDER BY message_id DESC LIMIT {int(limit)}",
        *arguments,
    )
    return [_message(row) for row in rows]


def _message(row: Any) -> Message:
    values = dict(zip(MESSAGE_COLUMNS, row, strict=True))
    values["message_id"] = str(values["message_id"])
    values["states"] = _states.decode(values["states"])
    return Message(**values)
