"""What a message contributes, and that it moves between counters exactly once."""

from typing import Any

import pytest
from analytics.adapters.rollup_store import Counted
from analytics.domain.carrier_deltas import CarrierSums, carrier_sums
from analytics.domain.contribution import Counts, Place, State, changes, moves, newest, state_of
from analytics.domain.money import decimal
from analytics.domain.report import Counter, report_of
from analytics.handlers import is_counted, reached
from hypothesis import given
from hypothesis import strategies as st
from shared.contracts.events import MessageStatus, StateReached
from shared.kafka.consumer import Received

BORN = 1_800_000_000_000
STATES = (
    "accepted",
    "prepared",
    "held",
    "deferred",
    "submitted",
    "delivered",
    "undelivered",
    "expired",
    "rejected",
    "unknown",
    "dropped",
)


def status(message_id: str = "m1", version: int = 1, state: str = "accepted", **changed: Any) -> MessageStatus:
    given_: dict[str, Any] = {
        "event_id": f"{message_id}:{version}", "tenant_id": "acme", "occurred_at": BORN + version, "message_id": message_id,
        "version": version, "status": state, "states": [StateReached(state=state, at=BORN + version * 1000)], "final": False,
        "purpose": "marketing", "accepted_at": BORN, "campaign_id": "spring", "run": "1", "country": "FR",
    }  # fmt: skip
    return MessageStatus(**{**given_, **changed})


class Table:
    """The handler's transaction, in memory."""

    def __init__(self) -> None:
        self.states: dict[str, State] = {}
        self.counters: dict[Place, Counts] = {}

    def handle(self, batch: list[MessageStatus]) -> None:
        found = changes(self.states, [state_of(s) for s in newest(batch).values()])
        self.states.update({change.after.message_id: change.after for change in found})
        for place, counts in moves(found).items():
            known = self.counters.get(place, Counts(0, 0, 0, 0))
            self.counters[place] = Counts(*(a + b for a, b in zip(known, counts, strict=True)))

    def totals(self) -> dict[Place, Counts]:
        return {place: counts for place, counts in self.counters.items() if any(counts)}


@st.composite
def histories(draw: st.DrawFn) -> list[MessageStatus]:
    found = []
    for number in range(draw(st.integers(1, 4))):
        steps = draw(st.lists(st.sampled_from(STATES), min_size=1, max_size=5))
        for version, state in enumerate(steps, 1):
            sent = draw(st.integers(0, 2))
            found.append(
                status(
                    f"m{number}", version, state, attempt=sent, carrier=draw(st.sampled_from(["mercure", "iris"])) if sent else None,
                    parts=draw(st.integers(1, 3)) if sent else 0, cost=draw(st.integers(0, 90_000)) if sent else 0,
                    currency="EUR" if sent else None, reason=draw(st.sampled_from([None, "expired", "no_consent"])),
                )
            )  # fmt: skip
    return found


@given(histories(), st.data())
def test_any_order_any_repetition_and_any_batches_give_the_same_totals(
    records: list[MessageStatus], data: st.DataObject
) -> None:
    once = Table()
    once.handle(records)
    again = Table()
    shuffled = data.draw(st.permutations(records + data.draw(st.lists(st.sampled_from(records), max_size=10))))
    while shuffled:
        size = data.draw(st.integers(1, len(shuffled)))
        again.handle(shuffled[:size])
        shuffled = shuffled[size:]
    assert again.totals() == once.totals()


@given(histories())
def test_the_sums_of_a_report_are_always_consistent(records: list[MessageStatus]) -> None:
    table = Table()
    table.handle(records)
    rows = [
        Counter(p.minute, p.run, p.variant, p.segment, p.country, p.carrier, p.outcome, p.reason, p.currency, *counts)
        for p, counts in table.totals().items()
    ]
    told = report_of(rows)
    assert told["accepted"] == told["audience"] == len({r.message_id for r in records})
    for part in (told, *told["by_hour"], *told["by_country"].values()):
        ended = sum(part["dropped"].values()) + part["delivered"] + sum(part["failed"].values()) + part["unknown"]
        assert part["accepted"] == ended + part["pending"]
    assert told["cost"] == decimal(sum(row.cost for row in rows))


def test_a_message_leaves_the_counter_it_was_in() -> None:
    before = state_of(
        status(version=1, state="submitted", attempt=1, carrier="mercure", parts=2, cost=90_000, currency="EUR")
    )
    after = state_of(
        status(version=2, state="delivered", attempt=1, carrier="mercure", parts=2, cost=90_000, currency="EUR")
    )
    found = moves(changes({"m1": before}, [after]))
    hour = BORN - BORN % 3_600_000
    assert found == {
        before.place._replace(minute=hour): Counts(-1, -1, -2, -90_000),
        after.place._replace(minute=hour): Counts(1, 1, 2, 90_000),
    }
    assert (before.place.outcome, after.place.outcome) == ("pending", "delivered")


def test_a_state_that_moves_no_counter_moves_none() -> None:
    before = state_of(status(version=1, state="accepted"))
    assert moves(changes({"m1": before}, [state_of(status(version=2, state="prepared"))])) == {}


@pytest.mark.parametrize(
    ("state", "reason", "outcome", "told"),
    [
        ("dropped", "no_consent", "dropped", "no_consent"),
        ("undelivered", "undeliverable", "failed", "undeliverable"),
        ("expired", None, "failed", "expired"),
        ("rejected", "invalid_sender", "failed", "invalid_sender"),
        ("delivered", None, "delivered", ""),
        ("unknown", None, "unknown", ""),
        ("held", "rule", "pending", ""),
    ],
)
def test_each_state_has_its_counter(state: str, reason: str | None, outcome: str, told: str) -> None:
    place = state_of(status(state=state, reason=reason)).place
    assert (place.outcome, place.reason) == (outcome, told)


def test_the_minute_is_that_of_acceptance() -> None:
    assert state_of(status(accepted_at=BORN + 61_234)).place.minute == BORN + 60_000


def test_a_carrier_is_credited_for_what_it_took_and_how_it_ended() -> None:
    sent = {"attempt": 1, "carrier": "mercure"}
    first = {"a": status("a", 1, "submitted", **sent), "b": status("b", 1, "submitted", **sent), "c": status("c")}
    found = changes({}, [state_of(s) for s in first.values()])
    assert carrier_sums(found, first) == {("mercure", "FR"): CarrierSums(submitted=2)}
    known = {change.after.message_id: change.after for change in found}
    then = {"a": status("a", 4, "delivered", **sent), "b": status("b", 2, "expired", **sent)}
    found = changes(known, [state_of(s) for s in then.values()])
    assert carrier_sums(found, then) == {
        ("mercure", "FR"): CarrierSums(delivered=1, failed=1, delay_ms=3_000, delays={"20": 1}, errors={"expired": 1})
    }
    again = {change.after.message_id: change.after for change in found}
    assert carrier_sums(changes(again, [state_of(s) for s in then.values()]), then) == {}


def test_states_met_in_one_batch_still_credit_both_submission_and_delivery() -> None:
    states = [StateReached(state="submitted", at=BORN + 100), StateReached(state="delivered", at=BORN + 900)]
    records = {"a": status("a", 3, "delivered", attempt=1, carrier="iris", states=states)}
    assert carrier_sums(changes({}, [state_of(records["a"])]), records) == {
        ("iris", "FR"): CarrierSums(1, 1, 0, 800, {"12": 1})
    }


def test_another_attempt_counts_as_a_submission_of_the_other_carrier() -> None:
    known = state_of(status("a", 1, "submitted", attempt=1, carrier="mercure"))
    records = {"a": status("a", 2, "submitted", attempt=2, carrier="iris")}
    assert carrier_sums(changes({"a": known}, [state_of(records["a"])]), records) == {
        ("iris", "FR"): CarrierSums(submitted=1)
    }


def received(offset: int, timestamp: int) -> Received:
    return Received("t", 0, offset, None, timestamp, (), None)


def test_a_counted_record_is_skipped_and_a_topic_made_anew_is_not() -> None:
    counted = Counted(next_offset=10, newest=1_000)
    assert is_counted(received(9, 1_000), counted)
    assert not is_counted(received(10, 900), counted)
    assert not is_counted(received(0, 1_001), counted)
    assert reached([received(10, 900), received(11, 1_200)], {("t", 0): counted}) == {("t", 0): Counted(12, 1_200)}
    assert reached([received(0, 1_001)], {("t", 0): counted}) == {("t", 0): Counted(1, 1_001)}


def test_with_two_currencies_no_sum_pretends_to_be_one() -> None:
    row = Counter(BORN, "1", "", "", "FR", "mercure", "delivered", "", "EUR", 1, 1, 1, 12_340_000)
    told = report_of([row, row._replace(currency="USD", cost=1)])
    assert (told["cost"], told["currency"], told["costs"]) == (None, None, {"EUR": "12.340000", "USD": "0.000001"})
    assert report_of([row])["cost"] == "12.340000"


def test_states_that_meet_in_one_batch_keep_the_time_of_the_submission() -> None:
    batch = [
        status(version=1),
        status(version=2, state="submitted", attempt=1),
        status(version=3, state="delivered", attempt=1),
    ]
    for given_ in (batch, batch[::-1], [*batch, *batch]):
        [found] = newest(given_).values()
        assert (found.version, state_of(found).submitted_at) == (3, BORN + 2_000)
