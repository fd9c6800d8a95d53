"""When a campaign starts, when it starts again, and when each of its chunks is due. Pure: times in, times out.

`at` starts it at one moment. With `every` it starts again at the same local hour until `until`. With `local_time` each
person is written to at that hour of their own zone, and the run starts when the first zone reaches it. `spread_s`
lets the chunks go evenly over that time instead of at once.
"""

from datetime import datetime, timedelta
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct

FIRST_ZONE_AHEAD_MS: Final = 14 * 3_600_000  # UTC+14: the first zone to see a date
LONGEST_SPREAD_S: Final = 24 * 3600
MOST_DAYS_AHEAD: Final = 366


class Schedule(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`zone` is where `every` keeps its hour, and where people live whose zone is not known."""

    at: datetime | None = None
    every: Literal["day", "week", "month"] | None = None
    until: datetime | None = None
    local_time: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}$")] | None = None
    zone: str = "UTC"
    spread_s: Annotated[int, Meta(ge=0, le=LONGEST_SPREAD_S)] = 0


def trouble_with(schedule: Schedule, now: int) -> tuple[str, str] | None:
    """The field that is wrong, and why; None when the schedule can be kept."""
    if schedule.at is not None and schedule.local_time is not None:
        return "local_time", "give either at or local_time"
    for field, moment in (("at", schedule.at), ("until", schedule.until)):
        if moment is not None and moment.tzinfo is None:
            return field, "a time with its zone, such as 2026-05-01T10:00:00Z"
    if schedule.every is not None and schedule.at is None:
        return "at", "says when it first starts"
    if schedule.until is not None and schedule.every is None:
        return "until", "goes with every"
    if schedule.local_time is not None:
        try:
            datetime.fromisoformat(schedule.local_time)
        except ValueError:
            return "local_time", "a date and an hour that exist, such as 2026-05-01T10:00"
    first = starts_at(schedule, now)
    if first > now + MOST_DAYS_AHEAD * 86_400_000:
        return ("at" if schedule.at else "local_time"), "is more than a year ahead"
    return None


def starts_at(schedule: Schedule, now: int) -> int:
    """When the run begins, milliseconds UTC: now, or later."""
    if schedule.local_time is not None:
        as_utc = datetime.fromisoformat(schedule.local_time + ":00+00:00")
        return max(now, _ms(as_utc) - FIRST_ZONE_AHEAD_MS)
    return now if schedule.at is None else max(now, _ms(schedule.at))


def starts_again(schedule: Schedule, now: int) -> int | None:
    """The next start after `now`, at the same local hour; None when there is none."""
    if schedule.every is None or schedule.at is None:
        return None
    zone = ZoneInfo(schedule.zone)
    first = schedule.at.astimezone(zone)
    turn = _turns_before(schedule, first, now)
    while True:
        start = _turn(schedule.every, first, turn)
        if schedule.until is not None and start > schedule.until:
            return None
        if _ms(start) > now:
            return _ms(start)
        turn += 1


def _turns_before(schedule: Schedule, first: datetime, now: int) -> int:
    """A turn that is surely not after `now`, to begin looking from."""
    days = {"day": 1, "week": 7, "month": 31}[schedule.every or "day"]
    return max(0, (now - _ms(first)) // (days * 86_400_000) - 1)


def _turn(every: str, first: datetime, turn: int) -> datetime:
    """Local arithmetic: the wall clock stays, whatever summer time does. The 31st becomes a short month's last day."""
    if every != "month":
        return first + timedelta(days=turn * (7 if every == "week" else 1))
    months = first.month - 1 + turn
    year, month = first.year + months // 12, months % 12 + 1
    following = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=first.tzinfo)
    last = (following - timedelta(days=1)).day
    return first.replace(year=year, month=month, day=min(first.day, last))


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
