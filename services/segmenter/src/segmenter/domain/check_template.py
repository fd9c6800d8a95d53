"""What is said of a template when it is saved: variables nobody has, those without a default, and how long it gets. Pure.

A variable lacks a default when leaving it out, with all others given, makes a message fail. The longest text is rendered with
the longest values that the tenant's contacts have.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from segmenter.domain.prepare import Drop, Ready, sized
from segmenter.domain.templates import CompiledBody, RenderFailedError

BUILT_IN: Final = frozenset({"contact", "coupon", "feed"})
ABOUT_A_NAME: Final = "Maximiliane-Charlotte"  # where no contact tells how long a value gets


class Warning(Struct, frozen=True, omit_defaults=True):
    locale: str
    code: str
    detail: str
    variable: str | None = None


class Longest(Struct, frozen=True):
    """What the longest text takes."""

    characters: int
    encoding: str
    parts: int


def check_body(
    locale: str, body: CompiledBody, known: Collection[str] | None, longest: Mapping[str, Any]
) -> tuple[list[Warning], Longest | None]:
    """`known`: names of the tenant's attributes; None when a caller gives the variables, so that none is unknown.
    `longest`: the longest value of each."""
    found: list[Warning] = []
    values = {name: longest.get(name, ABOUT_A_NAME) for name in body.variables if name not in BUILT_IN}
    values["contact"] = {"ref": "c" * 20, "country": "FR", "locale": locale, "time_zone": "Europe/Paris"}
    values |= {name: _Anything() for name in ("coupon", "feed") if name in body.variables}
    for name in body.variables:
        if name in BUILT_IN:
            continue
        if known is not None and name not in known:
            found.append(Warning(locale, "unknown_variable", "no contact has this attribute", name))
        without = {other: value for other, value in values.items() if other != name}
        if _fails(body, values) is None and _fails(body, without) is not None:
            found.append(Warning(locale, "no_default", "whoever has no value for it is not written to", name))
    try:
        text = body.render(values)
    except RenderFailedError as error:
        return [*found, Warning(locale, "fails", str(error))], None
    match sized(text, locale):
        case Ready() as ready:
            return found, Longest(len(text), ready.encoding, ready.parts)
        case Drop() as drop:
            return [*found, Warning(locale, drop.reason, drop.detail or drop.reason)], None


def _fails(body: CompiledBody, values: Mapping[str, Any]) -> str | None:
    try:
        body.render(dict(values))
    except RenderFailedError as error:
        return str(error)
    return None


class _Anything(dict[str, Any]):
    """Stands for a coupon or an item of a feed: any key gives a value of a usual length."""

    def __missing__(self, key: str) -> str:
        return "XXXX-XXXX-XXXX"

    def __contains__(self, key: object) -> bool:
        return True


def names_of(bodies: Sequence[CompiledBody]) -> list[str]:
    """All attributes that some body names."""
    return sorted({name for body in bodies for name in body.variables} - BUILT_IN)
