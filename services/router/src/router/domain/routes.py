"""Routing rules: which carriers may take what, and how one of them is picked. Compiled from a checked book.

A rule fits by tenant, class, country, network, sender and campaign; the first that fits in the order of `priority`
(smallest first) gives a group. A group is a list of steps, tried in order: each picks among its carriers by price, by
weight, by order, by delivery (best) or by clicks for what it delivers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from router.domain.money import micros_of

PICKS = ("cheapest", "order", "weighted", "best", "clicks")
CONDITIONS = ("tenant", "class", "country", "network", "sender", "campaign", "encoding", "parts")
ENCODINGS = ("gsm7", "latin1", "ucs2")
LEAST_COST, REFUSE = "least_cost", "refuse"
EVERY = 1_000  # shares of traffic are counted in thousandths


class Ask(NamedTuple):
    """What the choice may depend on. `network`: MCC and MNC, None where not known."""

    prefix: str
    purpose: str = "transactional"
    tenant: str = ""
    country: str = "ZZ"
    network: str | None = None
    sender: str | None = None
    campaign: str | None = None
    encoding: str = "gsm7"
    parts: str = "1"


_PLACES = {"tenant": 2, "class": 1, "country": 3, "network": 4, "sender": 5, "campaign": 6, "encoding": 7, "parts": 8}


@dataclass(frozen=True, slots=True)
class Step:
    """`carriers` None: every carrier. `floor`: least share delivered, 0 to 1; `most`: dearest price in millionths.

    `slowest_ms`: within which 95 of 100 receipts must have come.
    """

    pick: str
    carriers: tuple[str, ...] | None
    weights: Mapping[str, int] = field(default_factory=dict)
    floor: float | None = None
    most: int | None = None
    slowest_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """`explore`: thousandths of the traffic that go to another carrier of the group, so that its quality is known."""

    name: str
    steps: tuple[Step, ...]
    explore: int = 0


ALL = Group(LEAST_COST, (Step("cheapest", None),))


@dataclass(frozen=True, slots=True)
class Rule:
    """`when`: condition to the values that fit, None (a rule without that condition) fits everything. Times in ms."""

    name: str
    priority: int
    when: Mapping[str, frozenset[str]]
    group: Group
    begins: int = 0
    ends: int | None = None

    def fits(self, ask: Ask, now: int) -> bool:
        if now < self.begins or (self.ends is not None and now >= self.ends):
            return False
        return all(ask[_PLACES[name]] in values for name, values in self.when.items())


@dataclass(frozen=True)
class RoutePlan:
    """`otherwise`: the group where no rule fits; None refuses the message."""

    version: int
    rules: Sequence[Rule]
    otherwise: Group | None
    _by_country: dict[str, tuple[Rule, ...]] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def looked_at(self) -> tuple[int, ...]:
        """Places in an Ask that any rule looks at: those that agree in them fit the same rule."""
        return tuple(_PLACES[name] for name in CONDITIONS if any(name in rule.when for rule in self.rules))

    def rule_for(self, ask: Ask, now: int) -> Rule | None:
        rules = self._by_country.get(ask.country)
        if rules is None:
            rules = self._by_country[ask.country] = tuple(
                rule for rule in self.rules if ask.country in rule.when.get("country", (ask.country,))
            )
        for rule in rules:
            if rule.fits(ask, now):
                return rule
        return None


NO_ROUTES = RoutePlan(0, (), ALL)


def compile_routes(version: int, body: Mapping[str, Any]) -> RoutePlan:
    """The plan of a book that `check_routes` found good."""
    groups = {name: Group(name, tuple(_steps(body["groups"], name)), _share(g)) for name, g in body["groups"].items()}
    groups[LEAST_COST] = ALL
    rules = [
        Rule(
            rule["id"], rule["priority"], {name: frozenset(values) for name, values in rule.get("when", {}).items()},
            groups[rule["group"]], moment_of(rule.get("from")) or 0, moment_of(rule.get("until")),
        )
        for rule in body["rules"]
    ]  # fmt: skip
    otherwise = body.get("otherwise", LEAST_COST)
    ordered = sorted(rules, key=lambda rule: (rule.priority, rule.name))
    return RoutePlan(version, tuple(ordered), None if otherwise == REFUSE else groups[otherwise])


def moment_of(text: str | None) -> int | None:
    """Milliseconds UTC of ISO 8601 with a zone. ValueError without one."""
    if text is None:
        return None
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("say the zone, such as Z")
    return int(found.timestamp() * 1000)


def _share(group: Mapping[str, Any]) -> int:
    share: float = group.get("explore", 0)
    return round(share * EVERY)


def _steps(groups: Mapping[str, Any], name: str) -> Iterable[Step]:
    for step in groups[name]["steps"]:
        if "group" in step:
            yield from ALL.steps if step["group"] == LEAST_COST else _steps(groups, step["group"])
            continue
        carriers = step.get("carriers")
        most = step.get("max_price")
        yield Step(
            step["pick"], None if carriers is None else tuple(carriers),
            dict(carriers) if isinstance(carriers, Mapping) else {}, step.get("floor"), None if most is None else micros_of(most),
            None if step.get("max_delay_s") is None else step["max_delay_s"] * 1000,
        )  # fmt: skip
