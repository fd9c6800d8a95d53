"""Whatever order, grouping and repetition a message's records come in, the ledger ends with the same row."""

import copy
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from dlr_processor.domain.fold import Change, Lost, MatchedReceipt, fold
from dlr_processor.domain.ledger import Message, Part, PartKey
from dlr_processor.domain.match import Submission, newest
from dlr_processor.domain.states import FINAL, RANK, in_order
from hypothesis import given, settings
from hypothesis import strategies as st
from shared.contracts.events import MessageSubmitted, ReceiptReceived
from shared.errors import PoisonError
from unit.dlr_processor import ledger_events as e


class PureLedger:
    """The handler's steps without a database: match, fold, keep early receipts waiting."""

    def __init__(self) -> None:
        self.message: Message | None = None
        self.parts: dict[PartKey, Part] = {}
        self.waiting: list[ReceiptReceived] = []
        self.changes: list[Change] = []
        self.told: list[tuple[str, int]] = []

    def batch(self, events: Sequence[Any]) -> None:
        facts = [event for event in events if type(event) is not ReceiptReceived]
        receipts = self.waiting + [event for event in events if type(event) is ReceiptReceived]
        places = [
            (event.carrier, part.carrier_message_id, e.MESSAGE, event.attempt, part.part, event.occurred_at)
            for event in facts
            if type(event) is MessageSubmitted
            for part in event.parts
        ] + [
            (part.carrier, part.carrier_message_id, e.MESSAGE, part.attempt, part.part, part.submitted_at)
            for part in self.parts.values()
        ]
        self.waiting = []
        for receipt in receipts:
            fitting = [
                Submission(m, "acme", attempt, part, at)
                for carrier, i, m, attempt, part, at in places
                if (carrier, i) == (receipt.carrier, receipt.carrier_message_id)
            ]
            found = newest(receipt, fitting)
            if found is None:
                self.waiting.append(receipt)
            else:
                facts.append(MatchedReceipt(found.message_id, found.tenant_id, found.attempt, found.part, receipt))
        if facts:
            change = fold(copy.deepcopy(self.message), copy.deepcopy(self.parts), facts, e.T0 + 10_000)
            self.changes.append(change)
            self.message = change.message
            self.parts |= {(part.attempt, part.part): part for part in change.parts + change.received}
            if change.published:
                self.told.append((change.message.status, change.message.version))

    @property
    def row(self) -> dict[str, Any]:
        assert self.message is not None
        found = msgspec.structs.asdict(self.message)
        del found["version"], found["updated_at"]
        found["states"] = in_order(found["states"])
        return found


@st.composite
def histories(draw: st.DrawFn) -> list[Any]:
    """Records of one message as the stages may publish them: one or two attempts of one to three parts."""
    events: list[Any] = []
    if draw(st.booleans()):
        events.append(e.accepted())
    events.append(e.prepared(parts=draw(st.integers(1, 3))))
    deferrals = st.builds(
        lambda at, reason: e.deferred(at=e.T0 + at, reason=reason),
        st.integers(200, 290),
        st.sampled_from(["quiet_hours", "no_healthy_carrier"]),
    )
    events += draw(st.lists(deferrals, max_size=2))
    fate = draw(st.sampled_from(["dropped", "one", "two", "two and dropped"]))
    attempts = {"dropped": 0, "one": 1}.get(fate, 2)
    for attempt in range(1, attempts + 1):
        parts = draw(st.integers(1, 3))
        outcome = draw(st.sampled_from(["submitted", "submitted", "unknown", "rejected"]))
        if attempt < attempts:
            outcome = draw(st.sampled_from(["failed", "unknown"]))
        known = outcome == "submitted"
        ids = tuple(f"id-{attempt}-{n}" if known else None for n in range(1, parts + 1))
        refused = tuple(draw(st.sampled_from([0, 0, 0, 0x0B])) if known and parts > 1 else 0 for _ in range(parts))
        carrier = ("mercure", "iris")[attempt - 1]
        at = e.T0 + 300 * attempt
        events.append(e.submitted(at=at, attempt=attempt, outcome=outcome, carrier=carrier, ids=ids, statuses=refused))
        if draw(st.booleans()):  # a stage that repeats itself may name another moment, or know more
            again = "submitted" if outcome == "unknown" and draw(st.booleans()) else outcome
            new_ids = tuple(f"id-{attempt}-{n}" for n in range(1, parts + 1)) if again == "submitted" else ids
            events.append(
                e.submitted(at=at + 7, attempt=attempt, outcome=again, carrier=carrier, ids=new_ids, statuses=refused)
            )
        for n in range(1, parts + 1):
            for _ in range(draw(st.integers(0, 1))):
                state = draw(st.sampled_from(["delivered", "undelivered", "expired", "rejected", "deleted"]))
                events.append(e.receipt(f"id-{attempt}-{n}", state, e.T0 + draw(st.integers(1_000, 9_000)), carrier))
            if draw(st.booleans()):
                state = draw(st.sampled_from(["enroute", "accepted", "unknown"]))
                events.append(e.receipt(f"id-{attempt}-{n}", state, e.T0 + draw(st.integers(500, 9_000)), carrier))
    if "dropped" in fate:
        events.append(e.dropped(at=e.T0 + 900, reason=draw(st.sampled_from(["no_route", "window_missed"]))))
    return events


@st.composite
def deliveries(draw: st.DrawFn, events: list[Any]) -> list[list[Any]]:
    """The same records shuffled, some of them more than once, cut into batches."""
    repeated = events + draw(st.lists(st.sampled_from(events), max_size=len(events)))
    shuffled = draw(st.permutations(repeated))
    cuts = sorted(draw(st.lists(st.integers(0, len(shuffled)), max_size=4)))
    return [list(shuffled[a:b]) for a, b in zip([0, *cuts], [*cuts, len(shuffled)], strict=True) if a < b]


def run(batches: list[list[Any]]) -> PureLedger:
    ledger = PureLedger()
    for batch in batches:
        ledger.batch(batch)
    for _ in range(2):  # receipts whose submission came last
        ledger.batch([])
    return ledger


@settings(max_examples=400, deadline=None)
@given(data=st.data(), history=histories())
def test_any_order_repetition_and_batching_of_a_message_ends_in_the_same_row(data: Any, history: list[Any]) -> None:
    straight = run([history])
    other = run(data.draw(deliveries(history)))
    assert other.row == straight.row
    assert other.parts == straight.parts


@settings(max_examples=300, deadline=None)
@given(data=st.data(), history=histories())
def test_a_status_only_moves_forward_and_versions_rise_by_one(data: Any, history: list[Any]) -> None:
    ledger = run(data.draw(deliveries(history)))
    ranks = [RANK[status] for status, _ in ledger.told]
    assert ranks == sorted(ranks)
    versions = [change.message.version for change in ledger.changes if change.changed]
    assert versions == list(range(1, len(versions) + 1))


@settings(max_examples=200, deadline=None)
@given(data=st.data(), history=histories())
def test_every_state_of_the_row_was_published_and_nothing_else(data: Any, history: list[Any]) -> None:
    ledger = run(data.draw(deliveries(history)))
    assert ledger.message is not None
    published = [entry for change in ledger.changes if change.published for entry in change.reached]
    assert {(s.state, s.reason) for s in ledger.message.states} == {(s.state, s.reason) for s in published}
    assert {tuple(s) for s in ledger.message.states} <= {tuple(s) for s in published}


@settings(max_examples=200, deadline=None)
@given(data=st.data(), history=histories())
def test_a_replay_of_everything_changes_nothing(data: Any, history: list[Any]) -> None:
    ledger = run([history])
    row, version = ledger.row, ledger.message and ledger.message.version
    ledger.changes.clear()
    for batch in data.draw(deliveries(history)):
        ledger.batch(batch)
    assert not any(change.changed for change in ledger.changes)
    assert ledger.row == row
    assert ledger.message is not None
    assert ledger.message.version == version


def status(*batches: Sequence[Any]) -> tuple[str, str | None]:
    ledger = run([list(batch) for batch in batches])
    assert ledger.message is not None
    assert ledger.message.final == (ledger.message.status in FINAL)
    return ledger.message.status, ledger.message.reason


def test_a_receipt_before_its_submission_is_the_same_as_after_it() -> None:
    early = run([[e.receipt()], [e.submitted()], [e.prepared()]])
    late = run([[e.prepared(), e.submitted()], [e.receipt()]])
    assert early.row == late.row
    assert late.row["status"] == "delivered"


def test_all_parts_delivered_is_delivered_and_one_missing_is_not_yet() -> None:
    three = e.submitted(ids=("a", "b", "c"))
    assert status([e.prepared(), three], [e.receipt("a"), e.receipt("c")]) == ("submitted", None)
    assert status([e.prepared(), three], [e.receipt("a"), e.receipt("c")], [e.receipt("b")])[0] == "delivered"


def test_one_part_undelivered_decides_once_all_parts_have_ended() -> None:
    two = e.submitted(ids=("a", "b"))
    lost = e.receipt("a", "undelivered", reason="invalid_number")
    assert status([e.prepared(), two, lost]) == ("submitted", None)
    assert status([e.prepared(), two, lost, e.receipt("b")]) == ("undelivered", "invalid_number")


def test_a_part_that_the_carrier_refused_while_it_took_the_others_counts_as_rejected() -> None:
    two = e.submitted(ids=("a", None), statuses=(0, 0x0B))
    assert status([e.prepared(), two], [e.receipt("a")])[0] == "rejected"


def test_the_first_final_state_of_a_carrier_wins() -> None:
    first, second = e.receipt(state="delivered", at=e.T0 + 1_000), e.receipt(state="undelivered", at=e.T0 + 2_000)
    assert status([e.prepared(), e.submitted()], [first], [second])[0] == "delivered"
    assert status([e.prepared(), e.submitted(), first, second])[0] == "delivered"


def test_enroute_accepted_and_the_carriers_unknown_end_nothing() -> None:
    for state in ("enroute", "accepted", "unknown"):
        assert status([e.prepared(), e.submitted()], [e.receipt(state=state)]) == ("submitted", None)
        assert status([e.submitted(), e.prepared()], [e.receipt(state=state)], [e.receipt()])[0] == "delivered"


def test_a_receipt_called_unknown_and_final_ends_nothing_either() -> None:
    assert status([e.prepared(), e.submitted()], [e.receipt(state="unknown", final=True)]) == ("submitted", None)


def test_unknown_yields_to_the_carriers_final_state() -> None:
    ledger = run([[e.prepared(), e.submitted()]])
    ledger.batch([Lost(e.MESSAGE, "acme", e.T0 + 90_000, "no_receipt")])
    assert ledger.message is not None
    assert (ledger.message.status, ledger.message.final) == ("unknown", True)
    ledger.batch([e.receipt(at=e.T0 + 100_000)])
    assert ledger.message.status == "delivered"


def test_a_message_that_has_ended_is_never_given_up() -> None:
    ledger = run([[e.prepared(), e.submitted(), e.receipt()]])
    ledger.batch([Lost(e.MESSAGE, "acme", e.T0 + 90_000, "no_receipt")])
    assert not ledger.changes[-1].changed


def test_a_failed_attempt_leaves_the_message_where_it_was_and_the_next_one_decides() -> None:
    failed = e.submitted(outcome="failed", ids=(None,), statuses=(0x58,))
    assert status([e.prepared()], [failed]) == ("prepared", None)
    second = e.submitted(at=e.T0 + 900, attempt=2, carrier="iris", ids=("x",))
    assert status([e.prepared(), failed], [second]) == ("submitted", None)
    assert status([e.prepared(), failed, second], [e.receipt("x", carrier="iris")])[0] == "delivered"


def test_a_drop_is_final_but_for_a_handset_that_has_the_message() -> None:
    unknown = e.submitted(outcome="unknown", ids=(None,))
    drop = e.dropped(reason="window_missed", attempt=2, at=e.T0 + 800)
    assert status([e.prepared(), unknown], [drop]) == ("dropped", "window_missed")
    assert status([e.prepared(), unknown], [drop], [e.prepared()]) == ("dropped", "window_missed")
    ledger = run([[e.prepared(), unknown, drop]])
    ledger.batch([e.matched(e.receipt(None))])
    assert ledger.message is not None
    assert ledger.message.status == "delivered"


def test_the_cost_is_that_of_the_parts_a_carrier_took_over_all_attempts() -> None:
    failed = e.submitted(outcome="failed", ids=(None,), statuses=(0x58,))
    second = e.submitted(at=e.T0 + 900, attempt=2, carrier="iris", ids=("x", "y"), price=60_000)
    ledger = run([[e.prepared(), failed], [second]])
    assert ledger.message is not None
    assert (ledger.message.cost_micros, ledger.message.parts, ledger.message.attempt) == (120_000, 2, 2)
    assert ledger.message.carrier == "iris"


def test_a_message_without_answer_costs_nothing_until_a_receipt_proves_it_was_taken() -> None:
    ledger = run([[e.prepared(), e.submitted(outcome="unknown", ids=(None,))]])
    assert ledger.message is not None
    assert ledger.message.cost_micros == 0
    ledger.batch([e.matched(e.receipt("found-later"))])
    assert ledger.message.cost_micros == 45_000
    assert ledger.parts[1, 1].carrier_message_id == "found-later"


def test_nothing_is_published_before_the_message_is_introduced_and_then_all_of_it() -> None:
    ledger = run([[e.submitted()], [e.receipt()]])
    assert ledger.told == []
    ledger.batch([e.prepared(callback_url="https://shop.example/")])
    change = ledger.changes[-1]
    assert [s.state for s in change.reached] == ["accepted", "prepared", "submitted", "delivered"]
    assert change.forward == change.reached
    assert change.message.callback_url is not None
    assert ledger.told == [("delivered", 3)]


def test_a_drop_tells_whom_to_call_back_before_the_acceptance_is_read() -> None:
    ledger = run([[e.dropped(campaign_id=None, client_ref="order-7", callback_url="https://shop.example/")]])
    assert ledger.told == [("dropped", 1)]
    assert ledger.message is not None
    assert (ledger.message.client_ref, ledger.message.callback_url) == ("order-7", "https://shop.example/")


def test_a_record_of_another_tenant_is_refused() -> None:
    ledger = run([[e.accepted()]])
    with pytest.raises(PoisonError, match="another tenant"):
        ledger.batch([e.prepared(tenant="other")])
