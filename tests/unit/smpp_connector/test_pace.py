"""Tokens in parts, and how they yield to a carrier that objects."""

from hypothesis import given
from hypothesis import strategies as st
from smpp_connector.domain.pace import Pace


@given(st.floats(1, 5000), st.lists(st.tuples(st.floats(0, 0.2), st.integers(1, 6)), max_size=200))
def test_no_span_carries_more_than_its_rate_and_one_burst(limit: float, steps: list[tuple[float, int]]) -> None:
    pace = Pace(limit, 0.0)
    now, spent, largest = 0.0, 0, 0
    for passed, parts in steps:
        now += passed
        pace.advance(now)
        while pace.available(bulk=False) > 0:
            pace.spend(parts)
            spent += parts
            largest = max(largest, parts)
    assert spent <= limit * now + max(2.0, limit * 0.05) + largest + 1e-6


@given(st.floats(2, 5000), st.lists(st.booleans(), max_size=50))
def test_the_rate_stays_between_a_trickle_and_the_contract(limit: float, objections: list[bool]) -> None:
    pace, now = Pace(limit, 0.0), 0.0
    for objected in objections:
        now += 0.3
        pace.advance(now)
        before = pace.rate
        if objected:
            pace.throttled(now)
            assert pace.rate < before or before <= 0.5
        assert 0.5 <= pace.rate <= limit
    pace.advance(now + 100_000)
    assert pace.rate == limit


def test_one_burst_of_objections_slows_once() -> None:
    pace = Pace(1000.0, 0.0)
    for _ in range(50):
        pace.throttled(10.0)
    assert pace.rate == 850.0


def test_a_carrier_that_tells_its_congestion_is_given_less_before_it_objects() -> None:
    pace = Pace(1000.0, 0.0)
    pace.congested(89, 1.0)
    assert pace.rate == 1000.0
    pace.congested(90, 1.0)
    pace.congested(100, 1.1)  # of the same moment
    assert pace.rate == 850.0
    assert pace.available(bulk=False) > 0
    pace.congested(100, 2.0)
    assert pace.rate == 722.5


def test_a_carrier_that_takes_a_tenth_of_the_contract_is_used_to_the_full_with_few_objections() -> None:
    """A carrier with a bucket of its own, 100 a second, against a contract of 1,000: 98 get through, 2 % objections."""
    pace, now, step = Pace(1000.0, 0.0), 0.0, 0.005
    bucket, taken, refused = 10.0, 0, 0
    while now < 60:
        now += step
        bucket = min(10.0, bucket + 100 * step)
        pace.advance(now)
        while pace.available(bulk=True) > 0:
            pace.spend(1)
            if bucket >= 1:
                bucket -= 1
                taken += now > 10
            else:
                refused += now > 10
                pace.throttled(now)
    assert taken / 50 >= 95
    assert refused / (taken + refused) < 0.02
