"""Times on the wire say what was meant, and nothing else is taken for one."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared.smpp.errors import PduError
from shared.smpp.times import (
    MAX_RELATIVE,
    Relative,
    deadline,
    format_absolute,
    format_relative,
    parse_time,
    read_receipt_date,
)

NOW = datetime(2024, 1, 31, 12, 0, tzinfo=UTC)
moments = st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
offsets = st.integers(-48, 48).map(lambda quarters: timedelta(minutes=15 * quarters))
waits = st.timedeltas(timedelta(seconds=1), MAX_RELATIVE)


@given(moments, offsets)
def test_an_absolute_time_reads_back_to_the_tenth_of_a_second(at: datetime, offset: timedelta) -> None:
    written = format_absolute(at, offset)
    assert len(written) == 16
    read = parse_time(written)
    assert isinstance(read, datetime)
    assert read.utcoffset() == offset
    assert timedelta(0) <= at - read < timedelta(milliseconds=100)


@given(waits, moments)
def test_a_relative_time_reads_back_to_the_second(wait: timedelta, now: datetime) -> None:
    written = format_relative(wait)
    assert len(written) == 16
    assert written.endswith("000R")
    at = deadline(written, now)
    assert at is not None
    assert timedelta(0) <= wait - (at - now) < timedelta(seconds=1)


def verdict(value: str) -> datetime | Relative | PduError | None:
    """Whatever else might be raised fails the test that asked."""
    try:
        deadline(value, NOW, 0x61)
        return parse_time(value, 0x61)
    except PduError as error:
        return error


@given(st.text(max_size=20) | st.from_regex(r"\A[0-9]{15}[-+R]\Z"))
def test_any_string_is_a_time_or_a_pdu_error(value: str) -> None:
    found = verdict(value)
    if isinstance(found, PduError):
        assert found.command_status == 0x61
        assert len(value) < 3 or value not in str(found)  # a letter or two are in every sentence
    else:
        assert (found is None) == (value == "")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("240131120000000+", datetime(2024, 1, 31, 12, tzinfo=UTC)),
        ("240131130000004+", datetime(2024, 1, 31, 12, tzinfo=UTC)),
        ("240131070000020-", datetime(2024, 1, 31, 12, tzinfo=UTC)),
        ("240131120000900+", datetime(2024, 1, 31, 12, 0, 0, 900_000, tzinfo=UTC)),
        ("000000000500000R", datetime(2024, 1, 31, 12, 5, tzinfo=UTC)),
        ("000002000000000R", datetime(2024, 2, 2, 12, tzinfo=UTC)),
        ("000100000000000R", datetime(2024, 2, 29, 12, tzinfo=UTC)),  # a month after the 31st of January
        ("011300000000000R", datetime(2026, 2, 28, 12, tzinfo=UTC)),
        ("", None),
    ],
)
def test_times_mean_what_the_specification_says(written: str, meant: datetime | None) -> None:
    assert deadline(written, NOW) == meant


@pytest.mark.parametrize(
    "written",
    [
        "240131120000", "240131120000000", "240131120000000*", "241331120000000+", "240230120000000+",
        "240131250000000+", "240131120000049+", "2401311200000٠0+", " 240131120000000", "240131120000000+\n",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(written: str) -> None:
    with pytest.raises(PduError):
        parse_time(written)


def test_the_error_is_the_fields() -> None:
    with pytest.raises(PduError) as caught:
        parse_time("tomorrow", 0x61)
    assert caught.value.command_status == 0x61


@pytest.mark.parametrize("wait", [timedelta(0), timedelta(milliseconds=999), -timedelta(1), timedelta(days=31)])
def test_a_relative_time_that_cannot_be_told_is_refused(wait: timedelta) -> None:
    with pytest.raises(ValueError, match="at least one second"):
        format_relative(wait)


@pytest.mark.parametrize(
    ("at", "offset"),
    [
        (datetime(2024, 1, 1), timedelta(0)),  # noqa: DTZ001
        (NOW, timedelta(minutes=7)),
        (NOW, timedelta(hours=13)),
        (datetime(1999, 12, 31, tzinfo=UTC), timedelta(0)),
        (datetime(2100, 1, 1, tzinfo=UTC), timedelta(0)),
    ],
)
def test_an_absolute_time_that_cannot_be_told_is_refused(at: datetime, offset: timedelta) -> None:
    with pytest.raises(ValueError, match=r"zone|quarter|year"):
        format_absolute(at, offset)


def test_another_zone_is_only_another_way_to_write_it() -> None:
    paris = NOW.astimezone(timezone(timedelta(hours=1)))
    assert format_absolute(paris) == "240131120000000+"
    assert format_absolute(NOW, timedelta(hours=-5)) == "240131070000020-"


@pytest.mark.parametrize(
    ("raw", "four", "hours", "read"),
    [
        ("2401311200", False, 0, datetime(2024, 1, 31, 12, tzinfo=UTC)),
        ("2401311200", False, 2, datetime(2024, 1, 31, 10, tzinfo=UTC)),
        ("240131120030", False, 0, datetime(2024, 1, 31, 12, 0, 30, tzinfo=UTC)),
        ("202401311200", True, 0, datetime(2024, 1, 31, 12, tzinfo=UTC)),
        ("20240131120030", False, 0, datetime(2024, 1, 31, 12, 0, 30, tzinfo=UTC)),
        ("180711070003912+", False, 0, datetime(2018, 7, 11, 4, 0, 3, 900_000, tzinfo=UTC)),
        ("202401311200", False, 0, None),  # month 24
        ("000000000000", False, 0, None),
        ("", False, 0, None),
        ("0101010000", False, 0, datetime(2001, 1, 1, tzinfo=UTC)),
        ("00010101000000", False, 12, None),
        ("2401311200+", False, 0, None),
    ],
)
def test_receipts_dates_are_read_by_the_carriers_clock(raw: str, four: bool, hours: int, read: datetime | None) -> None:
    assert read_receipt_date(raw, four_digit_years=four, offset=timedelta(hours=hours)) == read


@given(st.text(max_size=20) | st.from_regex(r"\A[0-9]{10,16}[-+R]?\Z"), st.booleans(), offsets)
def test_no_receipts_date_raises(raw: str, four: bool, offset: timedelta) -> None:
    found = read_receipt_date(raw, four_digit_years=four, offset=offset)
    assert found is None or found.utcoffset() == timedelta(0)
