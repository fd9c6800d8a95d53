"""Is this book of routing rules one that may go live? Everything wrong is found before, with its row."""

import re
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

from phonenumbers import country_code_for_region
from shared.contracts.fields import PURPOSES

from router.domain.money import micros_of
from router.domain.number_plan import NumberPlan
from router.domain.routes import CONDITIONS, ENCODINGS, LEAST_COST, PICKS, REFUSE, moment_of
from router.domain.tariff import NO_LIST, Tariff
from router.domain.trouble import FieldTrouble, TroublesError

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}", re.ASCII)
_VALUES = {
    "country": re.compile(r"[A-Z]{2}", re.ASCII),
    "network": re.compile(r"[0-9]{5,6}", re.ASCII),
    "encoding": re.compile("|".join(ENCODINGS)),
    "parts": re.compile(r"[1-9][0-9]{0,2}", re.ASCII),
}
MOST_RULES, MOST_GROUPS, MOST_STEPS = 2_000, 500, 20
Body = Mapping[str, Any]


def check_routes(body: object, tariff: Tariff, plan: NumberPlan) -> Body:
    """The book itself, when it is good. TroublesError with every trouble: fields, loops, overlaps, missing prices."""
    checked = _Checked(tariff, plan)
    if not isinstance(body, Mapping):
        raise TroublesError([FieldTrouble("body", "invalid", "must be a JSON object")])
    checked.unknown("", body, ("groups", "rules", "otherwise", "note"))
    groups, rules = body.get("groups", {}), body.get("rules", [])
    if not isinstance(groups, Mapping) or len(groups) > MOST_GROUPS:
        checked.wrong("groups", "invalid", f"must be an object of at most {MOST_GROUPS} groups")
    elif not isinstance(rules, list) or len(rules) > MOST_RULES:
        checked.wrong("rules", "invalid", f"must be a list of at most {MOST_RULES} rules")
    else:
        for name, group in groups.items():
            checked.group(name, group, groups)
        for place, rule in enumerate(rules):
            checked.rule(f"rules[{place}]", rule, groups)
        otherwise = body.get("otherwise", LEAST_COST)
        if otherwise not in (*groups, LEAST_COST, REFUSE):
            checked.wrong("otherwise", "unknown_group", f"must be {LEAST_COST}, {REFUSE} or a group's name")
        if not checked.troubles:
            checked.loops(groups)
        if not checked.troubles:
            checked.overlaps(rules)
            checked.prices(rules, groups)
    if checked.troubles:
        raise TroublesError(checked.troubles)
    return {
        "groups": groups,
        "rules": rules,
        "otherwise": body.get("otherwise", LEAST_COST),
        "note": body.get("note", ""),
    }


class _Checked:
    def __init__(self, tariff: Tariff, plan: NumberPlan) -> None:
        self._tariff, self._plan = tariff, plan
        self.troubles: list[FieldTrouble] = []

    def wrong(self, field: str, code: str, detail: str) -> None:
        self.troubles.append(FieldTrouble(field, code, detail))

    def unknown(self, field: str, given: Body, names: Iterable[str]) -> None:
        for name in given:
            if name not in names:
                self.wrong(f"{field}.{name}".lstrip("."), "unknown", "no such field")

    def group(self, name: object, group: object, groups: Body) -> None:
        field = f"groups.{name}"
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in (LEAST_COST, REFUSE):
            return self.wrong(field, "invalid_name", "1 to 64 of a-z, 0-9 and hyphen")
        if not isinstance(group, Mapping):
            return self.wrong(field, "invalid", "must be an object")
        self.unknown(field, group, ("steps", "explore"))
        explore = group.get("explore", 0)
        if isinstance(explore, bool) or not isinstance(explore, int | float) or not 0 <= explore <= 0.2:
            self.wrong(f"{field}.explore", "invalid", "must be a share from 0 to 0.2")
        steps = group.get("steps")
        if not isinstance(steps, list) or not 1 <= len(steps) <= MOST_STEPS:
            return self.wrong(f"{field}.steps", "invalid", f"must be a list of 1 to {MOST_STEPS} steps")
        for place, step in enumerate(steps):
            self._step(f"{field}.steps[{place}]", step, groups)
        return None

    def _step(self, field: str, step: object, groups: Body) -> None:
        if not isinstance(step, Mapping):
            return self.wrong(field, "invalid", "must be an object")
        if "group" in step:
            self.unknown(field, step, ("group",))
            if step["group"] not in (*groups, LEAST_COST):
                self.wrong(f"{field}.group", "unknown_group", "there is no group of this name")
            return None
        self.unknown(field, step, ("pick", "carriers", "floor", "max_price", "max_delay_s"))
        pick, carriers = step.get("pick"), step.get("carriers")
        if pick not in PICKS:
            self.wrong(f"{field}.pick", "invalid", f"must be one of {', '.join(PICKS)}")
        self._carriers(f"{field}.carriers", pick, carriers)
        floor = step.get("floor")
        if floor is not None and (isinstance(floor, bool) or not isinstance(floor, int | float) or not 0 < floor < 1):
            self.wrong(f"{field}.floor", "invalid", "must be a share between 0 and 1, such as 0.92")
        delay = step.get("max_delay_s")
        if delay is not None and (isinstance(delay, bool) or not isinstance(delay, int | float) or delay <= 0):
            self.wrong(
                f"{field}.max_delay_s", "invalid", "must be seconds, such as 20: within which 95 of 100 receipts come"
            )
        if step.get("max_price") is not None:
            try:
                micros_of(str(step["max_price"]) if isinstance(step["max_price"], str) else "")
            except ValueError as error:
                self.wrong(f"{field}.max_price", "invalid", str(error))
        return None

    def _carriers(self, field: str, pick: object, carriers: object) -> None:
        if carriers is None and pick in ("cheapest", "best", "clicks"):
            return None
        if pick == "weighted":
            good = (
                isinstance(carriers, Mapping)
                and carriers
                and all(type(w) is int and 0 < w <= 10_000 for w in carriers.values())
            )
            if not good:
                return self.wrong(
                    field, "invalid", 'must be an object of whole weights by carrier, such as {"iris": 30}'
                )
        elif not isinstance(carriers, list) or not carriers or not all(isinstance(c, str) for c in carriers):
            return self.wrong(field, "invalid", "must be a list of carriers' ids")
        elif len(set(carriers)) != len(carriers):
            self.wrong(field, "twice", "names a carrier twice")
        for carrier in carriers:  # type: ignore[attr-defined]
            if carrier not in self._tariff.terms:
                self.wrong(field, "unknown_carrier", f"there is no carrier {carrier}")
            elif carrier not in self._tariff.connectors:
                self.wrong(field, "no_connector", f"{carrier} has no connector")
        return None

    def rule(self, field: str, rule: object, groups: Body) -> None:
        if not isinstance(rule, Mapping):
            return self.wrong(field, "invalid", "must be an object")
        self.unknown(field, rule, ("id", "priority", "when", "group", "from", "until", "note"))
        name = rule.get("id")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            self.wrong(f"{field}.id", "invalid_name", "1 to 64 of a-z, 0-9 and hyphen")
        if type(rule.get("priority")) is not int:
            self.wrong(f"{field}.priority", "invalid", "must be a whole number: the smallest is looked at first")
        if rule.get("group") not in (*groups, LEAST_COST):
            self.wrong(f"{field}.group", "unknown_group", "there is no group of this name")
        moments: dict[str, int | None] = {}
        for end in ("from", "until"):
            try:
                moments[end] = moment_of(rule.get(end))
            except (ValueError, TypeError):
                self.wrong(f"{field}.{end}", "invalid", "must be a time such as 2026-12-24T08:00:00Z")
        if (moments.get("until") or 0) and (moments.get("from") or 0) >= (moments["until"] or 0):
            self.wrong(f"{field}.until", "invalid", "ends before it begins")
        when = rule.get("when", {})
        if not isinstance(when, Mapping):
            return self.wrong(f"{field}.when", "invalid", "must be an object")
        self.unknown(f"{field}.when", when, CONDITIONS)
        for condition, values in when.items():
            self._values(f"{field}.when.{condition}", condition, values)
        return None

    def _values(self, field: str, condition: str, values: object) -> None:
        if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
            return self.wrong(field, "invalid", "must be a list of texts")
        shape = _VALUES.get(condition)
        if shape is not None and not all(shape.fullmatch(value) for value in values):
            self.wrong(
                field,
                "invalid",
                "a country has two capitals, a network five or six digits, an encoding is gsm7, latin1 or ucs2, parts are counted",
            )
        if condition == "class" and not set(values) <= set(PURPOSES):
            self.wrong(field, "invalid", f"must be of {', '.join(PURPOSES)}")
        return None

    def loops(self, groups: Body) -> None:
        for start in groups:
            path, ahead = [start], [_next(groups, start)]
            while ahead:
                following = next(ahead[-1], None)
                if following is None:
                    ahead.pop()
                    path.pop()
                elif following == start:
                    self.wrong(f"groups.{start}", "loop", f"falls back to itself: {' -> '.join([*path, start])}")
                    return  # the others on the loop would say the same
                elif following not in path and following != LEAST_COST:
                    path.append(following)
                    ahead.append(_next(groups, following))

    def overlaps(self, rules: list[Body]) -> None:
        names: dict[str, int] = {}
        for place, rule in enumerate(rules):
            if rule["id"] in names:
                self.wrong(f"rules[{place}].id", "twice", f"rules[{names[rule['id']]}] has this id already")
            names.setdefault(rule["id"], place)
        for (i, one), (j, two) in combinations(enumerate(rules), 2):
            if not _meet_in_time(one, two):
                continue
            if one["priority"] == two["priority"]:
                if _meet(one, two):
                    detail = f"{two['id']} and {one['id']} (rules[{i}]) fit the same messages with the same priority"
                    self.wrong(f"rules[{j}]", "overlap", detail)
                continue
            (place, first), (later, second) = sorted(((i, one), (j, two)), key=lambda r: r[1]["priority"])
            if _covers(first, second):
                detail = f"{second['id']} is never reached: {first['id']} (rules[{place}]) takes all of it before"
                self.wrong(f"rules[{later}]", "unreachable", detail)

    def prices(self, rules: list[Body], groups: Body) -> None:
        for name, group in groups.items():
            for place, step in enumerate(group["steps"]):
                for carrier in step.get("carriers") or ():
                    if not self._has_any_price(carrier):
                        field = f"groups.{name}.steps[{place}].carriers"
                        self.wrong(field, "no_price", f"{carrier} has no price at all: import its list first")
        if self.troubles:
            return
        for place, rule in enumerate(rules):
            when = rule.get("when", {})
            countries = when.get("country", [])
            for carrier in sorted(_all_carriers(groups, rule["group"], set())):
                for country in countries:
                    if not self._has_price(carrier, country, when.get("network")):
                        self.wrong(f"rules[{place}]", "no_price", f"{carrier} has no price for {country}")

    def _has_any_price(self, carrier: str) -> bool:
        prices = self._tariff.lists.get(carrier, NO_LIST)
        return bool(self._tariff.terms[carrier].prices or prices.networks or prices.prefixes)

    def _has_price(self, carrier: str, country: str, networks: list[str] | None) -> bool:
        prices, terms = self._tariff.lists.get(carrier, NO_LIST), self._tariff.terms[carrier]
        known = networks or self._plan.networks(country)
        if any(network in prices.networks or network[:3] in prices.networks for network in known):
            return True
        code = str(country_code_for_region(country) or "")
        begins = [*terms.prices, *prices.prefixes]
        return any(prefix.startswith(code) or code.startswith(prefix) for prefix in begins)


def _next(groups: Body, name: str) -> Any:
    return iter([step["group"] for step in groups[name]["steps"] if "group" in step])


def _all_carriers(groups: Body, name: str, seen: set[str]) -> set[str]:
    if name in seen or name == LEAST_COST:
        return set()
    seen.add(name)
    found: set[str] = set()
    for step in groups[name]["steps"]:
        found |= _all_carriers(groups, step["group"], seen) if "group" in step else set(step.get("carriers") or ())
    return found


def _span(rule: Body) -> tuple[int, float]:
    until = moment_of(rule.get("until"))
    return moment_of(rule.get("from")) or 0, float("inf") if until is None else until


def _meet_in_time(one: Body, two: Body) -> bool:
    (a, b), (c, d) = _span(one), _span(two)
    return a < d and c < b


def _meet(one: Body, two: Body) -> bool:
    """May a message fit both?"""
    first, second = one.get("when", {}), two.get("when", {})
    return all(set(first[name]) & set(second[name]) for name in first.keys() & second.keys())


def _covers(first: Body, second: Body) -> bool:
    """Does everything that fits the second rule fit the first, whenever the second is in force?"""
    (a, b), (c, d) = _span(first), _span(second)
    if a > c or b < d:
        return False
    broad, narrow = first.get("when", {}), second.get("when", {})
    return all(name in narrow and set(narrow[name]) <= set(values) for name, values in broad.items())
