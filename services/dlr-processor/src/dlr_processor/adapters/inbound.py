"""Messages from handsets, and the words among them that the segmenter must hear of: opt-outs, and what it answers."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from shared.contracts.events import InboundReceived

from dlr_processor.domain.inbound import KEYWORDS, RECENT_DAYS, RecentSend


async def recent_sends(connection: Any, number_hashes: Iterable[str], today: int) -> dict[str, list[RecentSend]]:
    """The last submitted message of each tenant and sender to these numbers."""
    rows = await connection.fetch(
        "SELECT DISTINCT ON (number_hash, tenant_id, sender) number_hash, tenant_id, contact_id, message_id, sender "
        "FROM messages WHERE day >= $2 AND number_hash = ANY($1::text[]) AND sender IS NOT NULL "
        "ORDER BY number_hash, tenant_id, sender, message_id DESC",
        list(set(number_hashes)),
        today - RECENT_DAYS,
    )
    found: dict[str, list[RecentSend]] = defaultdict(list)
    for number_hash, tenant, contact_id, message_id, sender in rows:
        found[number_hash].append(RecentSend(tenant, contact_id, str(message_id), sender))
    return found


async def save(connection: Any, rows: Sequence[tuple[InboundReceived, str, RecentSend | None]]) -> None:
    """One row for each event and tenant meant; opt-outs are queued for the segmenter in the same transaction."""
    if not rows:
        return
    await connection.execute(
        "INSERT INTO inbound (event_id, tenant_id, carrier, recipient, number_hash, contact_id, message_id, keyword, "
        "number, text, received_at) SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], "
        "$6::text[], $7::uuid[], $8::text[], $9::bytea[], $10::bytea[], $11::bigint[]) ON CONFLICT DO NOTHING",
        [e.event_id for e, _, _ in rows],
        [tenant for _, tenant, _ in rows],
        [e.carrier for e, _, _ in rows],
        [e.recipient for e, _, _ in rows],
        [e.number_hash for e, _, _ in rows],
        [send.contact_id if send else None for _, _, send in rows],
        [send.message_id if send else None for _, _, send in rows],
        [e.keyword for e, _, _ in rows],
        [e.number for e, _, _ in rows],
        [e.text for e, _, _ in rows],
        [e.occurred_at for e, _, _ in rows],
    )
    told = [(e, t, s.contact_id) for e, t, s in rows if e.keyword in KEYWORDS and s is not None and s.contact_id]
    if told:
        await connection.execute(
            "INSERT INTO opt_outs (event_id, tenant_id, contact_id, body) "
            "SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) ON CONFLICT DO NOTHING",
            [e.event_id for e, _, _ in told],
            [tenant for _, tenant, _ in told],
            [contact_id for _, _, contact_id in told],
            [
                msgspec.json.encode(
                    {
                        "event_id": e.event_id, "tenant_id": tenant, "contact_id": contact_id, "number_hash": e.number_hash,
                        "keyword": e.keyword, "carrier": e.carrier, "recipient": e.recipient, "at": e.occurred_at,
                        "number": e.number,
                    }
                ).decode()
                for e, tenant, contact_id in told
            ],
        )  # fmt: skip


async def listed(
    connection: Any, tenant: str, *, keyword: str | None, since: int | None, cursor: tuple[int, str] | None, limit: int
) -> list[Any]:
    """A tenant's inbound messages, newest first; `cursor` is time and id of the last one of the page before."""
    return list(
        await connection.fetch(
            "SELECT event_id, carrier, recipient, keyword, contact_id, message_id::text, received_at FROM inbound "
            "WHERE tenant_id = $1 AND ($2::text IS NULL OR keyword = $2) AND received_at >= coalesce($3, 0) "
            "AND ($4::bigint IS NULL OR (received_at, event_id) < ($4, $5)) "
            "ORDER BY received_at DESC, event_id DESC LIMIT $6",
            tenant, keyword, since, cursor[0] if cursor else None, cursor[1] if cursor else None, limit,
        )
    )  # fmt: skip
