"""Tests that may be looked at at any time are not fooled by looking, and find what is there."""

import random

import pytest
from analytics.domain.experiments import ALPHA, Arm, compare, compare_all, lift, wilson
from hypothesis import given
from hypothesis import strategies as st

LOOKS, STEP = 40, 150


def looked_at(rates: tuple[float, float], seed: int) -> list[float]:
    """The p-value at each look at one experiment that goes on."""
    dice, arms, found = random.Random(seed), [Arm(0, 0), Arm(0, 0)], []
    for _ in range(LOOKS):
        for index, rate in enumerate(rates):
            hits = sum(dice.random() < rate for _ in range(STEP))
            arms[index] = Arm(arms[index].trials + STEP, arms[index].successes + hits)
        found.append(compare(("a", arms[0]), ("b", arms[1])).p_value)
    return found


@pytest.mark.parametrize("rate", [0.03, 0.3])
def test_looking_forty_times_at_two_equal_variants_rarely_finds_a_winner(rate: float) -> None:
    fooled = sum(min(looked_at((rate, rate), seed)) <= ALPHA for seed in range(60))
    assert fooled <= 6  # 60 x 0.05 = 3 at most on average; a fixed test looked at so often is fooled 15 times and more


def test_a_real_difference_is_found_and_named() -> None:
    found = sum(looked_at((0.05, 0.09), seed)[-1] <= ALPHA for seed in range(20))
    assert found >= 19
    told = compare(("a", Arm(6_000, 300)), ("b", Arm(6_000, 540)))
    assert told.winner == "b"
    assert told.low <= 0.04 <= told.high
    assert told.low > 0
    assert compare(("b", Arm(6_000, 540)), ("a", Arm(6_000, 300))).winner == "b"


def test_few_say_nothing() -> None:
    told = compare(("a", Arm(100, 0)), ("b", Arm(100, 19)))
    assert (told.enough, told.winner, told.p_value) == (False, None, 1.0)
    assert compare(("a", Arm(0, 0)), ("b", Arm(100, 50))).winner is None


ARMS = st.integers(1, 100_000).flatmap(lambda n: st.builds(Arm, st.just(n), st.integers(0, n)))


@given(ARMS, ARMS)
def test_comparisons_are_even_handed(a: Arm, b: Arm) -> None:
    one, other = compare(("a", a), ("b", b)), compare(("b", b), ("a", a))
    assert one.p_value == pytest.approx(other.p_value)
    assert one.difference == pytest.approx(-other.difference)
    assert 0 <= one.p_value <= 1
    assert one.low <= one.difference <= one.high
    assert one.winner in (None, "a", "b")


@given(ARMS, ARMS)
def test_intervals_hold_what_was_seen(a: Arm, b: Arm) -> None:
    low, high = wilson(a)
    assert 0 <= low <= a.rate + 1e-12
    assert a.rate - 1e-12 <= high <= 1
    found = lift(a, b)
    assert found is not None
    assert -1 - 1e-9 <= found.low <= found.absolute + 1e-12
    assert found.absolute - 1e-12 <= found.high <= 1 + 1e-9


def test_the_lifts_interval_is_newcombes() -> None:
    found = lift(Arm(70, 56), Arm(80, 48))  # the paper's example (a)
    assert found is not None
    assert (round(found.absolute, 4), round(found.low, 4), round(found.high, 4)) == (0.2, 0.0524, 0.3339)


def test_the_lifts_interval_holds_the_truth_as_often_as_it_says() -> None:
    dice, held = random.Random(5), 0
    for _ in range(400):
        treated = Arm(900, sum(dice.random() < 0.06 for _ in range(900)))
        held_out = Arm(300, sum(dice.random() < 0.04 for _ in range(300)))
        found = lift(treated, held_out)
        assert found is not None
        held += found.low <= 0.02 <= found.high
    assert held >= 0.92 * 400


def test_without_anybody_held_out_there_is_no_lift() -> None:
    assert lift(Arm(10, 5), Arm(0, 0)) is None


def test_many_variants_make_each_pair_harder_to_win() -> None:
    arms = {"a": Arm(4_000, 200), "b": Arm(4_000, 280), "c": Arm(4_000, 200)}
    pairs = {(c.first, c.second): c.p_value for c in compare_all(arms)}
    assert set(pairs) == {("a", "b"), ("a", "c"), ("b", "c")}
    assert pairs["a", "b"] == pytest.approx(3 * compare(("a", arms["a"]), ("b", arms["b"])).p_value)
