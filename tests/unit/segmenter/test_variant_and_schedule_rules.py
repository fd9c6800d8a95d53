"""Who gets which variant, when a campaign starts, and when it needs a second person."""

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from segmenter.domain.approval import Approval, may_approve, needs_approval
from segmenter.domain.schedule import Schedule, starts_again, starts_at, trouble_with
from segmenter.domain.variants import BUCKETS, Splitter, Variant, chooser, variant_at
from segmenter.domain.variants import trouble_with as split_trouble

AB = [Variant("a", "t1", 60), Variant("b", "t2", 30)]
SPLITTER = Splitter(b"k" * 32)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def test_shares_and_holdout_are_exactly_what_was_asked_for_over_all_buckets() -> None:
    found = Counter(getattr(variant_at(AB, 10, bucket), "id", None) for bucket in range(BUCKETS))
    assert found == {None: 1000, "a": 6000, "b": 3000}


@given(st.text(min_size=1, max_size=40))
def test_the_same_person_gets_the_same_variant_whenever_they_are_asked_for(ref: str) -> None:
    assert chooser(SPLITTER, "acme", "c", AB, 10)(ref) == chooser(Splitter(b"k" * 32), "acme", "c", AB, 10)(ref)


def test_real_references_spread_evenly_and_another_campaign_splits_them_anew() -> None:
    refs = [f"customer-{i}" for i in range(20_000)]
    first, second = chooser(SPLITTER, "acme", "c1", AB, 10), chooser(SPLITTER, "acme", "c2", AB, 10)
    found = Counter(map(first, refs))
    assert abs(found["a"] - 12_000) < 300
    assert abs(found["holdout"] - 2000) < 200
    both = sum(first(r) == second(r) == "holdout" for r in refs)
    assert both < 300  # 200 by chance


def test_a_campaign_of_one_text_may_hold_people_out() -> None:
    found = Counter(map(chooser(SPLITTER, "acme", "c", [], 20), map(str, range(5000))))
    assert set(found) == {None, "holdout"}
    assert abs(found["holdout"] - 1000) < 150


def test_a_split_that_does_not_add_up_is_refused() -> None:
    assert split_trouble(AB, 10) is None
    assert split_trouble([], 10) is None
    assert split_trouble(AB, 0) == "shares and holdout make 90, not 100"
    assert split_trouble([Variant("a", "t", 50), Variant("a", "t", 50)], 0)
    assert split_trouble([Variant("holdout", "t", 100)], 0)


@pytest.mark.parametrize(
    ("every", "first", "now", "expected"),
    [
        ("day", "2026-03-28T09:00:00+00:00", "2026-03-28T10:00:00Z", "2026-03-29T10:00:00+02:00"),  # summer time begins
        ("week", "2026-10-20T10:00:00+02:00", "2026-10-20T10:00:00+02:00", "2026-10-27T10:00:00+01:00"),  # and ends
        ("month", "2026-01-31T10:00:00+01:00", "2026-02-01T00:00:00Z", "2026-02-28T10:00:00+01:00"),
        ("month", "2026-01-31T10:00:00+01:00", "2026-12-31T09:00:00Z", "2027-01-31T10:00:00+01:00"),
        ("day", "2020-01-01T10:00:00+01:00", "2026-06-01T08:00:00Z", "2026-06-02T10:00:00+02:00"),
    ],
)
def test_a_recurring_campaign_keeps_its_local_hour(every: str, first: str, now: str, expected: str) -> None:
    schedule = Schedule(at=datetime.fromisoformat(first), every=every, zone="Europe/Paris")  # type: ignore[arg-type]
    assert starts_again(schedule, ms(now)) == ms(expected)


def test_a_recurring_campaign_ends_when_it_was_said_to() -> None:
    at = datetime(2026, 5, 1, 10, tzinfo=UTC)
    schedule = Schedule(at=at, every="day", until=datetime(2026, 5, 2, 10, tzinfo=UTC))
    assert starts_again(schedule, ms("2026-05-01T10:00:00Z")) == ms("2026-05-02T10:00:00Z")
    assert starts_again(schedule, ms("2026-05-02T10:00:00Z")) is None


def test_a_campaign_at_local_time_starts_when_the_first_zone_gets_there() -> None:
    schedule = Schedule(local_time="2026-05-02T10:00")
    assert starts_at(schedule, 0) == ms("2026-05-01T20:00:00Z")
    assert starts_at(schedule, ms("2026-05-02T00:00:00Z")) == ms("2026-05-02T00:00:00Z")


@pytest.mark.parametrize(
    ("schedule", "field"),
    [
        (Schedule(at=datetime(2026, 5, 1), local_time="2026-05-02T10:00"), "local_time"),  # noqa: DTZ001
        (Schedule(at=datetime(2026, 5, 1)), "at"),  # noqa: DTZ001
        (Schedule(every="day"), "at"),
        (Schedule(local_time="2026-02-30T10:00"), "local_time"),
        (Schedule(at=datetime(2029, 5, 1, tzinfo=UTC)), "at"),
    ],
)
def test_a_schedule_that_cannot_be_kept_is_refused_by_its_field(schedule: Schedule, field: str) -> None:
    trouble = trouble_with(schedule, ms("2026-04-01T00:00:00Z"))
    assert trouble is not None
    assert trouble[0] == field


def test_above_the_limit_another_person_approves_and_an_unknown_cost_is_above_any_limit() -> None:
    hundred = Decimal(100)
    assert needs_approval(None, None, None) is None
    assert needs_approval(hundred, hundred, None) is None
    assert needs_approval(hundred, Decimal(101), None)
    assert needs_approval(hundred, None, Approval("k2", Decimal(500)))
    assert needs_approval(hundred, Decimal(109), Approval("k2", hundred)) is None
    assert needs_approval(hundred, Decimal(111), Approval("k2", hundred)) == (
        "it was approved at 100.00 and would now cost about 111.00"
    )
    assert may_approve("k1", "k2")
    assert not may_approve("k1", "k1")
    assert not may_approve(None, "k2")
