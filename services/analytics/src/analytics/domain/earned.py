"""What people did about messages, as it stands in a report beside what became of them."""

from typing import Any, NamedTuple

from shared.contracts.fields import MICROS

from analytics.domain.money import decimal
from analytics.domain.opens import opens_of


class Response(NamedTuple):
    """One row of the sums. `conversions` and `revenue` in millionths: a conversion may be shared by messages."""

    hour: int  # in which the message was taken in; 0 where no message is known
    run: str
    variant: str
    segment: str
    country: str
    carrier: str
    currency: str  # of the revenue
    clickers: int
    clicks: int
    machine_clicks: int
    repliers: int
    replies: int
    clicked_and_replied: int
    opt_outs: int
    conversions: int
    revenue: int


class Earned:
    def __init__(self) -> None:
        self.clickers = self.clicks = self.machine_clicks = self.opt_outs = self.conversions = 0
        self.repliers = self.replies = self.clicked_and_replied = 0
        self.revenues: dict[str, int] = {}

    def add(self, row: Response) -> None:
        self.clickers += row.clickers
        self.clicks += row.clicks
        self.machine_clicks += row.machine_clicks
        self.repliers += row.repliers
        self.replies += row.replies
        self.clicked_and_replied += row.clicked_and_replied
        self.opt_outs += row.opt_outs
        self.conversions += row.conversions
        if row.revenue:
            self.revenues[row.currency] = self.revenues.get(row.currency, 0) + row.revenue

    def told(self, costs: dict[str, int], delivered: int) -> dict[str, Any]:
        """`clicks.people` and `replies.people` are messages whose link a person followed, that somebody answered. Margin and ROI need one currency for both sides:
        where revenue and cost have none in common nothing is converted, and they are null."""
        currencies = {currency for currency, amount in (*self.revenues.items(), *costs.items()) if amount}
        revenue, cost = sum(self.revenues.values()), sum(costs.values())
        single = len(currencies) <= 1
        return {
            "clicks": {"people": self.clickers, "visits": self.clicks, "machines": self.machine_clicks},
            "replies": {"people": self.repliers, "messages": self.replies},
            "opens": opens_of(delivered, self.clickers, self.repliers, self.clicked_and_replied),
            "opt_outs": self.opt_outs,
            "conversions": round(self.conversions / MICROS, 6),
            "revenue": {currency: decimal(amount) for currency, amount in sorted(self.revenues.items())},
            "margin": decimal(revenue - cost) if single else None,
            "roi": round((revenue - cost) / cost, 4) if single and cost else None,
        }
