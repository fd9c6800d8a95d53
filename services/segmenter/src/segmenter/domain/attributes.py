"""What kind of value each attribute of a tenant's contacts holds: learnt from what comes, or pinned by the tenant.

A learnt kind widens when other values come (`date` and `text` are `text`, the rest is `mixed`); a pinned one refuses
them. The words of a CSV become values by the kind that is known, else by what the whole column looks like.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final, Literal, get_args

import msgspec

Kind = Literal["text", "number", "boolean", "date", "list", "point", "object", "mixed"]
KINDS: Final[tuple[str, ...]] = get_args(Kind)
PINNABLE: Final = frozenset(KINDS) - {"mixed"}
MOST_NAMES: Final = 1000  # a tenant with more puts values where names belong

_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?")  # 0612 and +33 are texts: they would lose digits
_DATE: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_POINT: Final = re.compile(r"(-?[0-9]{1,2}\.[0-9]+)[ ,;]\s*(-?[0-9]{1,3}\.[0-9]+)")
_BOOLEANS: Final = {"true": True, "false": False}


class UnfitError(ValueError):
    """A value that its attribute does not take. `name` is the attribute's."""

    def __init__(self, name: str, code: str, detail: str) -> None:
        super().__init__(detail)
        self.name, self.code, self.detail = name, code, detail


class Schema:
    """The kinds of one tenant's attributes while a request lasts. `learnt` is what it has yet to store."""

    __slots__ = ("_kinds", "_pinned", "closed", "learnt")

    def __init__(self, kinds: Mapping[str, Kind], pinned: Iterable[str] = (), closed: bool = False) -> None:
        self._kinds: dict[str, Kind] = dict(kinds)
        self._pinned = frozenset(pinned)
        self.closed = closed
        self.learnt: dict[str, Kind] = {}

    def kind(self, name: str) -> Kind | None:
        return self._kinds.get(name)

    @property
    def kinds(self) -> Mapping[str, Kind]:
        return self._kinds

    def take(self, attributes: Mapping[str, Any]) -> None:
        """Checks the values against what is pinned, and learns from the rest. UnfitError."""
        for name, value in attributes.items():
            if value is None:
                continue
            kind, held = kind_of(value), self._kinds.get(name)
            if kind == held or held == "mixed":
                continue
            if held is None:
                self._admit(name, kind)
            elif name not in self._pinned:
                self._set(name, widened(held, kind))
            elif not (held == "text" and kind == "date"):
                raise UnfitError(name, "wrong_kind", f"is pinned as a {held}: a {kind} does not fit")

    def _admit(self, name: str, kind: Kind) -> None:
        if self.closed:
            raise UnfitError(name, "unknown_attribute", "is not in the schema, which takes no new attributes")
        if len(self._kinds) >= MOST_NAMES:
            raise UnfitError(name, "too_many", f"would be more than {MOST_NAMES} attributes: pin those that are meant")
        self._set(name, kind)

    def _set(self, name: str, kind: Kind) -> None:
        self._kinds[name] = self.learnt[name] = kind


def kind_of(value: Any) -> Kind:
    """The kind of a value as decoded from JSON."""
    if isinstance(value, str):
        return "date" if is_date(value) else "text"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, list):
        return "list"
    return "point" if is_point(value) else "object"


def widened(held: Kind, other: Kind) -> Kind:
    """The kind of an attribute that holds values of both."""
    if held == other:
        return held
    return "text" if {held, other} == {"text", "date"} else "mixed"


def is_date(text: str) -> bool:
    """A day, or a day with its time, as in RFC 3339."""
    if len(text) < 10 or text[4] != "-" or _DATE.fullmatch(text) is None:
        return False
    try:
        date.fromisoformat(text[:10])
    except ValueError:
        return False
    return True


def is_point(value: Any) -> bool:
    """{"lat": -90..90, "lon": -180..180}."""
    if not isinstance(value, dict) or value.keys() != {"lat", "lon"}:
        return False
    return all(
        isinstance(value[axis], int | float) and not isinstance(value[axis], bool) and abs(value[axis]) <= most
        for axis, most in (("lat", 90), ("lon", 180))
    )


def kind_of_column(words: Iterable[str]) -> Kind:
    """What a column of a CSV holds, judged by some of its words that are not empty: `text` unless all agree."""
    kinds = {kind_of(guessed(word)) for word in words}
    return kinds.pop() if len(kinds) == 1 else "text"


def guessed(word: str) -> Any:
    """The value that a word of a CSV stands for when nothing is known of its attribute."""
    kind: Kind
    for kind in ("number", "boolean", "point", "list"):
        value = value_of(word, kind)
        if value is not None:
            return value
    return word


def value_of(word: str, kind: Kind | None) -> Any:
    """A word of a CSV as a value of this kind; None when it is none. Kinds without a form of their own are texts."""
    if kind == "number":
        if _NUMBER.fullmatch(word) is None:
            return None
        return float(word) if "." in word else int(word)
    if kind == "boolean":
        return _BOOLEANS.get(word.lower())
    if kind == "point":
        found = _POINT.fullmatch(word)
        point = {"lat": float(found[1]), "lon": float(found[2])} if found else None
        return point if is_point(point) else None
    if kind in ("list", "object"):
        return _decoded(word, "[" if kind == "list" else "{")
    return word


def _decoded(word: str, opening: str) -> Any:
    if not word.startswith(opening):
        return None
    try:
        return msgspec.json.decode(word)
    except (msgspec.DecodeError, RecursionError):
        return None
