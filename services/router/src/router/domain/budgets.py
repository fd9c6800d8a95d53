"""Which of the messages that have a carrier may go now under their tenant's limits, and what that uses up.

Counted before anything is published: a process that dies in between has counted a batch too much, never too little.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from router.domain.limits import Limit, Limits, UseKey, period_at
from router.domain.money import text_of

AT_ONCE_US = 200_000  # what falls due within one look at the timer table goes at once, without a row there
PACE = "pace"


class Want(NamedTuple):
    """A message that would go now. `cost`: as charged for all parts; `again`: counted at its first attempt already;
    `paced`: it has waited for its turn; `latest` (ms): waiting longer is of no use."""

    tenant: str
    campaign: str | None
    purpose: str
    country: str
    cost: int
    latest: int
    again: bool = False
    paced: bool = False


@dataclass(slots=True)
class Use:
    """What a key has used: messages, millionths, and from when on (us) the next one may go at its rate."""

    messages: int = 0
    cost: int = 0
    next_us: int = 0


class Wait(NamedTuple):
    until: int
    reason: str


class Refused(NamedTuple):
    detail: str


Admission = Wait | Refused | None  # None: go


def key_of(limit: Limit, want: Want, period: str) -> UseKey:
    return UseKey(want.tenant, limit.name, (want.campaign or "") if limit.each_campaign else "", period)


def keys_of(wants: Iterable[Want], limits: Limits, now: int) -> set[UseKey]:
    """Everything whose use must be known to admit these."""
    found = set()
    for want in wants:
        for limit in limits.fitting(want.tenant, want.campaign, want.purpose, want.country):
            if limit.counts:
                found.add(key_of(limit, want, period_at(limit, now)[0]))
            if limit.per_second is not None:
                found.add(key_of(limit, want, PACE))
    return found


def admit(wants: Sequence[Want], limits: Limits, uses: dict[UseKey, Use], now: int) -> list[Admission]:
    """One answer a message, in order; `uses`, which holds all `keys_of`, is raised by what was admitted."""
    return [_admit(want, limits, uses, now) for want in wants]


def _admit(want: Want, limits: Limits, uses: dict[UseKey, Use], now: int) -> Admission:
    fitting = limits.fitting(want.tenant, want.campaign, want.purpose, want.country)
    counting = [(limit, uses[key_of(limit, want, period_at(limit, now)[0])]) for limit in fitting if limit.counts]
    messages = 0 if want.again else 1
    for limit, use in counting:
        why = _over(limit, use, messages, want.cost)
        if why:
            return _reached(limit, why, want, now)
    paced = [limit for limit in fitting if limit.per_second is not None]
    if paced and not want.paced:
        at = max(now * 1000, *(uses[key_of(limit, want, PACE)].next_us for limit in paced))
        if at // 1000 >= want.latest:
            return Refused(f"limit {paced[0].name}: at its rate there is no turn for it before its time is over")
        for limit in paced:
            uses[key_of(limit, want, PACE)].next_us = at + round(1_000_000 / (limit.per_second or 1))
        if at > now * 1000 + AT_ONCE_US:
            return Wait(at // 1000, "rate_limited")
    for _, use in counting:
        use.messages += messages
        use.cost += want.cost
    return None


def _over(limit: Limit, use: Use, messages: int, cost: int) -> str:
    if limit.messages is not None and use.messages + messages > limit.messages:
        return f"{limit.messages} messages"
    if limit.cost is not None and use.cost + cost > limit.cost:
        return f"a cost of {text_of(limit.cost)}"
    return ""


def _reached(limit: Limit, why: str, want: Want, now: int) -> Admission:
    ends = period_at(limit, now)[1]
    if limit.waits and ends is not None and ends < want.latest:
        return Wait(ends, "budget_exceeded")
    return Refused(
        f"limit {limit.name}: {why} a {limit.period} is reached" if ends else f"limit {limit.name}: {why} is reached"
    )
