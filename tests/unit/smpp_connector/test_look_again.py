"""A bind looks again as soon as it may write: never later than its tokens, never in a busy loop."""

from hypothesis import given
from hypothesis import strategies as st
from smpp_connector.domain.look_again import IDLE_S, SHORTEST_S, STALE_NAP_S, look_again
from smpp_connector.domain.pace import Pace


def spent(rate: float, tokens: float) -> Pace:
    pace = Pace(rate, 0.0)
    pace.spend(int(tokens))
    return pace


def test_a_bind_woken_by_an_answer_while_bulk_gathers_tokens_sleeps_no_longer_than_the_gathering() -> None:
    pace = spent(1000, 45)
    nap = look_again(pace, now=0.0, took=True, allowed=True, tried_bulk=True, bulk_from=0.0, next_due=None)
    assert 0 < nap.pause_s <= 0.03
    pace.advance(0.004)  # an answer wakes the bind: there are tokens again, and bulk still gathers
    again = look_again(
        pace, now=0.004, took=False, allowed=True, tried_bulk=False, bulk_from=nap.bulk_from, next_due=None
    )
    assert again.pause_s <= nap.bulk_from - 0.004 + SHORTEST_S


def test_with_tokens_left_it_looks_at_once_after_writing_and_waits_to_be_woken_when_there_was_nothing() -> None:
    pace = Pace(1000, 0.0)
    assert (
        look_again(pace, now=1.0, took=True, allowed=True, tried_bulk=True, bulk_from=0.0, next_due=None).pause_s == 0.0
    )
    assert (
        look_again(pace, now=1.0, took=False, allowed=True, tried_bulk=True, bulk_from=0.0, next_due=None).pause_s
        == IDLE_S
    )
    assert (
        look_again(pace, now=1.0, took=False, allowed=False, tried_bulk=False, bulk_from=0.0, next_due=None).pause_s
        == STALE_NAP_S
    )
    assert (
        look_again(pace, now=1.0, took=False, allowed=True, tried_bulk=True, bulk_from=0.0, next_due=1.1).pause_s < 0.11
    )


@given(
    st.floats(1, 20_000),
    st.floats(0, 2000),
    st.floats(0, 100),
    st.booleans(),
    st.floats(-1, 1),
    st.none() | st.floats(-1, 5),
)
def test_the_nap_is_never_negative_nor_longer_than_idle_and_bulk_is_looked_at_when_it_may_go(
    rate: float, tokens: float, now: float, allowed: bool, ahead: float, due: float | None
) -> None:
    pace = spent(rate, tokens)
    pace.advance(now)
    next_due = None if due is None else now + due
    nap = look_again(
        pace,
        now=now,
        took=False,
        allowed=allowed,
        tried_bulk=allowed and ahead <= 0,
        bulk_from=now + ahead,
        next_due=next_due,
    )
    assert SHORTEST_S <= nap.pause_s <= IDLE_S
    if allowed and ahead > 0 and pace.available(bulk=True) > 0:
        assert nap.pause_s <= max(SHORTEST_S, ahead + 1e-6)
