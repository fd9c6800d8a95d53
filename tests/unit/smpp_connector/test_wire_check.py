"""The last look at a message before it is claimed."""

import pytest
from shared.contracts.events import CampaignChanged, ConsentChanged
from smpp_connector.domain.campaigns import Campaigns
from smpp_connector.domain.claim_rules import Outcome
from smpp_connector.domain.consent import LOCAL_STOP_MS, OptOuts
from smpp_connector.domain.wire_check import NotYet, Stopped, wire_check
from smpp_connector_makers import HOUR_MS, request


def consent(state: str, version: int, *, ref: str = "r", contact_id: str | None = "c", at: int = 0) -> ConsentChanged:
    return ConsentChanged(
        event_id=f"{ref}{version}", tenant_id="acme", occurred_at=at, contact_ref=ref, contact_id=contact_id, number_hash="h", version=version,
        purposes={"marketing": state}, source="test",
    )  # fmt: skip


def campaign(state: str, version: int) -> CampaignChanged:
    return CampaignChanged(
        event_id=f"{version}", tenant_id="acme", occurred_at=0, campaign_id="spring", version=version, state=state
    )


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, None),
        ({"not_after": 1000}, Stopped(Outcome.DROPPED, "window_missed")),
        ({"not_before": 3000}, NotYet(2.0)),
        ({"not_before": HOUR_MS}, NotYet(5.0)),
        ({"not_before": 1000}, None),
    ],
)
def test_time(more: dict[str, int], expected: object) -> None:
    assert wire_check(request(**more), 1000, OptOuts(), Campaigns()) == expected


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([("running", 1)], None),
        ([("running", 1), ("paused", 2)], Stopped(Outcome.RETURNED, "campaign_paused")),
        ([("paused", 2), ("running", 1)], Stopped(Outcome.RETURNED, "campaign_paused")),
        ([("paused", 2), ("running", 3)], None),
        ([("cancelled", 4)], Stopped(Outcome.DROPPED, "cancelled")),
        ([("completed", 5)], None),
    ],
)
def test_campaigns(states: list[tuple[str, int]], expected: object) -> None:
    campaigns = Campaigns()
    campaigns.apply([campaign(state, version) for state, version in states])
    assert wire_check(request(campaign_id="spring"), 1000, OptOuts(), campaigns) == expected
    assert wire_check(request(campaign_id="other"), 1000, OptOuts(), campaigns) is None
    assert wire_check(request(campaign_id="spring", tenant_id="other"), 1000, OptOuts(), campaigns) is None


@pytest.mark.parametrize(("purpose", "stopped"), [("marketing", True), ("transactional", False), ("otp", False)])
def test_an_opt_out_stops_marketing_and_only_that(purpose: str, stopped: bool) -> None:
    opt_outs = OptOuts()
    opt_outs.apply([consent("withdrawn", 1)])
    found = wire_check(request(purpose=purpose), 1000, opt_outs, Campaigns())
    assert (found == Stopped(Outcome.DROPPED, "opted_out")) is stopped


def test_a_later_grant_undoes_an_opt_out_and_an_older_one_does_not() -> None:
    opt_outs = OptOuts()
    opt_outs.apply([consent("withdrawn", 5)])
    opt_outs.apply([consent("granted", 4)])
    assert opt_outs.is_out("c", "h")
    opt_outs.apply([consent("granted", 6)])
    assert not opt_outs.is_out("c", "h")


def test_of_two_people_with_one_number_the_strictest_counts() -> None:
    opt_outs = OptOuts()
    opt_outs.apply([consent("withdrawn", 1, ref="one"), consent("granted", 9, ref="two")])
    assert opt_outs.is_out("c", "h")
    opt_outs.apply([consent("granted", 2, ref="one")])
    assert not opt_outs.is_out("c", "h")


def test_an_opt_out_stays_with_the_old_number_of_a_person_who_has_a_new_one() -> None:
    opt_outs = OptOuts()
    opt_outs.apply([consent("withdrawn", 1, contact_id="old"), consent("withdrawn", 2, contact_id="new")])
    assert opt_outs.is_out("old", "x")
    assert opt_outs.is_out("new", "x")
    opt_outs.apply([consent("granted", 3, contact_id="new")])
    assert not opt_outs.is_out("old", "x")


def test_erasure_leaves_the_person_out() -> None:
    opt_outs = OptOuts()
    opt_outs.apply([consent("suppressed", 7)])
    assert opt_outs.is_out("c", "other")


def test_a_replay_of_the_topic_changes_nothing() -> None:
    opt_outs = OptOuts()
    story = [consent("granted", 1), consent("withdrawn", 2), consent("granted", 3), consent("withdrawn", 4)]
    opt_outs.apply(story)
    for event in story:
        opt_outs.apply([event])
        assert opt_outs.is_out("c", "h")


def test_a_stop_of_our_own_bind_counts_at_once_and_until_a_start_or_a_later_grant() -> None:
    opt_outs = OptOuts()
    opt_outs.stop("h", 1000)
    assert opt_outs.is_out("c", "h")
    opt_outs.apply([consent("granted", 1, at=900)])
    assert opt_outs.is_out("c", "h")
    opt_outs.apply([consent("granted", 2, at=1100)])
    assert not opt_outs.is_out("c", "h")
    opt_outs.stop("h", 2000)
    opt_outs.start("h")
    assert not opt_outs.is_out("c", "h")


def test_old_stops_of_our_own_bind_are_forgotten() -> None:
    opt_outs = OptOuts()
    opt_outs.stop("old", 0)
    opt_outs.stop("new", LOCAL_STOP_MS + 1)
    assert not opt_outs.is_out("c", "old")
    assert opt_outs.is_out("c", "new")
