"""Who gets the credit for a conversion: all of it, once, within the window, whatever order things became known in."""

from typing import Any

import pytest
from analytics.domain.attribution import (
    DAY_MS,
    HALF_LIFE_MS,
    MODELS,
    Conversion,
    Rule,
    Touch,
    credits,
    rule_for,
    shared_out,
)
from analytics.domain.conversions import Refusal, conversion_of, correction_of
from analytics.domain.opt_outs import Stance, moved
from hypothesis import given
from hypothesis import strategies as st
from shared.contracts.events import ConsentChanged, EventTracked
from shared.contracts.fields import MICROS

AT = 1_800_000_000_000


def sale(value: int | None = 30_000_000, name: str = "purchase", at: int = AT) -> Conversion:
    return Conversion("e1", name, at, value, "EUR" if value is not None else None)


def touches(*days_before: float) -> list[Touch]:
    return [Touch(f"m{index}", f"c{index}", AT - int(days * DAY_MS)) for index, days in enumerate(days_before)]


def always(rule: Rule) -> Any:
    return lambda campaign: rule


def shares(model: str, *days_before: float, rule: Rule | None = None) -> dict[str, int]:
    found = credits(sale(), touches(*days_before), always(rule or Rule()))
    return {credit.touch.message_id: credit.value for credit in found if credit.model == model}


def test_each_model_shares_as_its_name_says() -> None:
    assert shares("last", 3, 2, 1) == {"m2": 30_000_000}
    assert shares("first", 3, 2, 1) == {"m0": 30_000_000}
    assert shares("linear", 3, 2, 1) == {"m0": 10_000_000, "m1": 10_000_000, "m2": 10_000_000}
    half = HALF_LIFE_MS / DAY_MS
    assert shares("decay", 1 + half, 1) == {"m0": 10_000_000, "m1": 20_000_000}


@pytest.mark.parametrize(
    ("days", "gets"), [(7, True), (7.00001, False), (0, True), (-0.00001, False)], ids=["end", "over", "same", "later"]
)
def test_the_window_begins_with_the_message_and_ends_with_its_last_moment(days: float, gets: bool) -> None:
    assert bool(shares("last", days)) == gets


def test_each_campaign_has_its_own_window_and_events() -> None:
    rules = {"c0": Rule(10 * DAY_MS), "c1": Rule(events=frozenset({"sign_up"})), "": Rule(DAY_MS)}
    found = credits(sale(), touches(9, 1, 2), lambda campaign: rule_for(rules, campaign))
    assert {credit.touch.message_id for credit in found} == {"m0"}
    told = credits(sale(None, "sign_up"), touches(9, 1, 2), lambda campaign: rule_for(rules, campaign))
    assert {credit.touch.message_id for credit in told} == {"m1"}
    assert {(credit.share, credit.value) for credit in told} == {(MICROS, 0)}


@given(
    st.lists(st.integers(0, 7 * DAY_MS), min_size=1, max_size=60),
    st.integers(0, 10**15),
    st.randoms(use_true_random=False),
)
def test_one_whole_credit_and_the_whole_value_by_every_model_in_any_order(
    ago: list[int], value: int, random: Any
) -> None:
    known = [Touch(f"m{index:03}", "c", AT - before) for index, before in enumerate(ago)]
    found = credits(sale(value), known, always(Rule()))
    for model in MODELS:
        own = [credit for credit in found if credit.model == model]
        assert sum(credit.share for credit in own) == MICROS
        assert sum(credit.value for credit in own) == value
        assert all(credit.value >= 0 for credit in own)
    shuffled = list(known)
    random.shuffle(shuffled)
    assert credits(sale(value), shuffled, always(Rule())) == found


@given(st.integers(0, 10**18), st.lists(st.floats(0.001, 1000), min_size=1, max_size=20))
def test_sharing_out_loses_nothing(total: int, parts: list[float]) -> None:
    assert sum(shared_out(total, parts)) == total


def told(**more: Any) -> EventTracked:
    plain: dict[str, Any] = {
        "event_id": "e", "tenant_id": "t", "occurred_at": AT, "contact_ref": "r", "name": "purchase", "value": 5, "currency": "EUR",
    }  # fmt: skip
    return EventTracked(**{**plain, **more})


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"currency": "XXQ"}, Refusal.UNKNOWN_CURRENCY), ({"currency": None}, Refusal.NO_CURRENCY),
        ({"value": -1}, Refusal.NEGATIVE), ({}, Conversion("e", "purchase", AT, 5, "EUR")),
        ({"value": None, "currency": None}, Conversion("e", "purchase", AT, None, None)),
    ],
)  # fmt: skip
def test_what_cannot_be_believed_is_refused_by_reason(more: dict[str, Any], expected: Any) -> None:
    assert conversion_of(told(**more)) == expected


def test_a_repeat_changes_nothing_and_a_correction_says_what_it_changed() -> None:
    known = sale()
    assert correction_of(known, known) is None
    assert correction_of(known, known._replace(at=AT + 5)) is None  # told again without a time of its own
    cheaper = correction_of(known, sale(10, at=AT + 5))
    assert cheaper is not None
    assert (cheaper.before, cheaper.after) == (known, sale(10))
    earlier = correction_of(known, known._replace(at=AT - 5))
    assert earlier is not None
    assert earlier.after.at == AT - 5


def consent(version: int, state: str, ref: str = "r") -> ConsentChanged:
    return ConsentChanged(
        event_id=f"{ref}:{version}", tenant_id="t", occurred_at=AT + version, contact_ref=ref, version=version,
        purposes={"marketing": state}, source="stop",
    )  # fmt: skip


def test_only_a_move_from_in_to_out_is_an_opt_out() -> None:
    told = [consent(1, "granted"), consent(2, "withdrawn"), consent(3, "withdrawn"), consent(2, "withdrawn"), consent(4, "granted"), consent(5, "withdrawn")]  # fmt: skip
    now, outs = moved({}, told)
    assert [event.version for event in outs] == [2, 5]
    assert now == {("t", "r"): Stance(5, True)}
    assert moved(now, told) == ({}, [])
    assert moved({("t", "r"): Stance(3, True)}, [consent(4, "suppressed")])[1] == []
