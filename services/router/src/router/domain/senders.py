"""Who may send from which address, and which kinds of address a country and a carrier take.

Three kinds (3GPP TS 23.040, section 9.1.2.5, and carriers' habit): alphanumeric, at most 11 ASCII letters, digits and
spaces with a letter; short_code, 3 to 8 digits; numeric, up to 15 digits. Without a book every sender passes.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from zlib import crc32

from shared.text.look_alikes import folded

from router.domain.routes import Ask, moment_of
from router.domain.trouble import FieldTrouble, TroublesError

KINDS = ("alphanumeric", "short_code", "numeric")
_ALPHANUMERIC = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 ._&-]{1,11}", re.ASCII)
_SHORT = re.compile(r"[0-9]{3,8}", re.ASCII)
_NUMERIC = re.compile(r"\+?[0-9]{9,15}", re.ASCII)
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
SHORTEST_INSIDE = 5  # a protected name of fewer letters would be found inside ordinary words
REMEMBERED_MS = 1_000  # registrations end, so an answer serves for its second only
EVERY_WORD = "*"  # as a keyword: whatever begins with no other keyword of the number
_WORD = re.compile(r"\S{1,20}")
Body = Mapping[str, Any]


def kind_of(sender: str) -> str | None:
    """None for what no carrier takes as a source address."""
    if _SHORT.fullmatch(sender):
        return "short_code"
    if _NUMERIC.fullmatch(sender):
        return "numeric"
    return "alphanumeric" if _ALPHANUMERIC.fullmatch(sender) else None


class Ruling(NamedTuple):
    """`sender` is the one to use (None: the route's own); `refused`: a sentence why none may be; `replaced`: why another."""

    sender: str | None
    refused: str = ""
    replaced: str = ""


@dataclass(frozen=True, slots=True)
class Registration:
    """A sender that belongs to tenants, with proof on file. Empty countries or carriers: all of them."""

    tenants: frozenset[str]
    countries: frozenset[str]
    carriers: frozenset[str]
    ends: int | None

    def holds(self, country: str, now: int) -> bool:
        return (not self.countries or country in self.countries) and (self.ends is None or now < self.ends)


@dataclass(frozen=True)
class Senders:
    version: int
    countries: Mapping[str, Body] = field(default_factory=dict)
    carriers: Mapping[str, Body] = field(default_factory=dict)
    registered: Mapping[str, tuple[Registration, ...]] = field(default_factory=dict)  # by the sender folded
    protected: tuple[tuple[str, str, frozenset[str]], ...] = ()  # folded, as written, whose it is
    tenants: Mapping[str, Body] = field(default_factory=dict)
    keywords: Mapping[str, Mapping[str, str]] = field(
        default_factory=dict
    )  # of a short code: the word, folded, to whose it is
    _ruled: dict[tuple[str, str, str | None, int], Ruling] = field(default_factory=dict, compare=False, repr=False)

    def rule(self, tenant: str, country: str, wanted: str | None, now: int, contact: str = "") -> Ruling:
        """Which sender a tenant's message to a country gets. Of a pool of senders a contact always gets the same one."""
        if not self.version:
            return Ruling(wanted)
        if wanted is None and contact:
            for sender in self._pooled(tenant, country, contact):
                pooled = self.rule(tenant, country, sender, now)
                if pooled.sender == sender:
                    return pooled
        key = (tenant, country, wanted, now // REMEMBERED_MS)
        found = self._ruled.get(key)
        if found is None:
            if len(self._ruled) >= 10_000:
                self._ruled.clear()
            found = self._ruled[key] = self._rule(tenant, country, wanted, now)
        return found

    def _pooled(self, tenant: str, country: str, contact: str) -> Sequence[str]:
        """The pool's senders in the contact's own order. One that leaves the pool moves its own contacts only."""
        pool = self.tenants.get(tenant, {}).get("pools", {}).get(country, ())
        return sorted(pool, key=lambda sender: crc32(f"{contact} {sender}".encode())) if pool else ()

    def owner_of(self, recipient: str, word: str = "") -> str | None:
        """Whose is a message from a handset to this short code, by its first word? None where nobody is named."""
        words = self.keywords.get(recipient, {})
        return words.get(word.casefold()) or words.get(EVERY_WORD)

    def owners(self) -> dict[str, str]:
        """Of each number whose messages are one tenant's whatever they begin with: that tenant."""
        sole = {number: set(words.values()) for number, words in self.keywords.items()}
        every = {number: words.get(EVERY_WORD) for number, words in self.keywords.items()}
        found = {
            number: every[number] or (min(tenants) if len(tenants) == 1 else None) for number, tenants in sole.items()
        }
        return {number: tenant for number, tenant in found.items() if tenant is not None}

    def _rule(self, tenant: str, country: str, wanted: str | None, now: int) -> Ruling:
        trouble = self._trouble(tenant, country, wanted, now) if wanted is not None else "none was asked for"
        if not trouble:
            return Ruling(wanted)
        own = self.tenants.get(tenant, {})
        default = own.get("defaults", {}).get(country) or self.countries.get(country, {}).get("default")
        if wanted is None:
            return Ruling(default)
        if own.get("otherwise", "refuse") == "default" and default is not None:
            if not self._trouble(tenant, country, default, now):
                return Ruling(default, replaced=trouble)
            return Ruling(None, refused=f"{trouble}, and the default may not be used either")
        return Ruling(None, refused=trouble)

    def _trouble(self, tenant: str, country: str, sender: str, now: int) -> str:
        kind = kind_of(sender)
        if kind is None:
            return "it is no possible sender"
        looks = folded(sender)
        for name, written, owners in self.protected:
            if (looks == name or (len(name) >= SHORTEST_INSIDE and name in looks)) and tenant not in owners:
                return f"it looks like the protected name {written}"
        rules = self.countries.get(country, {})
        if kind not in rules.get("kinds", KINDS):
            return f"{country} takes no {kind} sender"
        words = self.keywords.get(sender)
        if words is not None and tenant not in words.values():
            return "the short code is somebody else's"
        holding = [found for found in self.registered.get(looks, ()) if found.holds(country, now)]
        if holding and not any(tenant in found.tenants for found in holding):
            return "it is registered for somebody else"
        if rules.get("registered") and not holding:
            return f"it is not registered for {country}"
        return ""

    @property
    def bars_carriers(self) -> bool:
        return bool(self.carriers)

    def refuses(self, carrier: str, ask: Ask) -> bool:
        """Does this carrier not take the sender? One without rules takes every."""
        rules = self.carriers.get(carrier)
        if rules is None or ask.sender is None:
            return False
        rules = {**rules, **rules.get("countries", {}).get(ask.country, {})}
        if kind_of(ask.sender) not in rules.get("kinds", KINDS):
            return True
        if not rules.get("registered"):
            return False
        found = self.registered.get(folded(ask.sender), ())
        return not any(not one.carriers or carrier in one.carriers for one in found)


NO_SENDERS = Senders(0)
_REGISTERED = ("sender", "tenant", "country", "carrier", "proof", "until")


def check_senders(body: object) -> Body:
    """The book itself, when it is good. TroublesError with everything that is wrong."""
    if not isinstance(body, Mapping):
        raise TroublesError([FieldTrouble("body", "invalid", "must be a JSON object")])
    names = {
        "countries": dict,
        "carriers": dict,
        "registered": list,
        "protected": list,
        "tenants": dict,
        "keywords": dict,
        "note": str,
    }
    troubles = [FieldTrouble(name, "unknown", "no such field") for name in body if name not in names]
    for name, shape in names.items():
        if not isinstance(body.get(name, shape()), shape):
            troubles.append(FieldTrouble(name, "invalid", f"must be {'an object' if shape is dict else 'a list'}"))
    if troubles:
        raise TroublesError(troubles)
    for country, rules in body.get("countries", {}).items():
        troubles += _rules(f"countries.{country}", rules, ("kinds", "default", "registered", "source", "as_of"))
        if not _COUNTRY.fullmatch(country):
            troubles.append(FieldTrouble(f"countries.{country}", "invalid", "must be ISO 3166-1 alpha-2 in capitals"))
    for carrier, rules in body.get("carriers", {}).items():
        troubles += _rules(f"carriers.{carrier}", rules, ("kinds", "registered", "countries"))
        for country, narrower in (rules.get("countries", {}) if isinstance(rules, Mapping) else {}).items():
            troubles += _rules(f"carriers.{carrier}.countries.{country}", narrower, ("kinds", "registered"))
    for place, entry in enumerate(body.get("registered", [])):
        troubles += _registration(f"registered[{place}]", entry)
    for place, entry in enumerate(body.get("protected", [])):
        if (
            not isinstance(entry, Mapping)
            or not folded(str(entry.get("name", "")))
            or not _texts(entry.get("tenant", []))
        ):
            troubles.append(
                FieldTrouble(f"protected[{place}]", "invalid", 'must be like {"name": "Brand", "tenant": ["acme"]}')
            )
    for code, words in body.get("keywords", {}).items():
        troubles += _keywords(f"keywords.{code}", code, words)
    for tenant, own in body.get("tenants", {}).items():
        if isinstance(own, Mapping):
            troubles += _pools(f"tenants.{tenant}.pools", own.get("pools", {}))
        if not isinstance(own, Mapping) or own.get("otherwise", "refuse") not in ("refuse", "default"):
            troubles.append(FieldTrouble(f"tenants.{tenant}.otherwise", "invalid", "must be refuse or default"))
        elif not isinstance(own.get("defaults", {}), Mapping):
            troubles.append(
                FieldTrouble(f"tenants.{tenant}.defaults", "invalid", "must be an object of senders by country")
            )
        else:
            troubles += [
                FieldTrouble(f"tenants.{tenant}.defaults.{country}", "invalid", "is no possible sender")
                for country, sender in own.get("defaults", {}).items()
                if not isinstance(sender, str) or kind_of(sender) is None
            ]
    if troubles:
        raise TroublesError(troubles)
    return body


def _keywords(where: str, code: str, words: object) -> list[FieldTrouble]:
    if not isinstance(code, str) or kind_of(code) not in ("short_code", "numeric"):
        return [FieldTrouble(where, "invalid", "must be a number that handsets can write to")]
    good = isinstance(words, Mapping) and words
    if not good or not all(_WORD.fullmatch(word) and isinstance(tenant, str) for word, tenant in words.items()):  # type: ignore[attr-defined]
        return [FieldTrouble(where, "invalid", 'must be tenants by keyword, such as {"PIZZA": "acme", "*": "other"}')]
    folded_words = [word.casefold() for word in words]  # type: ignore[attr-defined]
    return [
        FieldTrouble(f"{where}.{word}", "twice", "this keyword is given away already")
        for place, word in enumerate(folded_words)
        if word in folded_words[:place]
    ]


def _pools(where: str, pools: object) -> list[FieldTrouble]:
    if not isinstance(pools, Mapping):
        return [FieldTrouble(where, "invalid", "must be an object of lists of senders by country")]
    return [
        FieldTrouble(f"{where}.{country}", "invalid", "must be a list of possible senders, each once")
        for country, pool in pools.items()
        if not _texts(pool) or not pool or len(set(pool)) < len(pool) or not all(map(kind_of, pool))
    ]


def _texts(given: object) -> bool:
    return isinstance(given, list) and all(isinstance(one, str) for one in given)


def _rules(where: str, rules: object, names: Iterable[str]) -> list[FieldTrouble]:
    if not isinstance(rules, Mapping):
        return [FieldTrouble(where, "invalid", "must be an object")]
    found = [FieldTrouble(f"{where}.{name}", "unknown", "no such field") for name in rules if name not in names]
    kinds = rules.get("kinds", list(KINDS))
    if not _texts(kinds) or not set(kinds) <= set(KINDS):
        found.append(FieldTrouble(f"{where}.kinds", "invalid", f"must be a list of {', '.join(KINDS)}"))
    default = rules.get("default")
    if default is not None and (not isinstance(default, str) or kind_of(default) is None):
        found.append(FieldTrouble(f"{where}.default", "invalid", "is no possible sender"))
    if not isinstance(rules.get("registered", False), bool):
        found.append(FieldTrouble(f"{where}.registered", "invalid", "must be true or false"))
    if not isinstance(rules.get("countries", {}), Mapping):
        found.append(FieldTrouble(f"{where}.countries", "invalid", "must be an object"))
    return found


def _registration(where: str, entry: object) -> list[FieldTrouble]:
    if not isinstance(entry, Mapping):
        return [FieldTrouble(where, "invalid", "must be an object")]
    found = [FieldTrouble(f"{where}.{name}", "unknown", "no such field") for name in entry if name not in _REGISTERED]
    if not isinstance(entry.get("sender"), str) or kind_of(entry["sender"]) is None:
        found.append(FieldTrouble(f"{where}.sender", "invalid", "is no possible sender"))
    if not _texts(entry.get("tenant")) or not entry["tenant"]:
        found.append(FieldTrouble(f"{where}.tenant", "invalid", "must be a list of tenants"))
    found += [
        FieldTrouble(f"{where}.{name}", "invalid", "must be a list of texts")
        for name in ("country", "carrier")
        if not _texts(entry.get(name, []))
    ]
    if not isinstance(entry.get("proof"), str) or not entry["proof"].strip():
        found.append(
            FieldTrouble(f"{where}.proof", "missing", "say where the proof is: registration, brand or contract")
        )
    try:
        moment_of(entry.get("until"))
    except (ValueError, TypeError):
        found.append(FieldTrouble(f"{where}.until", "invalid", "must be a time such as 2027-12-24T08:00:00Z"))
    return found


def compile_senders(version: int, body: Body) -> Senders:
    """The rules of a book that `check_senders` found good."""
    registered: dict[str, tuple[Registration, ...]] = {}
    for entry in body.get("registered", []):
        looks = folded(entry["sender"])
        registered[looks] = (
            *registered.get(looks, ()),
            Registration(
                frozenset(entry["tenant"]), frozenset(entry.get("country", [])), frozenset(entry.get("carrier", [])),
                moment_of(entry.get("until")),
            ),
        )  # fmt: skip
    protected = tuple(
        (folded(entry["name"]), entry["name"], frozenset(entry.get("tenant", [])))
        for entry in body.get("protected", [])
    )
    return Senders(
        version, body.get("countries", {}), body.get("carriers", {}), registered, protected, body.get("tenants", {}),
        {code: {word.casefold(): tenant for word, tenant in words.items()} for code, words in body.get("keywords", {}).items()},
    )  # fmt: skip
