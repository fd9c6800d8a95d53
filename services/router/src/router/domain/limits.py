"""How fast, how many and for how much a tenant or a campaign may send: limits as data, with margins and shares.

Compiled from a checked book. Without a book nothing is limited.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from shared.contracts.fields import MICROS, PURPOSES

from router.domain.money import micros_of
from router.domain.trouble import FieldTrouble, TroublesError

PERIODS = ("day", "month", "total")
ALL_BUT_CODES = frozenset(PURPOSES) - {"otp"}
MOST_LIMITS = 2_000
HIGHEST_RATE = 100_000
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}", re.ASCII)
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
_FIELDS = (
    "id", "tenant", "campaign", "class", "country", "each", "per_second", "messages", "cost", "period", "zone",
    "when_reached", "note",
)  # fmt: skip
Body = Mapping[str, Any]


class UseKey(NamedTuple):
    """What is counted together. `period`: `2026-11-25`, `2026-11`, `total`, or `pace` for a rate."""

    tenant: str
    limit: str
    campaign: str
    period: str


@dataclass(frozen=True, slots=True)
class Limit:
    """`messages` and `cost` (millionths, as charged to the tenant) hold for a `period` by the clock of `zone`.

    Each tenant is counted apart, and with `each_campaign` each of its campaigns. None is no condition, or no limit.
    """

    name: str
    tenants: frozenset[str] | None = None
    campaigns: frozenset[str] | None = None
    classes: frozenset[str] = ALL_BUT_CODES
    countries: frozenset[str] | None = None
    each_campaign: bool = False
    per_second: float | None = None
    messages: int | None = None
    cost: int | None = None
    period: str = "day"
    zone: str = "UTC"
    waits: bool = False

    def fits(self, tenant: str, campaign: str | None, purpose: str, country: str) -> bool:
        return (
            purpose in self.classes
            and (self.tenants is None or tenant in self.tenants)
            and (self.campaigns is None or campaign in self.campaigns)
            and (self.countries is None or country in self.countries)
            and not (self.each_campaign and campaign is None)
        )

    @property
    def counts(self) -> bool:
        return self.messages is not None or self.cost is not None


class Margin(NamedTuple):
    """What a tenant is charged above the carrier's price: `share` in millionths of it, and `per_part` in millionths."""

    share: int = 0
    per_part: int = 0


NO_MARGIN = Margin()


@dataclass(frozen=True)
class Limits:
    version: int
    limits: Sequence[Limit] = ()
    margins: Mapping[str, Margin] = field(default_factory=dict)
    shares: Mapping[str, int] = field(
        default_factory=dict
    )  # how much of the carriers' rate a tenant gets beside others
    _fitting: dict[tuple[str, str | None, str, str], tuple[Limit, ...]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def fitting(self, tenant: str, campaign: str | None, purpose: str, country: str) -> tuple[Limit, ...]:
        key = (tenant, campaign, purpose, country)
        found = self._fitting.get(key)
        if found is None:
            if len(self._fitting) >= 100_000:
                self._fitting.clear()
            found = self._fitting[key] = tuple(limit for limit in self.limits if limit.fits(*key))
        return found

    def charge(self, tenant: str, price: int) -> int:
        """What a part costs the tenant, in millionths, for which a carrier takes `price`. Rounded up."""
        margin = self.margins.get(tenant, NO_MARGIN)
        return price + margin.per_part - (-price * margin.share // MICROS)

    def pace(self, tenant: str) -> float | None:
        """The least rate that all of a tenant's marketing is bound to, messages a second."""
        rates = [
            limit.per_second
            for limit in self.limits
            if limit.per_second is not None
            and not limit.each_campaign
            and limit.campaigns is None
            and limit.countries is None
            and limit.fits(tenant, None, "marketing", "ZZ")
        ]
        return min(rates, default=None)


NO_LIMITS = Limits(0)


@lru_cache(maxsize=10_000)
def _span(period: str, zone: str, hour: int) -> tuple[str, int | None]:
    there = datetime.fromtimestamp(hour * 900, UTC).astimezone(ZoneInfo(zone))
    if period == "total":
        return "total", None
    if period == "day":
        first, name = there.date() + timedelta(days=1), there.date().isoformat()
    else:
        first, name = (there.date().replace(day=1) + timedelta(days=32)).replace(day=1), f"{there:%Y-%m}"
    ends = datetime(first.year, first.month, first.day, tzinfo=ZoneInfo(zone))
    return name, int(ends.timestamp() * 1000)


def period_at(limit: Limit, now: int) -> tuple[str, int | None]:
    """The name of the period in which `now` (ms) falls, and when it ends. Offsets are multiples of a quarter of an hour."""
    return _span(limit.period, limit.zone, now // 900_000)


def check_limits(body: object) -> Body:
    """The book itself, when it is good. TroublesError with everything that is wrong."""
    if not isinstance(body, Mapping):
        raise TroublesError([FieldTrouble("body", "invalid", "must be a JSON object")])
    troubles = [
        FieldTrouble(name, "unknown", "no such field")
        for name in body
        if name not in ("limits", "margins", "shares", "note")
    ]
    limits, margins, shares = body.get("limits", []), body.get("margins", {}), body.get("shares", {})
    if not isinstance(limits, list) or len(limits) > MOST_LIMITS:
        troubles.append(FieldTrouble("limits", "invalid", f"must be a list of at most {MOST_LIMITS} limits"))
        limits = []
    names: set[str] = set()
    for place, limit in enumerate(limits):
        where = f"limits[{place}]"
        if not isinstance(limit, Mapping):
            troubles.append(FieldTrouble(where, "invalid", "must be an object"))
            continue
        troubles += [FieldTrouble(f"{where}.{f}", code, detail) for f, code, detail in _limit_troubles(limit)]
        if limit.get("id") in names:
            troubles.append(FieldTrouble(f"{where}.id", "twice", "another limit has this id"))
        names.add(str(limit.get("id")))
    troubles += _margin_troubles(margins)
    if not isinstance(shares, Mapping) or not all(type(s) is int and 1 <= s <= 1_000 for s in shares.values()):
        troubles.append(
            FieldTrouble("shares", "invalid", 'must be whole numbers from 1 to 1000 by tenant: {"acme": 3}')
        )
    if troubles:
        raise TroublesError(troubles)
    return {"limits": limits, "margins": margins, "shares": shares, "note": body.get("note", "")}


def _limit_troubles(limit: Body) -> list[tuple[str, str, str]]:
    found = [(name, "unknown", "no such field") for name in limit if name not in _FIELDS]
    if not isinstance(limit.get("id"), str) or not _NAME.fullmatch(limit["id"]):
        found.append(("id", "invalid_name", "1 to 64 of a-z, 0-9 and hyphen"))
    for name in ("tenant", "campaign", "class", "country"):
        values = limit.get(name)
        if values is None:
            continue
        if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
            found.append((name, "invalid", "must be a list of texts"))
        elif name == "class" and not set(values) <= set(PURPOSES):
            found.append((name, "invalid", f"must be of {', '.join(PURPOSES)}"))
        elif name == "country" and not all(_COUNTRY.fullmatch(value) for value in values):
            found.append((name, "invalid", "a country has two capitals"))
    classes = limit.get("class")
    if limit.get("per_second") is not None and isinstance(classes, list) and "otp" in classes and len(classes) > 1:
        found.append(("class", "lanes", "one-time codes would wait behind others: give them a limit of their own"))
    return found + _measure_troubles(limit)


def _measure_troubles(limit: Body) -> list[tuple[str, str, str]]:
    found = []
    rate, messages, cost = limit.get("per_second"), limit.get("messages"), limit.get("cost")
    if rate is None and messages is None and cost is None:
        found.append(("per_second", "missing", "say at least one of per_second, messages and cost"))
    if rate is not None and (
        isinstance(rate, bool) or not isinstance(rate, int | float) or not 0.01 <= rate <= HIGHEST_RATE
    ):
        found.append(("per_second", "invalid", f"must be a number from 0.01 to {HIGHEST_RATE}"))
    if messages is not None and (type(messages) is not int or messages < 0):
        found.append(("messages", "invalid", "must be a whole number, not negative"))
    if cost is not None:
        try:
            micros_of(cost if isinstance(cost, str) else "")
        except ValueError as error:
            found.append(("cost", "invalid", str(error)))
    if limit.get("period", "day") not in PERIODS:
        found.append(("period", "invalid", f"must be one of {', '.join(PERIODS)}"))
    if limit.get("zone", "UTC") not in available_timezones():
        found.append(("zone", "invalid", "must be an IANA time zone such as Europe/Paris"))
    if limit.get("each", "tenant") not in ("tenant", "campaign"):
        found.append(("each", "invalid", "must be tenant or campaign: what is counted apart"))
    if limit.get("when_reached", "drop") not in ("drop", "wait"):
        found.append(("when_reached", "invalid", "must be drop or wait"))
    return found


def _margin_troubles(margins: object) -> list[FieldTrouble]:
    if not isinstance(margins, Mapping):
        return [FieldTrouble("margins", "invalid", "must be an object by tenant")]
    found = []
    for tenant, margin in margins.items():
        where = f"margins.{tenant}"
        if not isinstance(margin, Mapping) or not margin or not margin.keys() <= {"share", "per_part"}:
            found.append(FieldTrouble(where, "invalid", 'must be like {"share": "0.15", "per_part": "0.002"}'))
            continue
        for name, value in margin.items():
            try:
                micros_of(value if isinstance(value, str) else "")
            except ValueError as error:
                found.append(FieldTrouble(f"{where}.{name}", "invalid", str(error)))
    return found


def compile_limits(version: int, body: Body) -> Limits:
    """The limits of a book that `check_limits` found good."""
    return Limits(
        version,
        tuple(
            Limit(
                one["id"], _set(one, "tenant"), _set(one, "campaign"), _set(one, "class") or ALL_BUT_CODES,
                _set(one, "country"), one.get("each") == "campaign", one.get("per_second"), one.get("messages"),
                micros_of(one["cost"]) if one.get("cost") is not None else None, one.get("period", "day"),
                one.get("zone", "UTC"), one.get("when_reached") == "wait",
            )
            for one in body["limits"]
        ),
        {t: Margin(micros_of(m.get("share", "0")), micros_of(m.get("per_part", "0"))) for t, m in body["margins"].items()},
        body["shares"],
    )  # fmt: skip


def _set(limit: Body, name: str) -> frozenset[str] | None:
    return frozenset(limit[name]) if limit.get(name) is not None else None
