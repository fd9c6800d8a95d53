"""Frequency caps: rolling days and weeks."""

from hypothesis import given
from hypothesis import strategies as st
from segmenter.adapters.cap_store import Want
from segmenter.adapters.rounds import rounds_of
from segmenter.domain.frequency_caps import DAY_MS, WEEK_MS, Cap, admits, refused_by

NOW = 20_000 * DAY_MS
moments = st.integers(NOW - 9 * DAY_MS, NOW + DAY_MS)


@given(st.integers(0, 3), st.integers(0, 5), st.lists(moments, max_size=60))
def test_no_order_of_claims_ever_exceeds_the_cap_in_any_day_or_week(day: int, week: int, wanted: list[int]) -> None:
    cap = Cap("marketing", day, week, 1)
    claimed: list[int] = []
    for at in wanted:
        if admits(cap, claimed, at):
            claimed.append(at)
    for start in claimed:
        assert not day or sum(start <= at < start + DAY_MS for at in claimed) <= day
        assert not week or sum(start <= at < start + WEEK_MS for at in claimed) <= week
    if not day and not week:
        assert claimed == wanted


def test_a_place_is_free_again_when_its_day_or_week_is_over() -> None:
    cap = Cap("marketing", 1, 2, 1)
    assert not admits(cap, [NOW - DAY_MS + 1], NOW)
    assert admits(cap, [NOW - DAY_MS], NOW)
    assert not admits(cap, [NOW - DAY_MS, NOW - WEEK_MS + 1], NOW)
    assert admits(cap, [NOW - DAY_MS, NOW - WEEK_MS], NOW)


def test_the_refusal_names_the_limits_that_are_set() -> None:
    assert refused_by(Cap("marketing", 1, 3, 1)) == "marketing is capped at 1 a day and 3 a week for one number"
    assert refused_by(Cap("marketing", 0, 3, 1)) == "marketing is capped at 3 a week for one number"


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), max_size=30))
def test_a_batch_is_claimed_in_rounds_that_name_no_handset_twice_and_lose_nobody(pairs: list[tuple[str, str]]) -> None:
    wants = [Want(tenant, contact, "marketing", str(i), NOW) for i, (tenant, contact) in enumerate(pairs)]
    rounds = rounds_of(wants)
    for one in rounds:
        places = [w.place for w in one]
        assert places == sorted(set(places))
    assert sorted(w.message_id for one in rounds for w in one) == sorted(w.message_id for w in wants)
