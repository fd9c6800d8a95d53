"""Which messages did best? By what is sure about them: the lower end of a rate's interval, so that luck among few does
not win."""

import json
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from analytics.domain.experiments import Arm, wilson
from analytics.domain.money import decimal

MEASURES: Final = ("clicked", "replied", "converted", "revenue")


class Performance(NamedTuple):
    """One text: a campaign's variant. Messages; `cost` and `revenue` in millionths."""

    campaign_id: str
    variant: str
    submitted: int
    delivered: int
    cost: int
    clicked: int
    replied: int
    opted_out: int
    converted: int
    revenue: dict[str, int]

    @classmethod
    def of(cls, *columns: Any) -> "Performance":
        """As the database tells it: the revenue as JSON."""
        return cls._make((*columns[:-1], json.loads(columns[-1])))


def best(found: Iterable[Performance], measure: str, limit: int) -> list[dict[str, Any]]:
    """Best first. `revenue` ranks by revenue a submitted message in the currency that most of the tenant's revenue is
    in; texts without any in it come last."""
    rows = list(found)
    currency = _main_currency(rows)

    def rank(row: Performance) -> tuple[float, int]:
        if measure == "revenue":
            return row.revenue.get(currency, 0) / row.submitted, row.submitted
        return wilson(Arm(row.submitted, min(getattr(row, measure), row.submitted)))[0], row.submitted

    rows.sort(key=lambda row: (row.campaign_id, row.variant))
    rows.sort(key=rank, reverse=True)
    return [_told(row) for row in rows[:limit]]


def _told(row: Performance) -> dict[str, Any]:
    told: dict[str, Any] = {
        "campaign": row.campaign_id, "variant": row.variant or None, "submitted": row.submitted, "delivered": row.delivered,
        "cost": decimal(row.cost), "revenue": {currency: decimal(value) for currency, value in sorted(row.revenue.items())},
    }  # fmt: skip
    for name in ("clicked", "replied", "converted", "opted_out"):
        arm = Arm(row.submitted, min(getattr(row, name), row.submitted))
        told[name] = {"messages": arm.successes, "rate": round(arm.rate, 6), "interval": wilson(arm)}
    return told


def _main_currency(rows: Iterable[Performance]) -> str:
    sums: dict[str, int] = {}
    for row in rows:
        for currency, value in row.revenue.items():
            sums[currency] = sums.get(currency, 0) + value
    return max(sorted(sums), key=lambda currency: sums[currency], default="")
