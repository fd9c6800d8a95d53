"""What one message adds to the reports in its present state, and what moves when that state changes.

`accepted` counts every message that the system took responsibility for, dropped ones included, so that at any time
accepted = dropped + delivered + failed + unknown + pending. `submitted` counts those of them that were handed to a
carrier at least once, whatever became of them.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msgspec.structs import replace
from shared.contracts.events import MessageStatus

MINUTE_MS = 60_000
_OUTCOMES = {
    "accepted": "pending",
    "prepared": "pending",
    "held": "pending",
    "deferred": "pending",
    "submitted": "pending",
    "dropped": "dropped",
    "delivered": "delivered",
    "undelivered": "failed",
    "expired": "failed",
    "rejected": "failed",
    "unknown": "unknown",
}


class Place(NamedTuple):
    """A counter's place in the reports. Text that is not known is empty; `minute` is of acceptance, ms UTC."""

    tenant_id: str
    minute: int
    campaign_id: str
    run: str
    variant: str
    segment: str
    purpose: str
    country: str
    carrier: str
    outcome: str
    reason: str
    currency: str


class Counts(NamedTuple):
    """`parts` are those of messages handed to a carrier; `cost` is in millionths."""

    messages: int
    submitted: int
    parts: int
    cost: int


class State(NamedTuple):
    """What is remembered of a message: enough to take its contribution back."""

    message_id: str
    version: int
    place: Place
    counts: Counts
    attempt: int
    submitted_at: int | None  # when a carrier took its last attempt, ms UTC
    contact_ref: str = ""  # whose it is; empty when not known


def state_of(status: MessageStatus) -> State:
    """A function of the record alone, so that any order of records ends in the same totals."""
    outcome = _OUTCOMES.get(status.status, "failed" if status.final else "pending")
    submitted = status.attempt > 0
    place = Place(
        status.tenant_id, status.accepted_at - status.accepted_at % MINUTE_MS, status.campaign_id or "", status.run or "",
        status.variant or "", status.segment or "", status.purpose, status.country or "", status.carrier or "", outcome,
        (status.reason or status.status) if outcome in ("dropped", "failed") else "", status.currency or "",
    )  # fmt: skip
    taken = [reached.at for reached in status.states if reached.state == "submitted"]
    return State(
        status.message_id, status.version, place,
        Counts(1, int(submitted), status.parts if submitted else 0, status.cost),
        status.attempt, taken[-1] if taken else None, status.contact_ref or "",
    )  # fmt: skip


def newest(statuses: Iterable[MessageStatus]) -> dict[str, MessageStatus]:
    """The record with the highest version for each message, with the states that it passed in one batch."""
    found: dict[str, MessageStatus] = {}
    for status in statuses:
        known = found.get(status.message_id)
        if known is None:
            found[status.message_id] = status
        elif status.version > known.version:
            found[status.message_id] = replace(status, states=[*known.states, *status.states])
        elif status.version < known.version:
            found[status.message_id] = replace(known, states=[*status.states, *known.states])
    return found


class Change(NamedTuple):
    before: State | None
    after: State


def changes(before: Mapping[str, State], after: Iterable[State]) -> list[Change]:
    """What is newer than what is known. A repeat or an older version changes nothing."""
    found = []
    for state in after:
        known = before.get(state.message_id)
        if known is not None and state.version <= known.version:
            continue
        if known is not None and state.submitted_at is None:
            state = state._replace(submitted_at=known.submitted_at)
        found.append(Change(known, state))
    return found


def moves(found: Iterable[Change]) -> dict[Place, Counts]:
    """How much to add to each counter: what a message leaves is taken away where it was counted."""
    sums: dict[Place, list[int]] = {}
    for before, after in found:
        if before is not None:
            _add(sums, before.place, before.counts, -1)
        _add(sums, after.place, after.counts, 1)
    return {place: Counts(*counts) for place, counts in sorted(sums.items()) if any(counts)}


def _add(sums: dict[Place, list[int]], place: Place, counts: Counts, sign: int) -> None:
    total = sums.get(place)
    if total is None:
        total = sums[place] = [0, 0, 0, 0]
    total[0] += sign * counts.messages
    total[1] += sign * counts.submitted
    total[2] += sign * counts.parts
    total[3] += sign * counts.cost
