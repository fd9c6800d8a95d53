"""What a text would cost, by country: the lowest price that some carrier asks for the country's whole code."""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import phonenumbers


class Price(NamedTuple):
    """Of one part, to numbers that begin with `prefix` (digits without +; empty for all the rest)."""

    prefix: str
    price: Decimal
    currency: str


class Cost(NamedTuple):
    """`country` None: everywhere else."""

    country: str | None
    lowest: Decimal
    currency: str


def country_costs(prices: Sequence[tuple[str, Price]], parts: int) -> list[Cost]:
    """Costs of `parts` for each country whose code has a price of its own, and for the rest. `prices` name the carrier.

    A country's finer prefixes are left out: what they cost is known when a number is.
    """
    codes = {p.prefix: _country(p.prefix) for _, p in prices}
    found = []
    for code, country in sorted(codes.items(), key=lambda item: (item[1] is None, item[1] or "")):
        if country is None and code:
            continue
        best = lowest_price(prices, code)
        if best is not None:
            found.append(Cost(country, best.price * parts, best.currency))
    return found


def lowest_price(prices: Sequence[tuple[str, Price]], code: str) -> Price | None:
    """For numbers that begin with `code`: the lowest of what the carriers ask."""
    found = cheapest(prices, code)
    return None if found is None else found[1]


def cheapest(prices: Sequence[tuple[str, Price]], code: str) -> tuple[str, Price] | None:
    """The carrier that asks least for numbers that begin with `code`; each asks the price of its longest prefix."""
    asked: dict[str, Price] = {}
    for carrier, price in prices:
        held = asked.get(carrier)
        if code.startswith(price.prefix) and (held is None or len(held.prefix) < len(price.prefix)):
            asked[carrier] = price
    return min(asked.items(), key=lambda item: item[1].price, default=None)


def _country(prefix: str) -> str | None:
    if not prefix:
        return None
    region = phonenumbers.region_code_for_country_code(int(prefix))
    return region if len(region) == 2 and region != phonenumbers.UNKNOWN_REGION else None
