"""Consent, by the rule of law or of the design that each case comes from."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from segmenter.domain.consent import MARKETING, Stance, Stances, lift, merged, published, refusal, strongest, take_in


def said(state: str, at: int = 1) -> Stances:
    return {MARKETING: Stance(state, at, "test")}  # type: ignore[arg-type]


GRANTED, WITHDRAWN, SUPPRESSED, NOTHING = said("granted"), said("withdrawn"), said("suppressed"), {}  # type: ignore[var-annotated]


@pytest.mark.parametrize(
    ("rule", "person", "sharing", "on_list", "expected"),
    [
        ("CPCE L34-5, UWG 7: marketing needs prior consent", NOTHING, [NOTHING], False, "no_consent"),
        ("CPCE L34-5: a recorded grant permits it", GRANTED, [GRANTED], False, None),
        ("GDPR 21(3): after an objection no more marketing", WITHDRAWN, [WITHDRAWN], False, "opted_out"),
        ("GDPR 17: an erased number is not messaged again", GRANTED, [GRANTED], True, "suppressed"),
        ("GDPR 17: what erasure left with the person", NOTHING, [SUPPRESSED], False, "suppressed"),
        ("an opt-out stays with the number that others share", GRANTED, [GRANTED, WITHDRAWN], False, "opted_out"),
        ("a grant follows the person: another's is not theirs", NOTHING, [NOTHING, GRANTED], False, "no_consent"),
        ("a STOP of a number that nobody had yet", GRANTED, [GRANTED, WITHDRAWN], False, "opted_out"),
    ],
)
def test_marketing(rule: str, person: Stances, sharing: list[Stances], on_list: bool, expected: str | None) -> None:
    assert refusal(MARKETING, person, sharing, on_list) == expected, rule


@pytest.mark.parametrize("purpose", ["transactional", "otp"])
def test_what_a_person_asked_for_needs_no_grant_and_ignores_a_marketing_stop(purpose: str) -> None:
    assert refusal(purpose, WITHDRAWN, [WITHDRAWN], False) is None


def test_a_grant_for_another_purpose_permits_no_marketing() -> None:
    other: Stances = {"transactional": Stance("granted", 1, "shop")}
    assert refusal(MARKETING, other, [other], False) == "no_consent"


KIDS = "marketing:kids"


@pytest.mark.parametrize(
    ("rule", "stances", "expected"),
    [
        ("a grant of all marketing covers the brand", {MARKETING: "granted"}, None),
        ("a grant of the brand is enough for it", {KIDS: "granted"}, None),
        (
            "an objection to all marketing outweighs the brand's grant",
            {MARKETING: "withdrawn", KIDS: "granted"},
            "opted_out",
        ),
        ("an objection to the brand outweighs a general grant", {MARKETING: "granted", KIDS: "withdrawn"}, "opted_out"),
        ("another brand's grant is not this one's", {"marketing:garden": "granted"}, "no_consent"),
        ("another brand's objection is not this one's", {MARKETING: "granted", "marketing:garden": "withdrawn"}, None),
    ],
)
def test_a_brands_marketing(rule: str, stances: dict[str, str], expected: str | None) -> None:
    held: Stances = {purpose: Stance(state, 1, "test") for purpose, state in stances.items()}  # type: ignore[arg-type]
    assert refusal(KIDS, held, [held], False) == expected, rule


def test_a_brands_grant_permits_no_marketing_at_large() -> None:
    held: Stances = {KIDS: Stance("granted", 1, "test")}
    assert refusal(MARKETING, held, [held], False) == "no_consent"


entries = st.lists(st.tuples(st.sampled_from(["granted", "withdrawn"]), st.integers(0, 5)), min_size=1, max_size=6)


@given(entries)
def test_the_stance_is_the_last_thing_said_in_whatever_order_it_is_told(told: list[tuple[str, int]]) -> None:
    last = max(at for _, at in told)
    expected = "withdrawn" if ("withdrawn", last) in told else "granted"
    for order in itertools.islice(itertools.permutations(told), 24):
        stances: Stances = {}
        for state, at in order:
            stances = take_in(stances, MARKETING, Stance(state, at, "test")) or stances  # type: ignore[arg-type]
        assert (stances[MARKETING].state, stances[MARKETING].at) == (expected, last)


@given(entries)
def test_taking_in_the_same_again_changes_nothing(told: list[tuple[str, int]]) -> None:
    stances: Stances = {}
    for state, at in told:
        stances = take_in(stances, MARKETING, Stance(state, at, "test")) or stances  # type: ignore[arg-type]
    for state, at in told:
        assert take_in(stances, MARKETING, Stance(state, at, "test")) is None  # type: ignore[arg-type]


def test_suppression_outlasts_whatever_is_said_after_it() -> None:
    assert take_in(SUPPRESSED, MARKETING, Stance("granted", 10**15, "web")) is None


def test_purposes_do_not_touch_each_other() -> None:
    stances = take_in(GRANTED, "transactional", Stance("withdrawn", 9, "web"))
    assert stances is not None
    assert stances[MARKETING].state == "granted"


def test_a_numbers_own_stop_ends_with_a_later_grant_and_no_earlier_one() -> None:
    stopped = said("withdrawn", 10)
    assert lift(stopped, 9) is None
    assert lift(stopped, 10) == {}
    assert lift(GRANTED, 99) is None


def test_the_topic_is_told_all_purposes_and_suppression_on_top() -> None:
    stances = {**GRANTED, "transactional": Stance("withdrawn", 1, "web")}
    assert published(stances, False) == {MARKETING: "granted", "transactional": "withdrawn"}  # type: ignore[arg-type]
    assert published(stances, True) == {MARKETING: "suppressed", "transactional": "withdrawn"}  # type: ignore[arg-type]


def test_a_bare_number_means_whoever_behind_it_granted() -> None:
    assert strongest([NOTHING, WITHDRAWN, GRANTED]) == GRANTED
    assert strongest([NOTHING, WITHDRAWN]) == {}


stances_of_one = st.fixed_dictionaries(
    {}, optional={MARKETING: st.builds(Stance, st.sampled_from(["granted", "withdrawn", "suppressed"]), st.integers(0, 9), st.just("test"))}
)  # fmt: skip


@given(st.lists(stances_of_one, max_size=4))
def test_a_merge_refuses_what_any_of_the_records_refused_and_grants_only_what_one_granted(
    records: list[Stances],
) -> None:
    kept = merged(records)
    states = [record[MARKETING].state for record in records if MARKETING in record]
    worst = max(states, key=["granted", "withdrawn", "suppressed"].index, default=None)
    assert (kept[MARKETING].state if MARKETING in kept else None) == worst
    assert merged(reversed(records)).keys() == kept.keys()


@given(st.lists(stances_of_one, min_size=1, max_size=4), st.integers(0, 9))
def test_nothing_said_before_any_record_of_a_merge_undoes_its_refusal(records: list[Stances], at: int) -> None:
    kept = merged(records)
    if kept.get(MARKETING) is None or kept[MARKETING].state == "granted":
        return
    latest = max(record[MARKETING].at for record in records if MARKETING in record)
    after = take_in(kept, MARKETING, Stance("granted", at, "test"))
    assert after is None or (at > latest and kept[MARKETING].state == "withdrawn")
