"""What the world is told about a change: the status record, and the body of a callback."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from shared.contracts.events import MessageStatus, StateReached
from shared.contracts.fields import MICROS

from dlr_processor.domain.fold import Change
from dlr_processor.domain.states import RANK

# What an endpoint hears of when it names nothing: not each step inside the house.
DEFAULT_EVENTS = frozenset({"submitted", "delivered", "undelivered", "expired", "rejected", "unknown", "dropped"})
EVENTS = frozenset(RANK)


def status_of(change: Change) -> MessageStatus:
    """The record of `sms.message.status` for a published change."""
    m = change.message
    return MessageStatus(
        event_id=f"{m.message_id}:status:{m.version}", tenant_id=m.tenant_id, occurred_at=m.updated_at,
        message_id=m.message_id, version=m.version, status=m.status, reason=m.reason,
        states=[StateReached(state=s.state, at=s.at, reason=s.reason) for s in change.reached],
        final=m.final, purpose=m.purpose or "", contact_ref=m.contact_ref, contact_id=m.contact_id,
        campaign_id=m.campaign_id, run=m.run, variant=m.variant, segment=m.segment, country=m.country,
        network=m.network, carrier=m.carrier, attempt=m.attempt, parts=m.parts, cost=m.cost_micros,
        currency=m.currency, client_ref=m.client_ref, accepted_at=m.accepted_at,
    )  # fmt: skip


def wanted(change: Change, events: Iterable[str]) -> bool:
    """Whether someone who asked for these events is called: the message moved on, into or past one of them.

    A change that moved nothing forward is never told, so that callbacks of a message never go back.
    """
    asked = frozenset(events) or DEFAULT_EVENTS
    return any(entry.state in asked for entry in change.forward)


def callback_body(change: Change) -> dict[str, Any]:
    """The JSON object of a callback: `type`, `timestamp`, `data`, as Standard Webhooks has it."""
    m = change.message
    at = max((s.at for s in change.reached if s.state == m.status), default=m.updated_at)
    data: dict[str, Any] = {"message_id": m.message_id, "status": m.status}
    if m.reason is not None:
        data["reason"] = m.reason
    if m.client_ref is not None:
        data["client_ref"] = m.client_ref
    if m.carrier is not None:
        data["carrier"] = m.carrier
    if m.sender is not None:
        data["sender"] = m.sender
    data |= {
        "parts": m.parts,
        "cost": money(m.cost_micros),
        "currency": m.currency,
        "version": m.version,
        "at": utc(at),
    }
    data["states"] = [shown(s.state, s.at, s.reason) for s in change.reached]
    return {"type": "message.status", "timestamp": utc(m.updated_at), "data": data}


def shown(state: str, at: int, reason: str | None) -> dict[str, Any]:
    """A state as the API shows it."""
    entry = {"at": utc(at), "status": state}
    if reason is not None:
        entry["reason"] = reason
    return entry


def utc(ms: int) -> str:
    """RFC 3339 with milliseconds. Times that no calendar holds are shown as its last moment."""
    moment = datetime.fromtimestamp(min(ms, 253_402_300_799_999) / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def money(micros: int) -> str:
    """A decimal number of the currency's unit, at most six places, none of them idle: 45000 is 0.045."""
    sign, micros = ("-", -micros) if micros < 0 else ("", micros)
    whole, rest = divmod(micros, MICROS)
    text = f"{sign}{whole}.{rest:06d}".rstrip("0")
    return text.rstrip(".") if text.endswith(".") else text
