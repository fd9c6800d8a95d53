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
HOUR_MS = 3_600_000
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
    """A counter's place in the reports. Text that is not known is empty; `minute` is of acceptance, ms UTC: of a counter
    the hour's first."""

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
    """How much to add to each hour's counter: what a message leaves is taken away where it was counted."""
    sums: dict[Place, list[int]] = {}
    for before, after in found:
        if before is not None:
            _add(sums, before.place, before.counts, -1)
        _add(sums, after.place, after.counts, 1)
    return {place: Counts(*counts) for place, counts in sorted(sums.items()) if any(counts)}


def _add(sums: dict[Place, list[int]], place: Place, counts: Counts, sign: int) -> None:
    place = Place(place[0], place[1] - place[1] % HOUR_MS, *place[2:])
    total = sums.get(place)
    if total is None:
        total = sums[place] = [0, 0, 0, 0]
    total[0] += sign * counts.messages
    total[1] += sign * counts.submitted
    total[2] += sign * counts.parts
    total[3] += sign * counts.cost


class Minute(NamedTuple):
    """A place in the course of a campaign: what became of those taken in within that minute."""

    tenant_id: str
    campaign_id: str
    run: str
    minute: int
    outcome: str


def minutes(found: Iterable[Change]) -> dict[Minute, int]:
    """How many messages to add to each minute of a campaign. Messages of no campaign have no course."""
    sums: dict[Minute, int] = {}
    for change in found:
        for state, sign in ((change.before, -1), (change.after, 1)):
            if state is not None and state.place.campaign_id:
                place = state.place
                key = Minute(place.tenant_id, place.campaign_id, place.run, place.minute, place.outcome)
                sums[key] = sums.get(key, 0) + sign
    return {key: messages for key, messages in sorted(sums.items()) if messages}


TOUCHING = ("delivered", "pending", "unknown")  # outcomes of a message that a carrier took and that did not fail


def is_touch(state: State) -> bool:
    """May it have earned something?"""
    return bool(state.counts.submitted) and state.place.outcome in TOUCHING


HELD_OUT = "holdout"  # the reason for which segmenter drops those who get nothing, to compare with


def is_trial(state: State) -> bool:
    """Does it count in an experiment? Those held out do; what was dropped for another reason does not."""
    return state.place.outcome != "dropped" or state.place.reason == HELD_OUT


def people_to_recount(found: Iterable[Change]) -> set[tuple[str, str]]:
    """Tenant and name of those for whom it may have changed which messages earned what."""
    people = set()
    for before, after in found:
        now = _earning(after)
        if after.contact_ref and now != (_earning(before) if before is not None else _NOTHING):
            people.add((after.place.tenant_id, after.contact_ref))
    return people


def _earning(state: State) -> tuple[object, ...]:
    """All that what a person did is shared out by."""
    touch, trial = is_touch(state), is_trial(state)
    if not touch and not trial:
        return _NOTHING
    place = state.place
    return (touch, trial, state.submitted_at if touch else None, place.minute, place.campaign_id, place.run, place.variant,
            place.segment, place.country, place.carrier, place.reason == HELD_OUT)  # fmt: skip


_NOTHING: tuple[object, ...] = (False, False)
