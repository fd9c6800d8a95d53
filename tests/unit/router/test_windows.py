"""When messages may be sent, by the recipient's clock."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from router.data.seed import proposed_windows
from router.domain.choose_carrier import Defer, Drop, Send
from router.domain.decide import Decider
from router.domain.trouble import TroublesError
from router.domain.windows import NO_WINDOWS, Windows, check_windows, compile_windows, is_open, next_open, next_shut
from routing_values import HOUR, decider, prepared

WORKDAYS = {day: ["08:00-20:00"] for day in ("mon", "tue", "wed", "thu", "fri", "sat")}
FRANCE = {"id": "fr", "country": "FR", "zones": ["Europe/Paris"], "days": WORKDAYS, "holidays": True}
US_ZONES = ["America/New_York", "America/Chicago", "America/Los_Angeles"]
US = {
    "id": "us",
    "country": "US",
    "zones": US_ZONES,
    "days": {day: ["08:00-21:00"] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")},
}
TEXAS = {
    "id": "tx",
    "country": "US",
    "region": "TX",
    "zones": ["America/Chicago"],
    "days": {**US["days"], "sun": ["12:00-21:00"]},
}  # type: ignore[dict-item]
NIGHTS = {
    "id": "n",
    "country": "FR",
    "zones": ["Europe/Paris"],
    "days": {"sun": ["01:30-03:30"], "mon": ["00:00-24:00"]},
}


def windows(*given: dict[str, Any]) -> Windows:
    return compile_windows(4, check_windows({"windows": list(given)}))


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def deciding(known: Windows, now: int) -> Decider:
    found = decider(now=now)
    return Decider(now, decider().choice, found.campaigns, found.opt_outs, windows=known)


def test_without_a_window_everything_may_go_at_once() -> None:
    assert NO_WINDOWS.opening("FR", "marketing", "acme", None, 5) == (5, None)


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-07-16T12:00:00+02:00", "2026-07-16T12:00:00+02:00"),
        ("2026-07-16T08:00:00+02:00", "2026-07-16T08:00:00+02:00"),
        ("2026-07-16T07:59:59+02:00", "2026-07-16T08:00:00+02:00"),
        ("2026-07-16T20:00:00+02:00", "2026-07-17T08:00:00+02:00"),
        ("2026-07-18T21:00:00+02:00", "2026-07-20T08:00:00+02:00"),  # over a Sunday
        ("2026-07-13T20:30:00+02:00", "2026-07-15T08:00:00+02:00"),  # over Bastille Day
        ("2026-10-24T20:30:00+02:00", "2026-10-26T08:00:00+01:00"),  # over the end of summer time
    ],
)
def test_the_french_window_opens_on_the_next_working_morning(now: str, opens: str) -> None:
    assert windows(FRANCE).opening("FR", "marketing", "acme", None, at(now))[0] == at(opens)


def test_one_time_codes_are_exempt_and_so_are_other_countries() -> None:
    night = at("2026-07-16T23:00:00+02:00")
    assert windows(FRANCE).opening("FR", "otp", "acme", None, night) == (night, None)
    assert windows(FRANCE).opening("BE", "marketing", "acme", None, night) == (night, None)


def test_the_recipients_own_zone_counts_and_else_all_zones_of_the_country() -> None:
    morning = at("2026-07-16T09:00:00-04:00")  # 6:00 in Los Angeles
    assert windows(US).opening("US", "marketing", "acme", "America/New_York", morning)[0] == morning
    assert windows(US).opening("US", "marketing", "acme", None, morning)[0] == at("2026-07-16T08:00:00-07:00")


def test_a_region_narrows_for_those_who_may_be_there() -> None:
    sunday = at("2026-07-19T09:00:00-05:00")
    assert windows(US, TEXAS).opening("US", "marketing", "acme", "America/Chicago", sunday)[0] == at(
        "2026-07-19T12:00:00-05:00"
    )
    new_york = at("2026-07-19T09:00:00-04:00")
    assert windows(US, TEXAS).opening("US", "marketing", "acme", "America/New_York", new_york)[0] == new_york


def test_a_tenants_window_can_only_narrow() -> None:
    own = {**FRANCE, "id": "own", "tenant": ["acme"], "days": {day: ["06:00-07:00", "10:00-23:00"] for day in WORKDAYS}}
    known = windows(FRANCE, own)
    assert known.opening("FR", "marketing", "acme", None, at("2026-07-16T06:30:00+02:00"))[0] == at(
        "2026-07-16T10:00:00+02:00"
    )
    assert known.opening("FR", "marketing", "other", None, at("2026-07-16T06:30:00+02:00"))[0] == at(
        "2026-07-16T08:00:00+02:00"
    )


def test_a_message_waits_for_its_window_and_goes_with_the_windows_end() -> None:
    evening = at("2026-07-16T21:00:00+02:00")
    message = prepared(purpose="marketing", not_after=evening + 20 * HOUR)
    opens = at("2026-07-17T08:00:00+02:00")
    assert deciding(windows(FRANCE), evening).decide(message) == Defer(opens, "quiet_hours")
    lasts = prepared(purpose="marketing", not_after=opens + 20 * HOUR)
    known = windows(FRANCE).opening("FR", "marketing", "acme", None, opens)
    assert known == (opens, at("2026-07-17T20:00:00+02:00"))
    found = deciding(windows(FRANCE), evening - 9 * HOUR).decide(lasts)
    assert not isinstance(found, Defer | Drop)


def test_what_goes_in_a_window_must_not_go_after_it() -> None:
    noon = 1_800_000_000_000 + 4 * HOUR  # Friday 15 January 2027, 13:00 in Paris
    base = decider(now=noon)
    assert is_open(windows(FRANCE).windows, None, noon)
    found = Decider(noon, decider().choice, base.campaigns, base.opt_outs, windows=windows(FRANCE)).decide(
        prepared(purpose="marketing", not_after=noon + 24 * HOUR)
    )
    assert isinstance(found, Send)
    assert found.not_after == at("2027-01-15T20:00:00+01:00")


def test_a_window_that_opens_too_late_is_missed() -> None:
    saturday = at("2026-07-18T21:00:00+02:00")
    late = deciding(windows(FRANCE), saturday).decide(prepared(purpose="marketing", not_after=saturday + 48 * HOUR))
    assert late == Drop("window_missed", "its send window does not open within 24 hours")
    short = deciding(windows(FRANCE), saturday).decide(prepared(purpose="marketing", not_after=saturday + HOUR))
    assert short == Drop("window_missed", "its send window does not open before its time is over")


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"country": "fr"}, "windows[0].country"),
        ({"country": "XX"}, "windows[0].holidays"),
        ({"zones": ["Mars/Olympus"]}, "windows[0].zones"),
        ({"zones": []}, "windows[0].zones"),
        ({"class": ["otp"]}, "windows[0].class"),
        ({"days": {"mon": ["20:00-08:00"]}}, "windows[0].days.mon"),
        ({"days": {"mon": "08:00-20:00"}}, "windows[0].days.mon"),
        ({"days": {"monday": []}}, "windows[0].days"),
        ({"colour": 1}, "windows[0].colour"),
    ],
)
def test_a_bad_window_names_its_field(changed: dict[str, Any], field: str) -> None:
    with pytest.raises(TroublesError) as caught:
        check_windows({"windows": [{**FRANCE, **changed}]})
    assert field in [trouble.field for trouble in caught.value.troubles]


def test_the_windows_that_are_proposed_may_be_put_and_each_says_where_it_comes_from() -> None:
    book = check_windows(proposed_windows())
    assert {window["country"] for window in book["windows"]} == {"FR", "US", "IN"}
    assert all(window["source"] and window["as_of"] for window in book["windows"])
    sunday = at("2026-07-19T12:00:00+02:00")
    assert compile_windows(1, book).opening("FR", "marketing", "acme", None, sunday)[0] > sunday


MOMENTS = st.integers(at("2026-01-01T00:00:00+00:00"), at("2027-12-31T00:00:00+00:00"))
BOOKS = st.sampled_from([(FRANCE,), (US,), (TEXAS, US), (NIGHTS,)])
ZONES = st.sampled_from([None, "America/New_York", "Europe/Paris", "Pacific/Apia", "America/Sao_Paulo"])


@settings(max_examples=40, deadline=None)
@given(BOOKS, ZONES, MOMENTS)
def test_nothing_ever_goes_outside_a_window(book: Any, zone: str | None, now: int) -> None:
    known = windows(*book)
    opens, shuts = known.opening(book[0]["country"], "marketing", "acme", zone, now)
    assert opens >= now
    assert shuts is None or shuts > opens
    fitting = known.fitting(book[0]["country"], "marketing", "acme", zone)
    for window in fitting:
        for name in window.zones if zone is None else (zone,):
            for moment in (opens, (shuts or opens + 1) - 1):
                local = datetime.fromtimestamp(moment / 1000, UTC).astimezone(ZoneInfo(name))
                minute = local.hour * 60 + local.minute
                assert any(a <= minute < b for a, b in window.days[local.weekday()])


@settings(max_examples=40, deadline=None)
@given(BOOKS, ZONES, MOMENTS, st.lists(st.floats(0, 1), max_size=20))
def test_it_opens_as_early_as_it_may_and_shuts_no_earlier_than_it_must(
    book: Any, zone: str | None, now: int, places: list[float]
) -> None:
    fitting = windows(*book).windows
    opens = next_open(fitting, zone, now)
    shuts = next_shut(fitting, zone, opens)
    for place in places:
        assert not is_open(fitting, zone, now + int((opens - now) * place)) or opens - now == int((opens - now) * place)
        assert is_open(fitting, zone, opens + int((shuts - 1 - opens) * place))


@settings(max_examples=40, deadline=None)
@given(BOOKS, ZONES, st.lists(MOMENTS, min_size=2, max_size=5))
def test_what_is_remembered_is_what_would_be_worked_out(book: Any, zone: str | None, moments: list[int]) -> None:
    known = windows(*book)
    for moment in moments:
        asked = (book[0]["country"], "marketing", "acme", zone, moment)
        assert known.opening(*asked) == windows(*book).opening(*asked)
