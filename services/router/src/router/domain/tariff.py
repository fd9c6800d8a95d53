"""What each carrier costs, as one value that is replaced whole when an operator changes anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from sys import intern

from msgspec import Struct

PREFIX_DIGITS = 7  # of a number's prefix no more travels clear (shared/contracts/fields.py)
_REMEMBERED = 1_000_000  # offers, and prefixes, that are kept: about 100 MB when an operator has so many


@dataclass(frozen=True, slots=True)
class Terms:
    """A carrier as the operator describes it. Prices are in millionths of `currency` for one part."""

    carrier: str
    tps: int
    binds: int
    currency: str
    prices: Mapping[str, int]
    enabled: bool = True


class Offer(Struct, frozen=True, gc=False):
    """What one carrier asks for one part to a number with some prefix, in some network.

    There are a million of them: kept out of the garbage collector's walks, which held batches up for 140 ms.
    """

    carrier: str
    matched: (
        str  # what gave the price: `mccmnc:20801`, `mcc:208`, or the longest of its prefixes that fits ("": the rest)
    )
    price: int
    currency: str
    bar: str = ""  # why it cannot be used whatever its health: `disabled`, `no_connector`


@dataclass(frozen=True, slots=True)
class ListPrices:
    """What an imported price list says now: by network (MCC and MNC, or MCC alone) and by prefix, in millionths.

    `changes_at` (ms): when it will say something else.
    """

    networks: Mapping[str, int]
    prefixes: Mapping[str, int]
    changes_at: int | None = None


NO_LIST = ListPrices({}, {})


@dataclass(frozen=True)
class Tariff:
    """All carriers at one version. `connectors`: the carriers that have a connector and topics.

    A price for the network goes before one for its country, and that before one for the number's prefix. An imported
    prefix goes before the same one in the carrier's description.
    """

    version: int
    terms: Mapping[str, Terms]
    connectors: frozenset[str]
    lists: Mapping[str, ListPrices] = field(default_factory=dict)
    _offers: dict[tuple[str, str | None], tuple[Offer, ...]] = field(default_factory=dict, compare=False, repr=False)
    _significant: dict[str, str] = field(default_factory=dict, compare=False, repr=False)
    _before: dict[tuple[str, str | None], tuple[Offer, ...]] = field(default_factory=dict, compare=False, repr=False)
    _changed: frozenset[str] = field(default=frozenset(), compare=False, repr=False)

    def followed_by(self, version: int, terms: Mapping[str, Terms], lists: Mapping[str, ListPrices]) -> "Tariff":
        """The next version. What was worked out for carriers that are the same serves on: a new list holds nothing up."""
        changed = {
            carrier
            for carrier in self.terms.keys() | terms.keys()
            if self.terms.get(carrier) != terms.get(carrier) or self.lists.get(carrier) is not lists.get(carrier)
        }
        return Tariff(
            version, terms, self.connectors, lists, _before={**self._before, **self._offers},
            _changed=self._changed | changed if self._before else frozenset(changed),
        )  # fmt: skip

    @property
    def most_remembered(self) -> int:
        """How many prefixes with networks may be worked out before all are forgotten."""
        return max(100, _REMEMBERED // max(1, len(self.terms)))

    @property
    def worked_out(self) -> Sequence[tuple[str, str | None]]:
        """The prefixes with networks whose offers are ready."""
        return tuple(self._offers)

    def offers(self, prefix: str, network: str | None = None) -> tuple[Offer, ...]:
        """Every carrier with a price for such numbers, cheapest first."""
        key = (self.significant(prefix), network)
        found = self._offers.get(key)
        if found is None:
            if len(self._offers) >= self.most_remembered:
                self._offers.clear()
            known = self._before.pop(key, None)
            same = [] if known is None else [offer for offer in known if offer.carrier not in self._changed]
            asked = self.terms if known is None else self._changed
            every = (self.offer(carrier, *key) for carrier in asked)
            found = self._offers[key] = tuple(sorted((*same, *(o for o in every if o is not None)), key=_by_price))
        return found

    def offer(self, carrier: str, prefix: str, network: str | None = None) -> Offer | None:
        terms = self.terms.get(carrier)
        if terms is None:
            return None
        prices = self.lists.get(carrier, NO_LIST)
        if network is not None:
            price = prices.networks.get(network)
            if price is not None:
                return Offer(carrier, intern(f"mccmnc:{network}"), price, terms.currency, self.bar(terms))
            price = prices.networks.get(network[:3])
            if price is not None:
                return Offer(carrier, intern(f"mcc:{network[:3]}"), price, terms.currency, self.bar(terms))
        for length in range(len(prefix), -1, -1):
            begins = prefix[:length]
            price = prices.prefixes.get(begins)
            if price is None:
                price = terms.prices.get(begins)
            if price is not None:
                return Offer(carrier, begins, price, terms.currency, self.bar(terms))
        return None

    @cached_property
    def _known_prefixes(self) -> frozenset[str]:
        described = (prefix for terms in self.terms.values() for prefix in terms.prices)
        return frozenset((*described, *(prefix for prices in self.lists.values() for prefix in prices.prefixes)))

    def significant(self, prefix: str) -> str:
        """As much of a prefix as makes a difference to any price: numbers that share it cost the same."""
        found = self._significant.get(prefix)
        if found is None:
            if len(self._significant) >= _REMEMBERED:
                self._significant.clear()
            known = self._known_prefixes
            cuts = (prefix[:length] for length in range(len(prefix), 0, -1))
            found = self._significant[prefix] = next((cut for cut in cuts if cut in known), "")
        return found

    def bar(self, terms: Terms) -> str:
        if terms.carrier not in self.connectors:
            return "no_connector"
        return "" if terms.enabled else "disabled"


def _by_price(offer: Offer) -> tuple[int, str]:
    return offer.price, offer.carrier


def prefix_of(number: str) -> str:
    """The prefix under which a number's price is looked up: as the segmenter writes it in `Envelope.prefix`."""
    return number.removeprefix("+")[:-4][:PREFIX_DIGITS]
