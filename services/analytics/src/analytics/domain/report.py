"""A campaign's report from its counters."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from shared.contracts.fields import MICROS


class Counter(NamedTuple):
    """One row of the sums that a report is made of."""

    minute: int
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


def decimal(micros: int) -> str:
    """12340000 is `"12.340000"`."""
    return f"{'-' if micros < 0 else ''}{abs(micros) // MICROS}.{abs(micros) % MICROS:06d}"


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

    def told(self) -> dict[str, Any]:
        """With one currency `cost` and `currency`; with several `cost` is null and `costs` tells each."""
        costs = {currency: decimal(cost) for currency, cost in sorted(self.costs.items())}
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


def report_of(rows: Iterable[Counter]) -> dict[str, Any]:
    """The totals, and the same by carrier, country, variant, segment, run and minute."""
    total = Sums()
    by: dict[str, dict[str, Sums]] = {"carrier": {}, "country": {}, "variant": {}, "segment": {}, "run": {}}
    minutes: dict[int, Sums] = {}
    for row in rows:
        total.add(row)
        for name, sums in by.items():
            value = getattr(row, name)
            if value:
                sums.setdefault(value, Sums()).add(row)
        minutes.setdefault(row.minute, Sums()).add(row)
    told = total.told()
    told["audience"] = total.accepted
    for name, sums in by.items():
        told[f"by_{name}"] = {value: found.told() for value, found in sorted(sums.items())}
    told["by_minute"] = [{"minute": minute, **found.told()} for minute, found in sorted(minutes.items())]
    return told
