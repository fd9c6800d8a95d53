"""May it go, when, and by whom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from router.domain.choose_carrier import Defer, Drop, Send
from router.domain.decide import KEPT_MS, Waited, due_at, history_of, tried_with
from router.domain.opt_outs import OptOuts
from routing_values import CONTACT, HOUR, NOW, TENANT, campaign, consent, decider, health, prepared, returned, tariff


def test_its_time_is_over_exactly_at_not_after() -> None:
    assert decider().decide(prepared(not_after=NOW)) == Drop("window_missed", "its time was over")
    assert isinstance(decider().decide(prepared(not_after=NOW + 1)), Send)


def test_a_message_that_waited_for_carriers_says_so_when_its_time_is_over() -> None:
    found = decider().decide(prepared(not_after=NOW), Waited(NOW - HOUR, "no_healthy_carrier"))
    assert found == Drop("window_missed", "all carriers were down until its time was over")


def test_before_not_before_it_waits_and_from_then_on_it_goes() -> None:
    assert decider().decide(prepared(not_before=NOW + 1)) == Defer(NOW + 1, "send_at")
    assert isinstance(decider().decide(prepared(not_before=NOW)), Send)


def test_nothing_is_kept_for_more_than_24_hours() -> None:
    late = prepared(not_before=NOW + KEPT_MS, not_after=NOW + 2 * KEPT_MS)
    assert isinstance(decider().decide(late), Drop)
    found = decider().decide(prepared(not_after=NOW + KEPT_MS), Waited(NOW - KEPT_MS, "campaign_paused"))
    assert isinstance(found, Drop)
    assert found.reason == "window_missed"
    assert due_at(None, prepared(not_after=NOW + 9 * KEPT_MS), NOW) == NOW + KEPT_MS
    assert due_at(None, prepared(not_after=NOW + HOUR), NOW) == NOW + HOUR


def test_marketing_to_someone_who_opted_out_is_dropped_and_a_code_is_not() -> None:
    out = decider(consents=(consent("withdrawn", 1),))
    assert isinstance(found := out.decide(prepared(purpose="marketing")), Drop)
    assert found.reason == "opted_out"
    assert isinstance(out.decide(prepared(purpose="otp")), Send)


def test_an_opt_out_without_a_number_holds_for_the_person() -> None:
    out = decider(consents=(consent("suppressed", 1, contact_id=None),))
    assert isinstance(out.decide(prepared(purpose="marketing", contact_ref="ann")), Drop)
    assert isinstance(out.decide(prepared(purpose="marketing", contact_ref="bob")), Send)


def test_a_new_grant_ends_the_opt_out_and_a_stale_one_does_not() -> None:
    assert isinstance(
        decider(consents=(consent("withdrawn", 3), consent("granted", 2))).decide(prepared(purpose="marketing")), Drop
    )
    assert isinstance(
        decider(consents=(consent("withdrawn", 3), consent("granted", 4))).decide(prepared(purpose="marketing")), Send
    )


def test_a_number_shared_by_two_persons_stays_out_while_one_of_them_is_out() -> None:
    outs = OptOuts()
    outs.apply(
        [consent("withdrawn", 1, ref="ann"), consent("withdrawn", 1, ref="bob"), consent("granted", 2, ref="bob")]
    )
    assert outs.is_out(TENANT, CONTACT, None)
    outs.apply([consent("granted", 2, ref="ann")])
    assert not outs.is_out(TENANT, CONTACT, None)


@given(
    st.lists(st.tuples(st.sampled_from(["ann", "bob"]), st.sampled_from(["x", "y"]), st.booleans()), max_size=12),
    st.data(),
)
def test_reading_the_topic_again_changes_no_opt_out(changes: list[tuple[str, str, bool]], data: st.DataObject) -> None:
    events = [
        consent("withdrawn" if out else "granted", version, ref=ref, contact_id=number)
        for version, (ref, number, out) in enumerate(changes, 1)
    ]
    once, twice = OptOuts(), OptOuts()
    once.apply(events)
    twice.apply(events[: data.draw(st.integers(0, len(events)))])
    twice.apply(events)
    for number in ("x", "y"):
        assert once.is_out(TENANT, number, None) == twice.is_out(TENANT, number, None)


def test_a_cancelled_campaign_drops_and_a_paused_one_waits_for_its_change() -> None:
    message = prepared(purpose="marketing", campaign_id="spring")
    assert decider(campaigns=(campaign("cancelled", 2),)).decide(message) == Drop(
        "cancelled", "its campaign was cancelled"
    )
    assert decider(campaigns=(campaign("paused", 2),)).decide(message) == Defer(None, "campaign_paused")
    assert isinstance(decider(campaigns=(campaign("paused", 2), campaign("running", 3))).decide(message), Send)
    assert isinstance(decider(campaigns=(campaign("paused", 2, tenant="other"),)).decide(message), Send)


def test_an_older_campaign_state_is_ignored() -> None:
    message = prepared(purpose="marketing", campaign_id="spring")
    assert isinstance(decider(campaigns=(campaign("cancelled", 5), campaign("running", 4))).decide(message), Drop)


def test_a_returned_message_goes_to_the_next_carrier() -> None:
    message = returned("invalid_sender", ["mercure"])
    found = decider().decide(message)
    assert isinstance(found, Send)
    assert found.carrier == "iris"
    assert history_of(message).attempt == 2


def test_a_returned_message_ends_when_every_carrier_refused_it() -> None:
    found = decider().decide(returned("invalid_sender", ["mercure", "iris"]))
    assert found == Drop("sender_not_allowed", "attempt 2 ended: invalid_sender; tried mercure, iris")
    assert decider().decide(returned("rejected_by_carrier", ["mercure", "iris"])).reason == "no_route"  # type: ignore[union-attr]


def test_with_one_carrier_a_passing_trouble_waits_and_then_tries_it_again() -> None:
    one = decider(health("mercure"), prices=tariff({"mercure": {"": 45_000}}))
    message = returned("throttled", ["mercure"])
    assert one.decide(message) == Defer(NOW + 500, "carrier_busy")
    found = one.decide(message, Waited(NOW - 500, "carrier_busy"))
    assert isinstance(found, Send)
    assert found.carrier == "mercure"


def test_after_three_attempts_it_ends_whatever_the_cause() -> None:
    many = tariff({name: {"": 1} for name in "abcd"})
    up = [health(name) for name in "abcd"]
    assert isinstance(decider(*up, prices=many).decide(returned("throttled", ["a", "b"])), Send)
    found = decider(*up, prices=many).decide(returned("throttled", ["a", "b", "c"]))
    assert found == Drop("no_route", "attempt 3 ended: throttled; tried a, b, c")


def test_with_one_carrier_three_refusals_are_enough_though_a_connector_names_itself_once() -> None:
    one = decider(health("mercure"), prices=tariff({"mercure": {"": 45_000}}))
    tried: list[str] = []
    sent = 0
    while True:
        message = returned("throttled", tried, attempt=sent, carrier="mercure") if sent else prepared()
        found = one.decide(message, Waited(NOW - 500, "carrier_busy"))
        if not isinstance(found, Send):
            break
        told = tried_with(history_of(message), found.carrier)
        tried = told if found.carrier in told else [*told, found.carrier]  # what the connector does
        sent += 1
    assert isinstance(found, Drop)
    assert sent == 3


def test_a_message_that_pauses_keep_sending_back_ends_some_day() -> None:
    message = returned("campaign_paused", ["mercure"], attempt=10, purpose="marketing", campaign_id="spring")
    assert isinstance(decider().decide(message, Waited(NOW - 1_000, "campaign_paused")), Drop)


@pytest.mark.parametrize("cause", ["invalid_number", "opted_out", "suppressed", "cancelled", "window_missed"])
def test_what_no_carrier_cures_ends_at_once(cause: str) -> None:
    assert decider().decide(returned(cause, ["mercure"])) == Drop(cause, f"attempt 1 ended: {cause}")


def test_a_pause_counts_as_no_try_of_the_carrier() -> None:
    message = returned("campaign_paused", ["mercure"], purpose="marketing", campaign_id="spring")
    assert decider().decide(message) == Defer(NOW + 1_000, "campaign_paused")
    found = decider().decide(message, Waited(NOW - 1_000, "campaign_paused"))
    assert isinstance(found, Send)
    assert found.carrier == "mercure"
    assert history_of(message) == history_of(message).__class__(2, (), "campaign_paused")


def test_a_long_outage_is_looked_at_less_and_less_often_but_never_after_its_time() -> None:
    down = decider(health("mercure", "down"), health("iris", "down"))
    message = prepared(purpose="marketing")
    assert down.decide(message, Waited(NOW - 40_000, "no_healthy_carrier")) == Defer(NOW + 10_000, "no_healthy_carrier")
    assert down.decide(message, Waited(NOW - HOUR, "no_healthy_carrier")) == Defer(NOW + 15_000, "no_healthy_carrier")
    assert down.decide(prepared(not_after=NOW + 100)) == Defer(NOW + 100, "no_healthy_carrier")
