"""Percentiles, the mix of errors, anomalies and suspicion from windows: pure."""

from collections import Counter

import pytest
from analytics.domain.anomalies import DELAYS_ROSE, DELIVERY_FELL, FAKE_RECEIPTS, anomalies
from analytics.domain.delays import percentile, share_of_fullest_pair, share_within, step_of
from analytics.domain.quality import Sums, added, quality_of, total
from analytics.domain.suspicion import Hour, suspicion_of

REAL = [1_500 * 1.01**n for n in range(400)]  # 1.5 to 80 s, as phones that are on, in tunnels, in drawers


def histogram(delays: list[float]) -> dict[str, int]:
    return dict(Counter(step_of(int(delay)) for delay in delays))


def test_percentiles_are_right_to_within_a_fifth() -> None:
    found = histogram(REAL)
    for share in (0.5, 0.95, 0.99):
        true = sorted(REAL)[int(share * len(REAL))]
        assert percentile(found, share) == pytest.approx(true, rel=0.2)
    assert percentile({}, 0.5) == 0.0


@pytest.mark.parametrize(
    ("delay", "step"), [(0, "0"), (100, "0"), (101, "1"), (200, "4"), (201, "5"), (259_200_000, "86")]
)
def test_a_delay_has_its_step(delay: int, step: str) -> None:
    assert step_of(delay) == step


def test_shares_of_fast_and_of_uniform_deliveries() -> None:
    assert share_within(histogram([400.0] * 3 + [5_000.0]), 1_000) == 0.75
    assert share_of_fullest_pair(histogram([3_000.0, 3_050.0, 3_400.0, 60_000.0])) == 0.75
    assert share_of_fullest_pair(histogram([60.0] * 4)) == 1.0
    assert share_of_fullest_pair({}) == 0.0


def hour(delays: list[float], clicked: int) -> Hour:
    return Hour(len(delays), clicked, histogram(delays))


NEIGHBOUR = hour(REAL * 10, 160)  # four in a hundred click


@pytest.mark.parametrize(
    ("own", "least", "most"),
    [
        (hour([300.0] * 1_000, 0), 0.95, 1.0),  # the whole picture: at once, always alike, and nobody clicks
        (hour([300.0] * 1_000, 45), 0.6, 0.65),  # fast and uniform, but people click: a good route
        (hour(REAL * 3, 0), 0.4, 0.5),  # natural delays, and nobody clicks
        (hour(REAL * 3, 45), 0.0, 0.0),
        (hour([300.0] * 150, 0), 0.0, 0.0),  # too few to say
    ],
)
def test_suspicion_weighs_speed_uniformity_and_missing_clicks(own: Hour, least: float, most: float) -> None:
    assert least <= suspicion_of(own, [NEIGHBOUR]) <= most


def test_without_a_neighbour_missing_clicks_say_nothing() -> None:
    assert suspicion_of(hour(REAL * 3, 0), []) == 0.0
    assert suspicion_of(hour(REAL * 3, 0), [hour(REAL * 10, 0)]) == 0.0


def test_a_delivery_rate_that_falls_is_an_anomaly_and_luck_is_not() -> None:
    before = (9_500, 500)
    assert anomalies((700, 300, {}), (before[0] + 700, before[1] + 300, {}), 0.0) == [DELIVERY_FELL]
    assert anomalies((930, 70, {}), (before[0] + 930, before[1] + 70, {}), 0.0) == []
    assert anomalies((40, 20, {}), (240, 60, {}), 0.0) == []  # 13 points below, but 60 against 240 prove little
    assert anomalies((20, 20, {}), (before[0] + 20, before[1] + 20, {}), 0.0) == []  # forty may be bad luck


def test_delays_that_rise_and_receipts_that_look_made_up_are_anomalies() -> None:
    before, now = histogram([2_000.0] * 500), histogram([30_000.0] * 100)
    both = dict(Counter(before) + Counter(now))
    assert anomalies((100, 0, now), (600, 0, both), 0.0) == [DELAYS_ROSE]
    assert anomalies((100, 0, before), (600, 0, before), 0.8) == [FAKE_RECEIPTS]


def test_a_window_kept_by_an_older_build_is_added_to() -> None:
    assert added([1, 2, 3, 4], Sums(1, 1, 1, 1, 1, {"3": 1}, {"absent": 2})) == [2, 3, 4, 5, 1, {"3": 1}, {"absent": 2}]


def test_quality_tells_percentiles_errors_and_clicks_for_delivered() -> None:
    window = Sums(120, 100, 20, 100 * 4_000, 3, histogram([4_000.0] * 100), {"absent": 15, "spam": 5})
    told = quality_of("iris", "FR", window, total([window] * 3), [], 1_000)
    assert (told.delivery_rate, told.delay_ms) == (100 / 120, 4_000.0)
    assert told.delay_p50_ms <= told.delay_p95_ms <= told.delay_p99_ms == pytest.approx(4_000, rel=0.2)
    assert told.errors == {"absent": 15, "spam": 5}
    assert (told.hour_delivered, told.clicked, told.suspicion, told.anomalies) == (300, 9, 0.3, [])


def test_a_window_without_outcomes_has_no_rate() -> None:
    told = quality_of("iris", "FR", Sums(5), Sums(5), [], 1_000)
    assert (told.delivery_rate, told.delay_ms, told.delay_p99_ms) == (0.0, 0.0, 0.0)
