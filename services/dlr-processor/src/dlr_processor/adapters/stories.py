"""Reading the ledger for people: one message's whole story, and lists."""

from collections.abc import Sequence
from typing import Any

import msgspec

from dlr_processor.adapters.ledger import MESSAGE_COLUMNS, PART_COLUMNS
from dlr_processor.domain.ledger import Message, Part, day_of_message
from dlr_processor.domain.lost import born_bound
from dlr_processor.domain.states import RARE, Reached
from dlr_processor.domain.tell import utc

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


async def callbacks(connection: Any, tenant: str, message_id: str) -> list[dict[str, Any]]:
    """What was told about a message, and what is still to be told, oldest first."""
    rows = await connection.fetch(
        "SELECT id, version, endpoint_id::text, outcome, tries, made_at, ended_at FROM callbacks_made "
        "WHERE day = $1 AND message_id = $2 AND tenant_id = $3 UNION ALL "
        "SELECT id, version, endpoint_id::text, 'waiting', tries, made_at, NULL FROM callback_queue "
        "WHERE message_id = $2 AND tenant_id = $3 ORDER BY id",
        day_of_message(message_id), message_id, tenant,
    )  # fmt: skip
    found = []
    for _, version, endpoint_id, outcome, tries, made_at, ended_at in rows:
        entry = {"version": version, "outcome": outcome, "tries": tries, "queued_at": utc(made_at)}
        if endpoint_id is not None:
            entry["callback"] = endpoint_id
        if ended_at is not None:
            entry["at"] = utc(ended_at)
        found.append(entry)
    return found


async def named(connection: Any, tenant: str, message_ids: Sequence[str]) -> list[Message]:
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM messages WHERE day = ANY($1::int[]) AND message_id = ANY($2::uuid[]) AND tenant_id = $3 "
        "ORDER BY message_id",
        list({day_of_message(m) for m in message_ids}), list(message_ids), tenant,
    )  # fmt: skip
    return [_message(row) for row in rows]


async def listed(
    connection: Any,
    tenant: str,
    *,
    status: str | None = None,
    campaign: str | None = None,
    client_ref: str | None = None,
    contact: str | None = None,
    carrier: str | None = None,
    country: str | None = None,
    since: int | None = None,
    until: int | None = None,
    cursor: str | None = None,
    limit: int,
) -> list[Message]:
    """A tenant's messages, newest first by birth; `cursor` is the last id of the page before. A rare status is looked up
    in its own list, so that three failures among ten million messages are three steps."""
    query, arguments = list_query(
        tenant, status=status, campaign=campaign, client_ref=client_ref, contact=contact, carrier=carrier,
        country=country, since=since, until=until, cursor=cursor, limit=limit,
    )  # fmt: skip
    # Ids are in the order of birth, and so are partitions: an index walked backwards ends at the page's last row.
    await connection.execute("SELECT set_config('plan_cache_mode', 'force_custom_plan', true)")
    return [_message(row) for row in await connection.fetch(query, *arguments)]


def list_query(
    tenant: str,
    *,
    status: str | None,
    since: int | None,
    until: int | None,
    cursor: str | None,
    limit: int,
    campaign: str | None = None,
    client_ref: str | None = None,
    contact: str | None = None,
    carrier: str | None = None,
    country: str | None = None,
) -> tuple[str, list[Any]]:
    where, arguments = ["m.tenant_id = $1"], [tenant]

    def add(condition: str, *values: Any) -> None:
        for value in values:
            arguments.append(value)
            condition = condition.replace("?", f"${len(arguments)}", 1)
        where.append(condition)

    key, source = "m", "messages m"
    if status in RARE:
        key, source = "r", "rare_states r JOIN messages m USING (message_id, day)"
        add("r.tenant_id = ?", tenant)
        add("r.status = ?", status)
    for column, value in (
        ("status", status), ("campaign_id", campaign), ("client_ref", client_ref), ("contact_ref", contact),
        ("carrier", carrier), ("country", country),
    ):  # fmt: skip
        if value is not None:
            add(f"m.{column} = ?", value)
    if since is not None:
        add(f"{key}.message_id >= ? AND {key}.day >= ?", born_bound(since), since // 86_400_000)
    if until is not None:
        add(f"{key}.message_id < ? AND {key}.day <= ?", born_bound(until), until // 86_400_000)
    if cursor is not None:
        add(f"{key}.message_id < ? AND {key}.day <= ?", cursor, day_of_message(cursor))
    columns = ", ".join(f"m.{c}" if c not in ("message_id", "day") else c for c in MESSAGE_COLUMNS)
    if key == "m":
        columns = ", ".join(f"m.{c}" for c in MESSAGE_COLUMNS)
    return (
        f"SELECT {columns} FROM {source} WHERE {' AND '.join(where)} ORDER BY {key}.message_id DESC LIMIT {int(limit)}",
        arguments,
    )


def _message(row: Any) -> Message:
    values = dict(zip(MESSAGE_COLUMNS, row, strict=True))
    values["message_id"] = str(values["message_id"])
    values["states"] = _states.decode(values["states"])
    return Message(**values)
