"""Which state a message is in, given what is known of it. The rule of the ledger, in one place.

1. A message has *reached* a set of states; the set only grows. Its status is the one of highest rank:
   accepted < prepared < held, deferred < submitted < unknown < expired < undelivered < rejected < dropped < delivered.
   So it only moves forward, whatever order its records arrive in, and the same records end in the same status.
2. `unknown` is our own word for "no receipt ever came". It ranks below every word of a carrier and yields to it.
3. A part takes the first final state that its carrier gives it, and keeps it. `enroute`, `accepted` and the carrier's
   own `unknown` are never final.
4. An attempt ends when each of its parts has: `delivered` when all are, otherwise the worst of them: undelivered, then
   rejected, then expired. `deleted` counts as undelivered.
5. An attempt that the carrier refused for good (`rejected`) ends the message. One that it refused for now (`failed`)
   says nothing about the message: another way follows, and the message keeps the state it had.
   The same holds for an attempt whose bad end the tenant's retry policy answers with another one (`retry_policy.py`),
   until the router says that there is none: then that end counts after all.
6. `delivered` outranks all: a handset that has the message has it, even if another attempt was dropped meanwhile.
"""

from collections.abc import Iterable
from typing import NamedTuple

RANK = {
    "accepted": 10,
    "prepared": 20,
    "held": 30,
    "deferred": 31,
    "submitted": 40,
    "unknown": 50,
    "expired": 60,
    "undelivered": 61,
    "rejected": 62,
    "dropped": 63,
    "delivered": 70,
}
FINAL = frozenset({"unknown", "expired", "undelivered", "rejected", "dropped", "delivered"})

# States in which few messages are or stay: those are listed by state, so that they are found among millions.
RARE = frozenset({"held", "deferred", "unknown", "expired", "undelivered", "rejected", "dropped"})

# What a receipt's word means for a part; the others are not final.
FINAL_WORDS = {
    "delivered": "delivered",
    "undelivered": "undelivered",
    "expired": "expired",
    "rejected": "rejected",
    "deleted": "undelivered",
}
REASON_OF_WORD = {
    "undelivered": "undeliverable",
    "expired": "expired",
    "rejected": "rejected_by_carrier",
    "deleted": "deleted_by_carrier",
}
_WORST_FIRST = ("undelivered", "rejected", "expired")

# Of two records about one attempt the higher counts, whichever came first: an answer counts more than a missing one.
OUTCOME_RANK = {"failed": 0, "unknown": 1, "submitted": 2, "rejected": 3}


class Reached(NamedTuple):
    """A state, when it was first reached (ms), and why."""

    state: str
    at: int
    reason: str | None


def reach(states: list[Reached], state: str, at: int, reason: str | None) -> Reached | None:
    """Adds a state to `states`, the earliest moment for each state and reason. The entry, if that changed anything."""
    for index, known in enumerate(states):
        if known.state == state and known.reason == reason:
            if known.at <= at:
                return None
            entry = states[index] = Reached(state, at, reason)
            return entry
    entry = Reached(state, at, reason)
    states.append(entry)
    return entry


def current(states: Iterable[Reached]) -> Reached:
    """The entry of highest rank. Of two with one rank the first final one, or the last of those that still wait."""
    best: Reached | None = None
    for entry in states:
        if best is None:
            best = entry
            continue
        rank, top = RANK[entry.state], RANK[best.state]
        if rank > top:
            best = entry
        elif rank == top:
            if entry.state in FINAL:
                better = (entry.at, entry.reason or "") < (best.at, best.reason or "")
            else:
                better = (entry.at, entry.reason or "") > (best.at, best.reason or "")
            if better:
                best = entry
    if best is None:
        raise ValueError("a message without any state")
    return best


def in_order(states: Iterable[Reached]) -> list[Reached]:
    """As a person reads them."""
    return sorted(states, key=lambda entry: (entry.at, RANK[entry.state], entry.reason or ""))


def worst(states: Iterable[str]) -> str:
    """The state of an attempt whose parts are all final (rule 4)."""
    found = set(states)
    for state in _WORST_FIRST:
        if state in found:
            return state
    return "delivered"
