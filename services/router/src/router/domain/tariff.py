"""What each carrier costs, as one value that is replaced whole when an operator changes anything."""

from collections.abc import Mapping
from dataclasses import dataclass, field

PREFIX_DIGITS = 7  # of a number's prefix no more travels clear (shared/contracts/fields.py)
_REMEMBERED = 50_000  # number prefixes whose offers are kept; there are about 10,000 in use in the whole world


@dataclass(frozen=True, slots=True)
class Terms:
    """A carrier as the operator describes it. Prices are in millionths of `currency` for one part."""

    carrier: str
    tps: int
    binds: int
    currency: str
    prices: Mapping[str, int]
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Offer:
    """What one carrier asks for one part to a number with some prefix."""

    carrier: str
    matched: str  # the longest of the carrier's prefixes that fits; "" is its price for the rest
    price: int
    currency: str
    bar: str = ""  # why it cannot be used whatever its health: `disabled`, `no_connector`


@dataclass(frozen=True)
class Tariff:
    """All carriers at one version. `connectors`: the carriers that have a connector and topics."""

    version: int
    terms: Mapping[str, Terms]
    connectors: frozenset[str]
    _offers: dict[str, tuple[Offer, ...]] = field(default_factory=dict, compare=False, repr=False)

    def offers(self, prefix: str) -> tuple[Offer, ...]:
        """Every carrier with a price for numbers that begin so, cheapest first."""
        found = self._offers.get(prefix)
        if found is None:
            if len(self._offers) >= _REMEMBERED:
                self._offers.clear()
            found = self._offers[prefix] = self._find(prefix)
        return found

    def bar(self, terms: Terms) -> str:
        if terms.carrier not in self.connectors:
            return "no_connector"
        return "" if terms.enabled else "disabled"

    def _find(self, prefix: str) -> tuple[Offer, ...]:
        found = []
        for terms in self.terms.values():
            for length in range(len(prefix), -1, -1):
                price = terms.prices.get(prefix[:length])
                if price is not None:
                    found.append(Offer(terms.carrier, prefix[:length], price, terms.currency, self.bar(terms)))
                    break
        return tuple(sorted(found, key=lambda offer: (offer.price, offer.carrier)))


def prefix_of(number: str) -> str:
    """The prefix under which a number's price is looked up: as the segmenter writes it in `Envelope.prefix`."""
    return number.removeprefix("+")[:-4][:PREFIX_DIGITS]
