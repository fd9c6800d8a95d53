"""Limits as data: what is refused, what they come to, and that no tenant ever goes over its own."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from router.domain.budgets import Refused, Use, Wait, Want, admit, keys_of
from router.domain.limits import Limits, UseKey, check_limits, compile_limits, period_at
from router.domain.trouble import TroublesError
from routing_values import HOUR, NOW

LATEST = NOW + 24 * HOUR


def limits(*some: dict[str, Any], **more: Any) -> Limits:
    return compile_limits(3, check_limits({"limits": [{"id": f"l{n}", **one} for n, one in enumerate(some)], **more}))


def want(**changed: Any) -> Want:
    given: dict[str, Any] = {
        "tenant": "acme", "campaign": "spring", "purpose": "marketing", "country": "FR", "cost": 50_000, "latest": LATEST,
    }  # fmt: skip
    return Want(**{**given, **changed})


def admitted(wants: list[Want], found: Limits, uses: dict[UseKey, Use] | None = None, now: int = NOW) -> list[Any]:
    uses = {} if uses is None else uses
    for key in keys_of(wants, found, now):
        uses.setdefault(key, Use())
    return admit(wants, found, uses, now)


@pytest.mark.parametrize(
    ("limit", "field"),
    [
        ({}, "per_second"),
        ({"per_second": 0}, "per_second"),
        ({"per_second": True}, "per_second"),
        ({"messages": -1}, "messages"),
        ({"cost": 12}, "cost"),
        ({"messages": 1, "period": "week"}, "period"),
        ({"messages": 1, "zone": "Mars/Base"}, "zone"),
        ({"messages": 1, "each": "contact"}, "each"),
        ({"messages": 1, "when_reached": "beg"}, "when_reached"),
        ({"messages": 1, "class": ["spam"]}, "class"),
        ({"messages": 1, "country": ["fr"]}, "country"),
        ({"messages": 1, "tenant": "acme"}, "tenant"),
        ({"per_second": 5, "class": ["otp", "marketing"]}, "class"),
        ({"messages": 1, "colour": "red"}, "colour"),
    ],
)
def test_a_bad_limit_is_told_with_its_row_and_field(limit: dict[str, Any], field: str) -> None:
    with pytest.raises(TroublesError) as caught:
        limits({"messages": 1}, limit)
    assert [trouble.field for trouble in caught.value.troubles] == [f"limits[1].{field}"]


def test_bad_margins_and_shares_are_told() -> None:
    with pytest.raises(TroublesError) as caught:
        limits(margins={"acme": {"share": 0.1}}, shares={"acme": 0})
    assert [trouble.field for trouble in caught.value.troubles] == ["margins.acme.share", "shares"]


def test_a_quota_of_messages_lets_so_many_go_and_tells_the_others_why() -> None:
    found = admitted([want()] * 3, limits({"tenant": ["acme"], "messages": 2}))
    assert found == [None, None, Refused("limit l0: 2 messages a day is reached")]


def test_each_tenant_has_its_own_count_and_one_without_a_limit_none() -> None:
    book = limits({"messages": 1, "tenant": ["acme", "other"]})
    assert admitted([want(), want(tenant="other"), want(tenant="third"), want(tenant="third")], book) == [None] * 4


def test_a_campaigns_budget_is_its_own_for_good() -> None:
    book = limits({"cost": "0.10", "period": "total", "each": "campaign"})
    found = admitted([want(), want(), want(), want(campaign="autumn"), want(campaign=None)], book)
    assert found == [None, None, Refused("limit l0: a cost of 0.100 is reached"), None, None]


def test_a_ceiling_is_per_day_by_the_clock_of_its_zone() -> None:
    book = limits({"cost": "0.05", "zone": "Pacific/Auckland"})
    uses: dict[UseKey, Use] = {}
    assert admitted([want()], book, uses) == [None]
    ends = period_at(book.limits[0], NOW)[1]
    assert ends is not None
    assert isinstance(admitted([want()], book, uses, ends - 1)[0], Refused)
    assert admitted([want()], book, uses, ends) == [None]
    assert {key.period for key in uses} == {"2027-01-15", "2027-01-16"}


def test_where_the_tenant_would_rather_wait_it_waits_for_the_next_day_if_that_is_not_too_late() -> None:
    book = limits({"messages": 0, "when_reached": "wait"})
    ends = period_at(book.limits[0], NOW)[1]
    assert admitted([want()], book) == [Wait(ends, "budget_exceeded")]  # type: ignore[arg-type]
    assert isinstance(admitted([want(latest=NOW + 1)], book)[0], Refused)


def test_one_time_codes_are_limited_only_where_the_limit_names_them() -> None:
    assert admitted([want(purpose="otp")], limits({"messages": 0})) == [None]
    assert isinstance(admitted([want(purpose="otp")], limits({"messages": 0, "class": ["otp"]}))[0], Refused)


def test_a_further_attempt_is_no_further_message_but_its_cost_counts() -> None:
    assert admitted([want(), want(again=True)], limits({"messages": 1})) == [None, None]
    assert isinstance(admitted([want(), want(again=True)], limits({"cost": "0.05"}))[1], Refused)


def test_a_rate_gives_each_its_turn_and_who_has_waited_for_it_goes() -> None:
    book = limits({"per_second": 10})
    uses: dict[UseKey, Use] = {}
    found = admitted([want()] * 25, book, uses)
    assert found[:3] == [None] * 3  # what the next look at the timer table would release
    assert found[3:] == [Wait(NOW + 100 * n, "rate_limited") for n in range(3, 25)]
    assert admitted([want(paced=True)], book, uses, NOW + 300) == [None]
    assert isinstance(admitted([want(latest=NOW + 2_000)], book, uses)[0], Refused)


def test_a_margin_is_added_to_what_the_carrier_takes_and_rounded_up() -> None:
    book = limits(margins={"acme": {"share": "0.15", "per_part": "0.002"}})
    assert book.charge("acme", 45_001) == 45_001 + 2_000 + 6_751
    assert book.charge("other", 45_001) == 45_001


def test_the_pace_of_a_tenant_is_the_least_that_binds_all_of_its_marketing() -> None:
    book = limits({"per_second": 50, "tenant": ["acme"]}, {"per_second": 20}, {"per_second": 1, "campaign": ["spring"]})
    assert (book.pace("acme"), book.pace("other")) == (20, 20)
    assert limits().pace("acme") is None


WANTS = st.builds(
    want, tenant=st.sampled_from(["acme", "other"]), campaign=st.sampled_from([None, "spring", "autumn"]),
    purpose=st.sampled_from(["marketing", "transactional"]), cost=st.integers(0, 200_000), again=st.booleans(),
)  # fmt: skip


@given(st.lists(st.lists(WANTS, max_size=20), max_size=6), st.integers(0, 15), st.integers(0, 500_000))
def test_nobody_ever_goes_over_a_quota_or_a_ceiling(batches: list[list[Want]], most: int, cost: int) -> None:
    book = limits(
        {"messages": most}, {"cost": f"{cost / 1e6:.6f}", "period": "total"}, {"messages": 3, "each": "campaign"}
    )
    uses: dict[UseKey, Use] = {}
    gone: list[Want] = []
    for batch in batches:
        gone += [w for w, found in zip(batch, admitted(batch, book, uses), strict=True) if found is None]
    for tenant in ("acme", "other"):
        own = [w for w in gone if w.tenant == tenant]
        assert sum(not w.again for w in own) <= most
        assert sum(w.cost for w in own) <= cost
        for name in ("spring", "autumn"):
            assert sum(not w.again for w in own if w.campaign == name) <= 3


@given(st.lists(st.integers(0, 3_000), max_size=60), st.sampled_from([0.5, 3, 40]))
def test_at_no_time_do_more_go_than_the_rate_allows(pauses: list[int], rate: float) -> None:
    book = limits({"per_second": rate})
    uses: dict[UseKey, Use] = {}
    now, goes = NOW, []
    for pause in pauses:
        now += pause
        found = admitted([want(latest=NOW + 10**9)], book, uses, now)[0]
        goes.append(found.until if isinstance(found, Wait) else now)
    goes.sort()
    for n, first in enumerate(goes):
        for m in range(n + 1, len(goes)):
            assert m - n <= (goes[m] - first + 201) / 1000 * rate + 1
