"""Whose customer a handset's message comes from."""

from collections.abc import Sequence
from typing import NamedTuple

from shared.contracts.events import InboundReceived, MessageReplied

RECENT_DAYS = 7
KEYWORDS = frozenset({"stop", "start", "help"})  # what the segmenter acts on or answers


class RecentSend(NamedTuple):
    """A tenant's last message to the number within the recent days."""

    tenant_id: str
    contact_id: str | None
    message_id: str | None  # None of a number's owner who has sent nothing lately
    sender: str | None


def addressed(event: InboundReceived, sends: Sequence[RecentSend], owner: str | None = None) -> list[RecentSend]:
    """The tenants meant, each once: those that sent from the address the handset answered to; if none did, the address's
    `owner`; if it has none, all that sent to the handset recently, since a STOP to several is safer than a STOP to none."""
    exact = [send for send in sends if send.sender == event.recipient]
    if not exact and owner is not None:
        return [RecentSend(owner, None, None, event.recipient)]
    found: dict[str, RecentSend] = {}
    for send in exact or sends:
        known = found.get(send.tenant_id)
        if known is None or (send.message_id or "") > (known.message_id or ""):
            found[send.tenant_id] = send
    return [found[tenant] for tenant in sorted(found)]


def replies(event: InboundReceived, owners: Sequence[RecentSend]) -> list[MessageReplied]:
    """Whose message it answers: of the owner of the address written to, or of the only tenant that wrote to the number.
    Where several may be meant it is nobody's answer: counting it for each would make answers up."""
    exact = [owner for owner in owners if owner.sender == event.recipient]
    return [
        MessageReplied(
            event_id=f"{event.event_id}:{owner.tenant_id}", tenant_id=owner.tenant_id, occurred_at=event.occurred_at,
            message_id=owner.message_id, keyword=event.keyword, carrier=event.carrier,
        )
        for owner in (exact or (owners if len(owners) == 1 else []))
        if owner.message_id is not None
    ]  # fmt: skip
