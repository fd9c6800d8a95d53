"""Sending later, and costs by country."""

from decimal import Decimal

from segmenter.domain.country_costs import Cost, Price, country_costs
from segmenter.domain.send_later import FURTHEST_AHEAD_MS, waits_here, wake_at

NOW = 1_795_000_000_000


def test_only_what_is_due_in_more_than_a_day_waits_here_and_it_wakes_before_it_is_due() -> None:
    assert not waits_here(None, NOW)
    assert not waits_here(NOW + FURTHEST_AHEAD_MS, NOW)
    assert waits_here(NOW + FURTHEST_AHEAD_MS + 1, NOW)
    far = NOW + 10 * FURTHEST_AHEAD_MS
    assert NOW < wake_at(far) < far
    assert not waits_here(far, wake_at(far))


def test_a_countrys_cost_is_the_lowest_of_what_each_carrier_asks_by_its_longest_prefix() -> None:
    def price(prefix: str, amount: str) -> Price:
        return Price(prefix, Decimal(amount), "EUR")

    prices = [
        ("a", price("33", "0.04")), ("a", price("", "0.01")), ("b", price("33", "0.05")), ("b", price("", "0.06")),
        ("b", price("336", "0.02")), ("a", price("870", "1.00")),
    ]  # fmt: skip
    assert country_costs(prices, 2) == [Cost("FR", Decimal("0.08"), "EUR"), Cost(None, Decimal("0.02"), "EUR")]
    assert country_costs([], 2) == []
