"""When a campaign would be through."""

from hypothesis import given
from hypothesis import strategies as st
from segmenter.domain.when_finished import Span, finished_at

HOUR = 3_600_000
DAY = 24 * HOUR
ALWAYS = [Span(0, 100 * DAY)]


def daily(opens: int, shuts: int) -> list[Span]:
    return [Span(day * DAY + opens * HOUR, day * DAY + shuts * HOUR) for day in range(7)]


def test_without_windows_it_takes_the_parts_over_the_rate() -> None:
    assert finished_at({"FR": 1000}, {"FR": ALWAYS}, 10, 5) == 5 + 100_000
    assert finished_at({}, {}, 10, 5) == 5
    assert finished_at({"FR": 1}, {"FR": ALWAYS}, 0, 5) is None


def test_it_waits_for_the_window_and_goes_on_the_next_day() -> None:
    assert finished_at({"FR": 10}, {"FR": daily(8, 20)}, 10, 0) == 8 * HOUR + 1000
    a_day = 12 * 3600 * 10
    assert finished_at({"FR": a_day + 10}, {"FR": daily(8, 20)}, 10, 0) == DAY + 8 * HOUR + 1000
    assert finished_at({"FR": 8 * a_day}, {"FR": daily(8, 20)}, 10, 0) is None


def test_who_shuts_first_goes_first_so_that_nobody_is_left_for_tomorrow() -> None:
    spans = {"FR": daily(8, 9), "US": daily(8, 20)}
    hour = 3600 * 10
    assert finished_at({"FR": hour, "US": hour}, spans, 10, 8 * HOUR) == 10 * HOUR


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(1, 100_000), min_size=1), st.integers(0, 2 * DAY))
def test_it_is_never_over_before_its_rate_allows(work: dict[str, int], start: int) -> None:
    found = finished_at(work, {place: daily(8, 20) for place in work}, 10, start)
    assert found is not None
    assert found - start >= sum(work.values()) * 100 - 1
