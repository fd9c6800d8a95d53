"""Times on the wire: `YYMMDDhhmmsstnnp` (SMPP 3.4, 7.1.1) and what receipts write in their dates.

An absolute time is local to an offset of `nn` quarter hours, `p` being + where that local time is ahead of UTC. A
relative one ends in `R`, has zeros for `tnn`, and counts from the SMSC's current time. Two-digit years are 2000 to
2099: a schedule or a validity lies ahead.
"""

import calendar
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final, NamedTuple

from shared.smpp.constants import ESME_RINVEXPIRY
from shared.smpp.errors import PduError

MAX_RELATIVE: Final = timedelta(days=30, hours=23, minutes=59, seconds=59)
"""What a relative time is written for. Months and years have no fixed length, and days go to 31 at most."""

_QUARTER: Final = timedelta(minutes=15)
_MAX_QUARTERS: Final = 48
_WIRE = re.compile(r"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d)(\d\d)([-+R])", re.ASCII).fullmatch


class Relative(NamedTuple):
    """A relative time as written; each field is 0 to 99, since it is a count and not a calendar's."""

    years: int
    months: int
    days: int
    hours: int
    minutes: int
    seconds: int

    def after(self, now: datetime, status: int = ESME_RINVEXPIRY) -> datetime:
        """Years and months by the calendar, ending no later than the month does; then the rest by the clock.

        Raises PduError with `status` beyond the year 9999.
        """
        months = now.month - 1 + self.months
        year, month = now.year + self.years + months // 12, months % 12 + 1
        try:
            day = min(now.day, calendar.monthrange(year, month)[1])
            return now.replace(year=year, month=month, day=day) + timedelta(
                days=self.days, hours=self.hours, minutes=self.minutes, seconds=self.seconds
            )
        except (ValueError, OverflowError):
            raise PduError(status, "time beyond the calendar") from None


def format_absolute(at: datetime, offset: timedelta = timedelta(0)) -> str:
    """`at`, which knows its zone, in the local time of `offset` (whole quarter hours, to 12 hours); tenths cut off.

    Raises ValueError for another offset, a naive time, or a year that two digits cannot tell.
    """
    if at.tzinfo is None:
        raise ValueError("a time on the wire needs a zone")
    quarters, rest = divmod(abs(offset), _QUARTER)
    if rest or quarters > _MAX_QUARTERS:
        raise ValueError("an offset is whole quarter hours, 48 at most")
    local = at.astimezone(timezone(offset))
    if not 2000 <= local.year <= 2099:
        raise ValueError("the year does not fit two digits")
    sign = "-" if offset < timedelta(0) else "+"
    return f"{local:%y%m%d%H%M%S}{local.microsecond // 100_000}{quarters:02}{sign}"


def format_relative(delta: timedelta) -> str:
    """So long from when the SMSC has it, in whole seconds, rounded down. Raises ValueError under 1 s or over 30 days."""
    if not timedelta(seconds=1) <= delta < MAX_RELATIVE + timedelta(seconds=1):
        raise ValueError("a relative time is at least one second, and at most 30 days and 23:59:59")
    minutes, seconds = divmod(delta.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"0000{delta.days:02}{hours:02}{minutes:02}{seconds:02}000R"


def parse_time(value: str, status: int = ESME_RINVEXPIRY) -> datetime | Relative | None:
    """What was written; None for the empty string, which leaves it to the SMSC (4.4.1).

    A datetime has its offset as zone. Raises PduError with `status` for anything that is no such time.
    """
    if not value:
        return None
    found = _WIRE(value)
    if found is None:
        raise PduError(status, "not a time of 16 characters")
    year, month, day, hour, minute, second, tenth, quarters = map(int, found.groups()[:8])
    if found[9] == "R":
        return Relative(year, month, day, hour, minute, second)
    if quarters > _MAX_QUARTERS:
        raise PduError(status, "offset from UTC beyond 48 quarter hours")
    offset = quarters * _QUARTER if found[9] == "+" else -quarters * _QUARTER
    try:
        return datetime(2000 + year, month, day, hour, minute, second, tenth * 100_000, timezone(offset))
    except ValueError:
        raise PduError(status, "no such date or time of day") from None


def deadline(value: str, now: datetime, status: int = ESME_RINVEXPIRY) -> datetime | None:
    """The moment that a validity_period or schedule_delivery_time means for whoever got it at `now`; None for empty."""
    time = parse_time(value, status)
    return time.after(now, status) if isinstance(time, Relative) else time


_RECEIPT_DATE = re.compile(r"(\d{10}|\d{12}|\d{14})(?:\d{3}[-+])?", re.ASCII).fullmatch
_FORMS: Final = {10: "%y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


def read_receipt_date(raw: str, *, four_digit_years: bool = False, offset: timedelta = timedelta(0)) -> datetime | None:
    """The moment of a receipt's submit or done date, in UTC; None for what is no date. Never raises.

    Such dates carry no zone: `offset` is the one that is assumed, as the carrier's profile has it. Twelve digits are
    YYMMDDhhmmss, or YYYYMMDDhhmm where the carrier writes `four_digit_years`. A date of 16 characters, as above,
    brings its own offset.
    """
    found = _RECEIPT_DATE(raw)
    if found is None:
        return None
    digits = found[1]
    if len(raw) == 16:
        try:
            time = parse_time(raw)
        except PduError:
            return None
        return time.astimezone(UTC) if isinstance(time, datetime) else None
    if len(raw) != len(digits):
        return None
    form = _FORMS.get(len(digits)) or ("%Y%m%d%H%M" if four_digit_years else "%y%m%d%H%M%S")
    try:
        return datetime.strptime(digits, form).replace(tzinfo=timezone(offset)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
