"""Which campaigns somebody got, had delivered and clicked: what filters ask of campaigns."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple


class Mark(NamedTuple):
    """`delivered_at` None: not, or not yet."""

    tenant_id: str
    campaign_id: str
    contact_ref: str
    recipient: int
    sent_at: int
    delivered_at: int | None


class Click(NamedTuple):
    tenant_id: str
    recipient: int
    at: int


async def note_marks(connection: Any, marks: Iterable[Mark]) -> None:
    """The first moments hold for each campaign, contact and state; of several messages the last one's clicks count."""
    newest: dict[tuple[str, str, str], Mark] = {}
    for mark in marks:
        key = mark[:3]
        held = newest.get(key)
        if held is not None and held.delivered_at is not None and mark.delivered_at is None:
            mark = mark._replace(delivered_at=held.delivered_at)
        newest[key] = mark
    ordered = [newest[key] for key in sorted(newest)]  # one order for everyone: no deadlock
    if ordered:
        await connection.execute(
            "INSERT INTO campaign_marks AS c (tenant_id, campaign_id, contact_ref, recipient, sent_at, delivered_at) "
            "SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[]) "
            "ON CONFLICT (tenant_id, campaign_id, contact_ref) DO UPDATE SET recipient = excluded.recipient, "
            "sent_at = least(c.sent_at, excluded.sent_at), delivered_at = least(c.delivered_at, excluded.delivered_at)",
            *(list(column) for column in zip(*ordered, strict=True)),
        )  # fmt: skip


async def note_clicks(connection: Any, clicks: Sequence[Click]) -> None:
    """People's clicks, by the recipient that their links name. One whose number two people share tells of neither."""
    first: dict[tuple[str, int], int] = {}
    for click in clicks:
        key = (click.tenant_id, click.recipient)
        first[key] = min(click.at, first.get(key, click.at))
    keys = sorted(first)
    await connection.execute(
        "UPDATE campaign_marks AS c SET clicked_at = n.at FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS n (tenant_id, recipient, at) "
        "WHERE c.tenant_id = n.tenant_id AND c.recipient = n.recipient AND c.clicked_at IS NULL AND NOT EXISTS "
        "(SELECT FROM campaign_marks o WHERE o.tenant_id = n.tenant_id AND o.recipient = n.recipient AND o.contact_ref <> c.contact_ref)",
        [k[0] for k in keys], [k[1] for k in keys], [first[k] for k in keys],
    )  # fmt: skip
