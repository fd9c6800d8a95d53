"""Whether a rendered text may go, by the rules in force. Pure: a text in, a finding out.

What only the text tells is judged here. Repeats and velocity need what was sent before: `repeats` and `velocities` say
which rules ask for it, and `worse` joins the findings.
"""

import re
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Final, NamedTuple

from msgspec import Struct
from shared.text.look_alikes import folded, letters_of

from segmenter.domain.content_rules import (
    Book,
    Domains,
    ForbiddenWords,
    LookAlikes,
    MixedScript,
    OnlyDomains,
    Repeats,
    Rule,
    Velocity,
    Verdict,
)
from segmenter.domain.opt_out_texts import NO_ENDINGS, Endings

_RANK: Final = {"pass": 0, "hold": 1, "block": 2}
_HOST: Final = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,24}(?![\w-])")
_LATIN: Final = re.compile(r"[A-Za-z\u00c0-\u024f]")
_OTHER: Final = re.compile(
    r"[\u0370-\u058f\u10a0-\u10ff\u13a0-\u13ff]"
)  # Greek, Cyrillic, Armenian, Georgian, Cherokee
_WORD: Final = re.compile(r"[^\W\d_]+")
_TOKEN: Final = re.compile(r"\w+(?:-\w+)*")


class Finding(Struct, frozen=True, gc=False):
    """`rule` names the rule behind the verdict; None for `pass`. `features`: what the text has, for whoever judges later,
    never what it says."""

    verdict: Verdict = "pass"
    rule: str | None = None
    features: str = ""


PASS: Final = Finding()


def worse(first: Finding, second: Finding) -> Finding:
    """The stricter of two findings, with the features of both."""
    strict = second if _RANK[second.verdict] > _RANK[first.verdict] else first
    features = " ".join(dict.fromkeys(f"{first.features} {second.features}".split()))
    return strict if features == strict.features else Finding(strict.verdict, strict.rule, features)


class Text:
    """A text as the checks look at it: each view of it is made once, when first asked for."""

    def __init__(self, written: str) -> None:
        self.written, self.lower = written, written.casefold()
        self.hosts = [host for word in self.lower.split() if "." in word for host in _HOST.findall(word)]

    @cached_property
    def words(self) -> frozenset[str]:
        return frozenset(_TOKEN.findall(self.lower))


Check = Callable[[Text], bool]


class Compiled(NamedTuple):
    """The rules that hold for a country and a purpose."""

    checks: Sequence[tuple[Rule, Check]]
    repeats: Sequence[Repeats]
    velocities: Sequence[Velocity]


class ContentRules:
    """A tenant's rules in force: the operator's book and its own."""

    def __init__(self, *books: Book, endings: Endings = NO_ENDINGS) -> None:
        self.books, self.endings = books, endings
        self._rules = [rule for book in books for rule in book.rules]
        self.name = "content:" + "+".join(book.version for book in books) + endings.name
        self._compiled: dict[tuple[str, str], Compiled] = {}
        self._checks = {id(rule): check for rule in self._rules if (check := _check_of(rule)) is not None}

    def of(self, country: str, purpose: str) -> Compiled:
        found = self._compiled.get((country, purpose))
        if found is None:
            held = [rule for rule in self._rules if rule.holds_for(country, purpose)]
            found = self._compiled[country, purpose] = Compiled(
                [(rule, self._checks[id(rule)]) for rule in held if id(rule) in self._checks],
                [rule for rule in held if isinstance(rule, Repeats)],
                [rule for rule in held if isinstance(rule, Velocity)],
            )
        return found

    def judge(self, text: str, country: str, purpose: str) -> Finding:
        """What the text alone tells."""
        looked_at = Text(text)
        found, features = PASS, ["link"] if looked_at.hosts else []
        for rule, check in self.of(country, purpose).checks:
            if check(looked_at):
                features.append(rule.id)
                if _RANK[rule.verdict] > _RANK[found.verdict]:
                    found = Finding(rule.verdict, rule.id)
        return Finding(found.verdict, found.rule, " ".join(features)) if features else PASS


NO_RULES: Final = ContentRules(Book([], "none"))


def _check_of(rule: Rule) -> Check | None:
    match rule:
        case Domains():
            return partial(_links_to, frozenset(rule.domains))
        case OnlyDomains():
            return partial(_links_elsewhere, frozenset(rule.domains))
        case MixedScript():
            return _mixes_scripts
        case LookAlikes():
            return partial(_looks_like, [(folded(name), letters_of(name.casefold())) for name in rule.names])
        case ForbiddenWords():
            return partial(_says, frozenset(word.casefold() for word in rule.words))
    return None


def _within(host: str, domains: frozenset[str]) -> bool:
    """Is the host one of the domains, or below one?"""
    while host not in domains:
        _, dot, host = host.partition(".")
        if not dot:
            return False
    return True


def _links_to(domains: frozenset[str], text: Text) -> bool:
    return any(_within(host, domains) for host in text.hosts)


def _links_elsewhere(domains: frozenset[str], text: Text) -> bool:
    return any(not _within(host, domains) for host in text.hosts)


def _mixes_scripts(text: Text) -> bool:
    if text.written.isascii() or not _OTHER.search(text.written):
        return False
    return any(_LATIN.search(word) and _OTHER.search(word) for word in _WORD.findall(text.written))


def _looks_like(names: Sequence[tuple[str, str]], text: Text) -> bool:
    """More places look like a name than are written like it."""
    looks = folded(text.lower)
    plain = None
    for look, written in names:
        if look in looks:
            plain = letters_of(text.lower) if plain is None else plain
            if looks.count(look) > plain.count(written):
                return True
    return False


def _says(words: frozenset[str], text: Text) -> bool:
    return not words.isdisjoint(text.words)
