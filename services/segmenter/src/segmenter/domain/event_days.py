"""A person's behaviour as daily sums: small enough to filter a whole audience by."""

from collections.abc import Iterable
from typing import NamedTuple

from shared.contracts.events import EventTracked

DAY_MS = 86_400_000


class DayKey(NamedTuple):
    tenant_id: str
    contact_ref: str
    name: str
    currency: str  # empty for events without a value
    day: int  # days since 1970, UTC


class DaySum(NamedTuple):
    events: int
    sum_micros: int
    last_at: int


def summed(events: Iterable[EventTracked]) -> dict[DayKey, DaySum]:
    """What these events, each met for the first time, add to the days they happened on; in the keys' order."""
    sums: dict[DayKey, DaySum] = {}
    for event in events:
        key = DayKey(event.tenant_id, event.contact_ref, event.name, event.currency or "", event.occurred_at // DAY_MS)
        held = sums.get(key, DaySum(0, 0, 0))
        sums[key] = DaySum(held.events + 1, held.sum_micros + (event.value or 0), max(held.last_at, event.occurred_at))
    return dict(sorted(sums.items()))
