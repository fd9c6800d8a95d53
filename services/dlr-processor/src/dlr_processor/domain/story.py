"""A message as the API shows it."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from dlr_processor.domain.ledger import Message, Part
from dlr_processor.domain.states import in_order
from dlr_processor.domain.tell import money, shown, utc


def summary(m: Message) -> dict[str, Any]:
    """What a list shows of a message. Absent is what is not known."""
    found = {
        "message_id": m.message_id, "status": m.status, "reason": m.reason, "final": m.final, "version": m.version,
        "class": m.purpose, "client_ref": m.client_ref, "campaign": m.campaign_id, "run": m.run, "variant": m.variant,
        "segment": m.segment, "contact": m.contact_ref, "country": m.country, "network": m.network,
        "sender": m.sender, "carrier": m.carrier,
    }  # fmt: skip
    found = {name: value for name, value in found.items() if value is not None}
    found |= {"cost": money(m.cost_micros), "accepted_at": utc(m.accepted_at), "updated_at": utc(m.updated_at)}
    if m.currency is not None:
        found["currency"] = m.currency
    return found


def whole(m: Message, parts: Sequence[Part]) -> dict[str, Any]:
    """The whole story: states with times, every attempt with its decision, every part with its id and times."""
    found = summary(m)
    found["carrier"], found["currency"] = m.carrier, m.currency
    found["parts"] = [_part(part) for part in parts if part.attempt == m.attempt]
    found["events"] = [shown(s.state, s.at, s.reason) for s in in_order(m.states)]
    found["decision"] = m.decision
    if m.rules:
        found["rules"] = m.rules
    if m.drop_detail:
        found["detail"] = m.drop_detail
    if m.deferred_until is not None:
        found["deferred_until"] = utc(m.deferred_until)
    found["attempts"] = [_attempt(list(group)) for _, group in groupby(parts, key=lambda part: part.attempt)]
    return found


def _part(part: Part) -> dict[str, Any]:
    found: dict[str, Any] = {
        "part": part.part, "carrier_message_id": part.carrier_message_id, "status": part.shown,
        "price": money(part.price_micros), "submitted_at": utc(part.submitted_at),
    }  # fmt: skip
    end = part.end
    reason = end.reason if end is not None else part.reason
    if reason is not None:
        found["reason"] = reason
    if part.error_code is not None:
        found["error_code"] = part.error_code
    if part.done_at is not None:
        found["done_at"] = utc(part.done_at)
    return found


def _attempt(parts: list[Part]) -> dict[str, Any]:
    first = parts[0]
    found: dict[str, Any] = {
        "attempt": first.attempt, "carrier": first.carrier, "outcome": first.outcome, "sender": first.sender,
        "at": utc(first.submitted_at), "decision": first.decision,
    }  # fmt: skip
    if first.outcome_reason is not None:
        found["reason"] = first.outcome_reason
    found["parts"] = [_part(part) for part in parts]
    return found
