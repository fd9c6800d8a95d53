"""Campaigns that people got, had delivered and clicked, noted for the filters."""

from collections.abc import Sequence

from shared.contracts.events import LinkClicked, MessageStatus
from shared.db.database import Database
from shared.kafka.consumer import Received
from shared.links.codes import recipient_of

from segmenter.adapters.mark_store import Click, Mark, note_clicks, note_marks

_GOT = frozenset({"submitted", "delivered"})


class NoteCampaigns:
    """Handles `sms.message.status` and `sms.link.clicked`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def handle(self, batch: Sequence[Received]) -> None:
        marks: list[Mark] = []
        clicks: list[Click] = []
        for record in batch:
            event = record.event
            if isinstance(event, MessageStatus):
                mark = mark_of(event)
                if mark is not None:
                    marks.append(mark)
            elif isinstance(event, LinkClicked) and event.human and event.recipient is not None:
                clicks.append(Click(event.tenant_id, event.recipient, event.occurred_at))
        tenants = {mark.tenant_id for mark in marks} | {click.tenant_id for click in clicks}
        if tenants:
            async with self._db.hot(tenants) as connection:
                await note_marks(connection, marks)
                if clicks:
                    await note_clicks(connection, clicks)


def mark_of(event: MessageStatus) -> Mark | None:
    """What a status says of a campaign and a contact; None when a carrier has not taken the message."""
    if event.campaign_id is None or event.contact_ref is None or event.status not in _GOT:
        return None
    delivered = event.occurred_at if event.status == "delivered" else None
    return Mark(
        event.tenant_id,
        event.campaign_id,
        event.contact_ref,
        recipient_of(event.message_id),
        event.occurred_at,
        delivered,
    )
