"""The books of rules, each kept whole by version, and what they compile to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from router.domain.check_routes import check_routes
from router.domain.limits import NO_LIMITS, Limits, check_limits, compile_limits
from router.domain.number_plan import NumberPlan
from router.domain.routes import NO_ROUTES, RoutePlan, compile_routes
from router.domain.senders import NO_SENDERS, Senders, check_senders, compile_senders
from router.domain.tariff import Tariff
from router.domain.windows import NO_WINDOWS, Windows, check_windows, compile_windows

KINDS = ("routes", "windows", "senders", "limits")
Body = Mapping[str, Any]


@dataclass(frozen=True)
class Rules:
    """Everything that operators have put in force, at one moment."""

    routes: RoutePlan = NO_ROUTES
    windows: Windows = NO_WINDOWS
    senders: Senders = NO_SENDERS
    limits: Limits = NO_LIMITS
    versions: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))


NO_RULES = Rules()


def compiled(books: Mapping[str, tuple[int, Body]]) -> Rules:
    """From kind to (version, body), the body as it was checked. A kind without a book has no rules."""
    compilers: Mapping[str, Callable[[int, Body], Any]] = {
        "routes": compile_routes,
        "windows": compile_windows,
        "senders": compile_senders,
        "limits": compile_limits,
    }
    found = {kind: compilers[kind](*book) for kind, book in books.items() if kind in compilers}
    versions = {kind: books[kind][0] if kind in books else 0 for kind in KINDS}
    return Rules(**found, versions=versions)


def checked(kind: str, body: object, tariff: Tariff, plan: NumberPlan) -> Body:
    """The book to keep. TroublesError with every row that is wrong."""
    if kind == "routes":
        return check_routes(body, tariff, plan)
    return {"senders": check_senders, "windows": check_windows, "limits": check_limits}[kind](body)
