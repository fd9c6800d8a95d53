"""A campaign's report from its counters."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from analytics.domain.earned import Earned, Response
from analytics.domain.money import decimal


class Counter(NamedTuple):
    """One row of the sums that a report is made of."""

    hour: int
    run: str
    variant: str
    segment: str
    country: str
    carrier: str
    outcome: str
    reason: str
    currency: str
    messages: int
    submitted: int
    parts: int
    cost: int


class Course(NamedTuple):
    """How many of those taken in within a minute ended in which way."""

    minute: int
    outcome: str
    messages: int


class Sums:
    """accepted = dropped + delivered + failed + unknown + pending, always."""

    def __init__(self) -> None:
        self.accepted = self.submitted = self.delivered = self.unknown = self.pending = self.parts = 0
        self.dropped: dict[str, int] = {}
        self.failed: dict[str, int] = {}
        self.costs: dict[str, int] = {}

    def add(self, row: Counter) -> None:
        self.accepted += row.messages
        self.submitted += row.submitted
        self.parts += row.parts
        if row.cost:
            self.costs[row.currency] = self.costs.get(row.currency, 0) + row.cost
        match row.outcome:
            case "dropped":
                self.dropped[row.reason] = self.dropped.get(row.reason, 0) + row.messages
            case "failed":
                self.failed[row.reason] = self.failed.get(row.reason, 0) + row.messages
            case "delivered":
                self.delivered += row.messages
            case "unknown":
                self.unknown += row.messages
            case _:
                self.pending += row.messages

    def told_costs(self) -> dict[str, str]:
        return {currency: decimal(cost) for currency, cost in sorted(self.costs.items())}

    def told(self) -> dict[str, Any]:
        """With one currency `cost` and `currency`; with several `cost` is null and `costs` tells each."""
        costs = self.told_costs()
        single = len(costs) <= 1
        return {
            "accepted": self.accepted,
            "dropped": {reason: n for reason, n in sorted(self.dropped.items()) if n},
            "submitted": self.submitted,
            "delivered": self.delivered,
            "failed": {reason: n for reason, n in sorted(self.failed.items()) if n},
            "unknown": self.unknown,
            "pending": self.pending,
            "parts": self.parts,
            "cost": next(iter(costs.values()), decimal(0)) if single else None,
            "currency": next(iter(costs), None) if single else None,
            **({} if single else {"costs": costs}),
        }


class Group:
    """What became of some messages, and what they earned."""

    def __init__(self) -> None:
        self.sums, self.earned = Sums(), Earned()

    def told(self) -> dict[str, Any]:
        return {**self.sums.told(), **self.earned.told(self.sums.costs, self.sums.delivered)}


OUTCOMES = ("dropped", "delivered", "failed", "unknown", "pending")


def report_of(
    rows: Iterable[Counter], responses: Iterable[Response] = (), course: Iterable[Course] = ()
) -> dict[str, Any]:
    """The totals, and the same by carrier, country, variant, segment, run and hour (of acceptance); by minute only how
    many there were of each outcome."""
    total = Group()
    by: dict[str, dict[str, Group]] = {"carrier": {}, "country": {}, "variant": {}, "segment": {}, "run": {}}
    hours: dict[int, Group] = {}
    minutes: dict[int, dict[str, int]] = {}

    def groups(row: Counter | Response) -> list[Group]:
        places = [(by["carrier"], row.carrier), (by["country"], row.country), (by["variant"], row.variant)]
        places += [(by["segment"], row.segment), (by["run"], row.run)]
        found = [total, _group(hours, row.hour)]
        found += [_group(groups, value) for groups, value in places if value]
        return found

    for row in rows:
        for group in groups(row):
            group.sums.add(row)
    for response in responses:
        for group in groups(response):
            group.earned.add(response)
    for minute, outcome, messages in course:
        minutes.setdefault(minute, dict.fromkeys(OUTCOMES, 0))[outcome] += messages
    told = total.told()
    told["audience"] = total.sums.accepted
    for name, found in by.items():
        told[f"by_{name}"] = {value: group.told() for value, group in sorted(found.items())}
    told["by_hour"] = [{"hour": hour, **group.told()} for hour, group in sorted(hours.items())]
    told["by_minute"] = [
        {"minute": minute, "accepted": sum(counts.values()), **counts} for minute, counts in sorted(minutes.items())
    ]
    return told


def _group(groups: dict[Any, Group], key: str | int) -> Group:
    group = groups.get(key)
    if group is None:
        group = groups[key] = Group()
    return group
