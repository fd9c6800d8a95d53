"""Rules about what a text may say, kept as data: the operator's for everybody, and a tenant's own, which only add.

A rule has an id, a verdict (`hold` for a person, or `block`), and where it holds: countries and purposes, none meaning
all. Where several rules speak up, `block` outranks `hold`; of equals the first counts.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

Verdict = Literal["pass", "hold", "block"]
Word = Annotated[str, Meta(min_length=1, max_length=100)]
Words = Annotated[list[Word], Meta(min_length=1, max_length=2000)]
Most = Annotated[int, Meta(ge=1, le=1_000_000)]
Within = Annotated[int, Meta(ge=60, le=604_800)]
DAY_S: Final = 86_400
PREFIX_DIGITS: Final = 7  # of a number travel in the clear


class Rule(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", kw_only=True, omit_defaults=True):
    id: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
    verdict: Literal["hold", "block"]
    countries: list[Annotated[str, Meta(pattern=r"^[A-Z]{2}$")]] = []
    purposes: list[Literal["marketing", "transactional", "otp"]] = []
    source: Annotated[str, Meta(max_length=500)] = ""
    as_of: Annotated[str, Meta(max_length=10)] = ""

    def holds_for(self, country: str, purpose: str) -> bool:
        return (not self.countries or country in self.countries) and (not self.purposes or purpose in self.purposes)


class Domains(Rule, frozen=True, tag="domains"):
    """A link to one of these hosts, or to a host below one."""

    domains: Words


class OnlyDomains(Rule, frozen=True, tag="only_domains"):
    """A link to any other host: where a country lists the links that may be sent (India's DLT)."""

    domains: Words


class MixedScript(Rule, frozen=True, tag="mixed_script"):
    """A word written in two alphabets at once."""


class LookAlikes(Rule, frozen=True, tag="look_alikes"):
    """Something that looks like one of these names and is not written like it."""

    names: Words


class ForbiddenWords(Rule, frozen=True, tag="words"):
    """A word of a category that is forbidden there."""

    words: Words


class Repeats(Rule, frozen=True, tag="repeats"):
    """More than `most` messages of one text to one number in `within_s`."""

    most: Most
    within_s: Within = DAY_S


class Velocity(Rule, frozen=True, tag="velocity"):
    """More than `most` messages in `within_s` to numbers of one prefix, or of the tenant altogether."""

    most: Most
    within_s: Within = 3600
    of: Literal["prefix", "tenant"] = "prefix"


AnyRule = Domains | OnlyDomains | MixedScript | LookAlikes | ForbiddenWords | Repeats | Velocity


class Book(Struct, frozen=True, forbid_unknown_fields=True):
    """`version` is set where it is stored."""

    rules: Annotated[list[AnyRule], Meta(max_length=200)]
    version: str = ""


BOOK: Final = msgspec.json.Decoder(Book)


def trouble_with(book: Book) -> tuple[str, str] | None:
    """The field that is wrong, and why; None when the book can be put in force."""
    seen: set[str] = set()
    for place, rule in enumerate(book.rules):
        if rule.id in seen:
            return f"rules.{place}.id", f"another rule is called {rule.id}"
        seen.add(rule.id)
        hosts: Any = getattr(rule, "domains", ())
        for host in hosts:
            if "." not in host or "/" in host or host != host.lower():
                return f"rules.{place}.domains", f"{host!r} is not a host such as example.com"
    return None
