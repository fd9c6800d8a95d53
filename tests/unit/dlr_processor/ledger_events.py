"""Events of one message, as the stages publish them."""

from typing import Any

from dlr_processor.domain.fold import MatchedReceipt
from shared.contracts.events import (
    MessageAccepted,
    MessageDeferred,
    MessageDropped,
    MessagePrepared,
    MessageSubmitted,
    ReceiptReceived,
    SubmittedPart,
)
from shared.crypto.ids import MessageIds

T0 = 1_760_000_000_000
IDS = MessageIds(b"k" * 32)
MESSAGE = IDS.derive("acme", T0 // 1000, "api", "key", "0")
HASH = "a" * 32


def accepted(message_id: str = MESSAGE, at: int = T0, tenant: str = "acme", **more: Any) -> MessageAccepted:
    fields: dict[str, Any] = {
        "event_id": f"{message_id}:accepted", "tenant_id": tenant, "occurred_at": at, "message_id": message_id,
        "contact_id": "c" * 32, "number_hash": HASH, "purpose": "marketing", "number": b"n", "content": b"t",
        "client_ref": "order-7",
    }  # fmt: skip
    return MessageAccepted(**(fields | more))


def prepared(message_id: str = MESSAGE, at: int = T0 + 100, tenant: str = "acme", **more: Any) -> MessagePrepared:
    fields: dict[str, Any] = {
        "event_id": f"{message_id}:prepared", "tenant_id": tenant, "occurred_at": at, "message_id": message_id,
        "contact_id": "c" * 32, "number_hash": HASH, "purpose": "marketing", "number": b"n", "text": b"t",
        "encoding": "gsm7", "parts": 1, "country": "FR", "prefix": "3361234", "not_after": T0 + 86_400_000,
        "accepted_at": T0, "contact_ref": "person-1", "campaign_id": "spring", "run": "r1", "variant": "a",
        "segment": "all", "client_ref": "order-7", "rules": "rules-3",
    }  # fmt: skip
    return MessagePrepared(**(fields | more))


def deferred(
    message_id: str = MESSAGE, at: int = T0 + 200, reason: str = "quiet_hours", tenant: str = "acme"
) -> MessageDeferred:
    return MessageDeferred(
        event_id=f"{message_id}:deferred:{at}", tenant_id=tenant, occurred_at=at, message_id=message_id,
        until=at + 3_600_000, reason=reason,
    )  # fmt: skip


def dropped(
    message_id: str = MESSAGE, at: int = T0 + 150, reason: str = "no_consent", tenant: str = "acme", **more: Any
) -> MessageDropped:
    fields: dict[str, Any] = {
        "event_id": f"{message_id}:dropped", "tenant_id": tenant, "occurred_at": at, "message_id": message_id,
        "stage": "segmenter", "reason": reason, "contact_id": "c" * 32, "purpose": "marketing", "country": "FR",
        "contact_ref": "person-1", "campaign_id": "spring", "run": "r1", "variant": "a", "segment": "all",
        "accepted_at": T0,
    }  # fmt: skip
    return MessageDropped(**(fields | more))


def submitted(
    message_id: str = MESSAGE,
    at: int = T0 + 300,
    attempt: int = 1,
    outcome: str = "submitted",
    carrier: str = "mercure",
    ids: tuple[str | None, ...] = ("id-1",),
    statuses: tuple[int, ...] | None = None,
    tenant: str = "acme",
    **more: Any,
) -> MessageSubmitted:
    statuses = statuses or (0,) * len(ids)
    fields: dict[str, Any] = {
        "event_id": f"{message_id}:submit:{attempt}", "tenant_id": tenant, "occurred_at": at, "message_id": message_id,
        "attempt": attempt, "outcome": outcome, "reason": None if outcome == "submitted" else "carrier_error",
        "carrier": carrier, "number_hash": HASH, "sender": "SHOP", "network": "20801",
        "parts": [
            SubmittedPart(part=n, carrier_message_id=i, command_status=s)
            for n, (i, s) in enumerate(zip(ids, statuses, strict=True), 1)
        ],
        "price": 45_000, "currency": "EUR", "decision": "least_cost mercure=0.045", "purpose": "marketing",
    }  # fmt: skip
    return MessageSubmitted(**(fields | more))


def receipt(
    carrier_message_id: str | None = "id-1",
    state: str = "delivered",
    at: int = T0 + 2_000,
    carrier: str = "mercure",
    event_id: str | None = None,
    **more: Any,
) -> ReceiptReceived:
    fields: dict[str, Any] = {
        "event_id": event_id or f"{carrier}:{carrier_message_id}:{state}:{at}", "tenant_id": "system", "occurred_at": at,
        "carrier": carrier, "carrier_message_id": carrier_message_id, "state": state,
        "final": state not in ("enroute", "accepted", "unknown"), "error_code": "0" if state == "delivered" else "1",
        "number_hash": HASH, "sender": "SHOP",
    }  # fmt: skip
    return ReceiptReceived(**(fields | more))


def matched(
    event: ReceiptReceived, message_id: str = MESSAGE, attempt: int = 1, part: int = 1, tenant: str = "acme"
) -> MatchedReceipt:
    return MatchedReceipt(message_id, tenant, attempt, part, event)
