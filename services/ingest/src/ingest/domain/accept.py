"""From a checked request to the event that says it was taken."""

from collections.abc import Callable
from hashlib import blake2b

from shared.contracts.events import EventTracked, MessageAccepted

from ingest.domain.event_request import CheckedEvent
from ingest.domain.message_request import Checked

Seal = Callable[[str], bytes]


def message_accepted(
    message: Checked,
    *,
    tenant: str,
    message_id: str,
    contact_id: str,
    number_hash: str,
    born_ms: int,
    seal_number: Seal,
    seal_text: Seal,
) -> MessageAccepted:
    """`born_ms`: when the request was first seen; a repeat makes an equal event but for the sealing's randomness."""
    return MessageAccepted(
        event_id=f"{message_id}:accepted", tenant_id=tenant, occurred_at=born_ms, message_id=message_id,
        contact_id=contact_id, number_hash=number_hash, purpose=message.purpose, number=seal_number(message.to),
        content=seal_text(message.content), sender=message.sender, client_ref=message.client_ref,
        callback_url=message.callback_url, send_at=message.send_at, validity_s=message.validity_s,
    )  # fmt: skip


def event_tracked(event: CheckedEvent, *, tenant: str, event_id: str, born_ms: int, seal_text: Seal) -> EventTracked:
    return EventTracked(
        event_id=event_id, tenant_id=tenant, occurred_at=event.at if event.at is not None else born_ms,
        contact_ref=event.contact, name=event.name, value=event.value, currency=event.currency,
        properties=seal_text(event.properties) if event.properties is not None else None,
    )  # fmt: skip


def event_id(key: bytes, tenant: str, *source: str) -> str:
    """32 hex digits: the same for the same tenant and source, so that an event told twice is one event."""
    return blake2b("\x1f".join((tenant, *source)).encode(), key=key[:64], digest_size=16).hexdigest()
