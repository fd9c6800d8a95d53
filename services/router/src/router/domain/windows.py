"""When messages may be sent, by the recipient's clock: windows as data. Where none is put, everything may go at once.

All windows that fit a message must be open: a tenant's own window can only narrow a country's. One-time codes are
exempt always. Times of day are local; a window of 08:00-20:00 is open at 08:00 and shut at 20:00. A day without hours is
shut, and so is a public holiday where the window says `holidays`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import holidays

from router.domain.trouble import FieldTrouble, TroublesError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LOOK_AHEAD_DAYS = 15  # the longest run of holidays and weekends anywhere is shorter
MINUTES = 24 * 60
MOST_ZONES = 2_000  # remembered; there are about 600
_CLOCK = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])", re.ASCII)
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
_FIELDS = ("id", "country", "region", "zones", "class", "tenant", "days", "holidays", "source", "as_of", "note")
Spans = tuple[tuple[int, int], ...]  # minutes of the day, end exclusive


@dataclass(frozen=True, slots=True)
class Window:
    """`zones`: where the recipient may be when his own zone is not known: it must be open in all of them.

    `region` (ISO 3166-2 without the country, where it has holidays of its own) with `zones` narrows the window to recipients whose zone is one of them.
    """

    name: str
    country: str
    zones: tuple[str, ...]
    days: tuple[Spans, ...]
    classes: frozenset[str] = frozenset({"marketing"})
    tenants: frozenset[str] | None = None
    region: str | None = None
    holidays: bool = False

    def is_open(self, at: datetime) -> bool:
        """`at` in the recipient's zone."""
        if self.holidays and is_holiday(self.country, self.region, at.date()):
            return False
        minute = at.hour * 60 + at.minute
        return any(begins <= minute < ends for begins, ends in self.days[at.weekday()])


_HOLIDAYS: dict[tuple[str, str | None, int], frozenset[date]] = {}


def is_holiday(country: str, region: str | None, day: date) -> bool:
    """A public holiday by law, from the `holidays` package's tables."""
    key = (country, region, day.year)
    found = _HOLIDAYS.get(key)
    if found is None:
        found = _HOLIDAYS[key] = frozenset(holidays.country_holidays(country, subdiv=region, years=day.year))
    return day in found


@dataclass(frozen=True)
class Windows:
    version: int
    windows: Sequence[Window]
    _answers: dict[tuple[object, ...], tuple[int, int, int]] = field(default_factory=dict, compare=False, repr=False)

    def fitting(self, country: str, purpose: str, tenant: str, zone: str | None) -> tuple[Window, ...]:
        if purpose == "otp":
            return ()
        return tuple(
            w
            for w in self._by_country.get(country, ())
            if purpose in w.classes
            and (w.tenants is None or tenant in w.tenants)
            and (w.region is None or zone is None or zone in w.zones)
        )

    @cached_property
    def _by_country(self) -> Mapping[str, Sequence[Window]]:
        found: dict[str, list[Window]] = {}
        for window in self.windows:
            found.setdefault(window.country, []).append(window)
        return found

    def opening(self, country: str, purpose: str, tenant: str, zone: str | None, now: int) -> tuple[int, int | None]:
        """(when it may go, when it may no more), ms UTC: `now` itself when it may go now. (now, None): at any time."""
        fitting = self.fitting(country, purpose, tenant, zone)
        if not fitting:
            return now, None
        key = (fitting, zone)
        known = self._answers.get(key)
        if known is None or not known[0] <= now < known[1]:
            opens = next_open(fitting, zone, now)
            shuts = next_shut(fitting, zone, opens)
            known = (now, opens, shuts) if opens > now else (now, shuts, shuts)
            self._remember(key, known)
        _, changes, shuts = known
        return (now if changes == shuts else changes), shuts

    def spans(
        self, country: str, purpose: str, tenant: str, zone: str | None, now: int, until: int
    ) -> list[tuple[int, int]]:
        """When it is open between `now` and `until`, ms UTC, in order."""
        fitting = self.fitting(country, purpose, tenant, zone)
        if not fitting:
            return [(now, until)]
        found: list[tuple[int, int]] = []
        while now < until and (opens := next_open(fitting, zone, now)) < until:
            now = min(until, next_shut(fitting, zone, opens))
            found.append((opens, now))
        return found

    def _remember(self, key: tuple[object, ...], answer: tuple[int, int, int]) -> None:
        if len(self._answers) > 10_000:
            self._answers.clear()
        self._answers[key] = answer


NO_WINDOWS = Windows(0, ())


def is_open(windows: Iterable[Window], zone: str | None, at: int) -> bool:
    """May a message go at this moment (ms UTC) to someone in `zone` (None: anywhere in the windows' zones)?"""
    moment = datetime.fromtimestamp(at / 1000, UTC)
    return all(w.is_open(moment.astimezone(ZoneInfo(z))) for w in windows for z in _zones(w, zone))


def next_open(windows: Sequence[Window], zone: str | None, now: int) -> int:
    """The first moment from `now` on at which all are open; LOOK_AHEAD_DAYS later when none is before."""
    if is_open(windows, zone, now):
        return now
    for moment in _edges(windows, zone, now):
        if is_open(windows, zone, moment):
            return moment
    return now + LOOK_AHEAD_DAYS * 86_400_000


def next_shut(windows: Sequence[Window], zone: str | None, now: int) -> int:
    """The first moment after `now` at which one of them is shut."""
    for moment in _edges(windows, zone, now):
        if not is_open(windows, zone, moment):
            return moment
    return now + LOOK_AHEAD_DAYS * 86_400_000


def _zones(window: Window, zone: str | None) -> tuple[str, ...]:
    return window.zones if zone is None else (zone,)


def _edges(windows: Sequence[Window], zone: str | None, now: int) -> Iterator[int]:
    """Every later moment at which a window may change: its hours on each day, midnights, and where clocks are changed.

    An hour that the clock skips or has twice is looked at both ways; whoever asks tests each moment itself. Most
    answers are found within two days, so the rest is worked out only where they are not.
    """
    near = now + 2 * 86_400_000
    yield from (moment for moment in _edges_within(windows, zone, now, 4) if moment < near)
    yield from (moment for moment in _edges_within(windows, zone, now, LOOK_AHEAD_DAYS) if moment >= near)


def _edges_within(windows: Sequence[Window], zone: str | None, now: int, days: int) -> list[int]:
    found: set[int] = set()
    for window in windows:
        minutes = {0, *(minute for spans in window.days for span in spans for minute in span)}
        for name in _zones(window, zone):
            there = ZoneInfo(name)
            first = datetime.fromtimestamp(now / 1000, there).date()
            for ahead in range(days):
                day = first + timedelta(days=ahead)
                before, after = (datetime.combine(day + timedelta(days=n), time(), there) for n in (0, 1))
                changes = before.utcoffset() != after.utcoffset()
                if changes:
                    found.add(_clock_change(day, there))
                for minute in minutes:
                    wall = datetime.combine(
                        day + timedelta(days=minute // MINUTES), time(minute % MINUTES // 60, minute % 60)
                    )
                    for fold in (0, 1) if changes else (0,):
                        found.add(int(wall.replace(tzinfo=there, fold=fold).timestamp() * 1000))
    return sorted(moment for moment in found if moment > now)


def _clock_change(day: date, there: ZoneInfo) -> int:
    """The moment within a day at which the zone's offset changes, ms UTC."""
    low = int(datetime.combine(day, time(), there).timestamp())
    high = int(datetime.combine(day + timedelta(days=1), time(), there).timestamp())
    before = datetime.fromtimestamp(low, there).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, there).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high * 1000


def check_windows(body: object) -> Mapping[str, Any]:
    """The book itself, when it is good. TroublesError with everything that is wrong."""
    troubles: list[FieldTrouble] = []
    if not isinstance(body, Mapping) or not isinstance(body.get("windows"), list):
        raise TroublesError([FieldTrouble("windows", "invalid", "must be a list of windows")])
    troubles += [FieldTrouble(name, "unknown", "no such field") for name in body if name not in ("windows", "note")]
    names: set[str] = set()
    for place, window in enumerate(body["windows"]):
        field_name = f"windows[{place}]"
        if not isinstance(window, Mapping):
            troubles.append(FieldTrouble(field_name, "invalid", "must be an object"))
            continue
        troubles += [FieldTrouble(f"{field_name}.{f}", code, detail) for f, code, detail in _window_troubles(window)]
        if window.get("id") in names:
            troubles.append(FieldTrouble(f"{field_name}.id", "twice", "another window has this id"))
        names.add(str(window.get("id")))
    if troubles:
        raise TroublesError(troubles)
    return {"windows": body["windows"], "note": body.get("note", "")}


def _window_troubles(window: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    for name in window:
        if name not in _FIELDS:
            yield name, "unknown", "no such field"
    if not isinstance(window.get("id"), str) or not window["id"]:
        yield "id", "invalid", "must be a text"
    country, region = window.get("country"), window.get("region")
    if not isinstance(country, str) or not _COUNTRY.fullmatch(country):
        yield "country", "invalid", "must be ISO 3166-1 alpha-2 in capitals"
    elif window.get("holidays"):
        try:
            holidays.country_holidays(country, subdiv=region, years=2026)
        except NotImplementedError:
            yield "holidays", "unknown", "no table of public holidays for this country or region"
    if region is not None and not isinstance(region, str):
        yield "region", "invalid", "must be a text"
    zones = window.get("zones")
    if not isinstance(zones, list) or not zones or not set(map(str, zones)) <= available_timezones():
        yield "zones", "invalid", "must be a list of IANA time zones such as Europe/Paris"
    for name in ("class", "tenant"):
        values = window.get(name)
        if values is not None and (not isinstance(values, list) or not all(isinstance(v, str) for v in values)):
            yield name, "invalid", "must be a list of texts"
    if "otp" in (window.get("class") or ()):
        yield "class", "exempt", "one-time codes are exempt from windows"
    days = window.get("days")
    if not isinstance(days, Mapping) or not days or not all(day in DAYS for day in days):
        yield "days", "invalid", f"must be an object with hours by day, of {', '.join(DAYS)}"
        return
    for day, hours in days.items():
        try:
            spans_of(hours)
        except ValueError as error:
            yield f"days.{day}", "invalid", str(error)


def spans_of(hours: object) -> Spans:
    """`["08:00-12:00", "14:00-20:00"]` as minutes. 24:00 is the day's end."""
    if not isinstance(hours, list):
        raise ValueError('must be a list of hours such as ["08:00-20:00"]')
    found = []
    for span in hours:
        ends = [_CLOCK.fullmatch(part) for part in str(span).split("-")]
        if len(ends) != 2 or ends[0] is None or ends[1] is None:
            raise ValueError("hours are written like 08:00-20:00")
        begins, shuts = (int(end[1]) * 60 + int(end[2]) for end in ends if end is not None)
        if not begins < shuts <= MINUTES:
            raise ValueError("hours end before they begin")
        found.append((begins, shuts))
    return tuple(sorted(found))


def compile_windows(version: int, body: Mapping[str, Any]) -> Windows:
    """The windows of a book that `check_windows` found good."""
    return Windows(
        version,
        tuple(
            Window(
                w["id"], w["country"], tuple(w["zones"]), tuple(spans_of(w["days"].get(day, [])) for day in DAYS),
                frozenset(w.get("class") or ("marketing",)), frozenset(w["tenant"]) if w.get("tenant") else None,
                w.get("region"), bool(w.get("holidays")),
            )
            for w in body["windows"]
        ),
    )  # fmt: skip


def known_zone(name: str | None) -> str | None:
    """The zone, or None for one that this machine does not know."""
    if name is None:
        return None
    if name not in _KNOWN:
        if len(_KNOWN) >= MOST_ZONES:
            _KNOWN.clear()
        try:
            ZoneInfo(name)
            _KNOWN[name] = name
        except (KeyError, ValueError, OSError):
            _KNOWN[name] = None
    return _KNOWN[name]


_KNOWN: dict[str, str | None] = {}
