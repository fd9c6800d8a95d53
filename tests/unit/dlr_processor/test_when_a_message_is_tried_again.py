"""Retries, numbers' health and receipts that cannot be right: what is decided, by the decisions alone."""

from typing import Any

import pytest
from dlr_processor.domain import hygiene
from dlr_processor.domain.fold import Change, Lost, fold
from dlr_processor.domain.hygiene import NumberHealth
from dlr_processor.domain.ledger import Message, Part
from dlr_processor.domain.odd_receipts import mended
from dlr_processor.domain.retry_policy import MAY_NAME, RetryPolicy, may_retry, returned
from shared.carriers.catalogue import CATALOGUE
from shared.carriers.reasons import Reason
from unit.dlr_processor import ledger_events as e

T = e.T0
POLICY = RetryPolicy(frozenset({"expired", "undeliverable", "carrier_error"}), attempts=2, within_s=3600)


def asks(message: Message, attempt: int, reason: str | None) -> bool:
    return may_retry(POLICY, e.prepared(), attempt, reason, T + 3_000)


def folded(batches: list[list[Any]]) -> tuple[Message, list[Change]]:
    message: Message | None = None
    parts: dict[tuple[int, int], Part] = {}
    changes = []
    for batch in batches:
        changes.append(fold(message, parts, batch, T + 3_000, asks))
        message = changes[-1].message
    assert message is not None
    return message, changes


def test_an_attempt_that_expired_gives_way_to_another_and_the_message_stays_submitted() -> None:
    message, [_, change] = folded([[e.prepared(), e.submitted()], [e.matched(e.receipt(state="expired"))]])
    assert (message.status, message.final, message.retried) == ("submitted", False, 1)
    assert change.retry is not None
    event = returned(e.prepared(), change.retry, T + 3_000)
    assert (event.attempt, event.carrier, event.cause, event.tried) == (1, "mercure", "expired", ["mercure"])
    assert (event.number, event.text) == (e.prepared().number, e.prepared().text)


def test_the_same_receipt_again_asks_for_nothing_more() -> None:
    expired = e.matched(e.receipt(state="expired"))
    message, changes = folded([[e.prepared(), e.submitted()], [expired], [expired, e.submitted()]])
    assert [change.retry is not None for change in changes] == [False, True, False]
    assert message.status == "submitted"


def test_the_second_attempts_end_is_the_messages() -> None:
    message, _ = folded(
        [
            [e.prepared(), e.submitted(), e.matched(e.receipt(state="expired"))],
            [e.submitted(attempt=2, carrier="iris", ids=("id-2",))],
            [e.matched(e.receipt("id-2", state="undelivered", carrier="iris"), attempt=2)],
        ]
    )
    assert (message.status, message.attempt, message.carrier, message.cost_micros) == ("undelivered", 2, "iris", 90_000)


def test_when_the_router_finds_no_other_way_the_end_that_was_set_aside_counts() -> None:
    message, changes = folded(
        [
            [e.prepared(), e.submitted(), e.matched(e.receipt(state="expired"))],
            [e.dropped(reason="no_route", stage="router", detail="tried mercure", at=T + 9_000)],
            [e.dropped(reason="no_route", stage="router", detail="tried mercure", at=T + 9_000)],
        ]
    )
    assert (message.status, message.reason, message.final, message.retried) == ("expired", "expired", True, -1)
    assert message.drop_detail == "router: tried mercure"
    assert not changes[2].changed


def test_an_opt_out_meanwhile_ends_it_as_a_drop() -> None:
    message, _ = folded(
        [
            [e.prepared(), e.submitted(), e.matched(e.receipt(state="expired"))],
            [e.dropped(reason="opted_out", stage="router", at=T + 9_000)],
        ]
    )
    assert (message.status, message.reason) == ("dropped", "opted_out")


def test_a_retry_of_which_nobody_speaks_ends_as_its_last_attempt_did() -> None:
    lost = Lost(e.MESSAGE, "acme", T + 300_000_000, "no_receipt")
    message, _ = folded([[e.prepared(), e.submitted(), e.matched(e.receipt(state="expired"))], [lost]])
    assert message.status == "expired"


def test_a_message_of_which_one_part_is_on_the_handset_is_not_sent_again() -> None:
    two = e.submitted(ids=("id-1", "id-2"))
    message, [change] = folded(
        [
            [
                e.prepared(parts=2), two, e.matched(e.receipt("id-1")),
                e.matched(e.receipt("id-2", state="expired"), part=2),
            ]
        ]
    )  # fmt: skip
    assert (change.retry, message.status) == (None, "expired")


def test_a_refusal_is_retried_only_for_a_reason_of_the_policy() -> None:
    refused = e.submitted(outcome="rejected", ids=(None,), statuses=(8,))
    message, [change] = folded([[e.prepared(), refused]])
    assert (message.status, message.retried) == ("prepared", 1)
    assert change.retry is not None
    message, [change] = folded([[e.prepared(), e.submitted(outcome="rejected", ids=(None,), reason="invalid_number")]])
    assert (message.status, change.retry) == ("rejected", None)


@pytest.mark.parametrize(
    ("attempt", "reason", "now", "expected"),
    [
        (1, "expired", T + 1_000, True),
        (2, "expired", T + 1_000, False),
        (1, "invalid_number", T + 1_000, False),
        (1, None, T + 1_000, False),
        (1, "expired", T + 3_600_001, False),
        (1, "expired", T + 86_400_000, False),
    ],
)
def test_the_policy(attempt: int, reason: str | None, now: int, expected: bool) -> None:
    assert may_retry(POLICY, e.prepared(), attempt, reason, now) is expected


def test_the_catalogue_has_every_reason_of_a_carrier_and_retries_none_that_may_still_arrive() -> None:
    assert {str(reason) for reason in Reason} <= CATALOGUE.keys()
    assert not MAY_NAME & {"no_receipt", "no_answer", "lost_by_carrier", "invalid_number", "opted_out"}
    assert [name for name, entry in CATALOGUE.items() if entry.spoils_number] == ["invalid_number"]


def test_a_number_is_suppressed_after_the_policys_count_and_recovers_with_one_delivery() -> None:
    health = NumberHealth("acme", "c")
    for n in range(3):
        assert health.to_tell is None
        hygiene.failed(health, f"m{n}", "mercure", "invalid_number", T + n, 3)
    assert (health.to_tell, health.failures, health.score) == ("suppress", 3, 0)
    assert [entry["message_id"] for entry in health.evidence] == ["m0", "m1", "m2"]
    hygiene.delivered(health, T + 9)
    assert (health.to_tell, health.failures, health.score, health.suppressed_at) == ("lift", 0, 50, None)


def test_what_passes_by_itself_lowers_the_score_and_suppresses_nobody() -> None:
    health = NumberHealth("acme", "c")
    for n in range(50):
        hygiene.failed(health, f"m{n}", "mercure", "undeliverable", T + n, 3)
    assert (health.to_tell, health.failures, health.score, len(health.evidence)) == (None, 0, 0, 10)


@pytest.mark.parametrize(
    ("at", "odd"),
    [
        (T, None), (T - 7 * 86_400_000, None), (T + 60_000, None), (-86_400_000, "before_1970"), (0, "too_old"),
        (4_070_908_800_000, "ahead"), (-(2**62), "before_1970"), (2**62, "ahead"),
    ],
)  # fmt: skip
def test_a_receipt_from_another_time_is_taken_at_its_arrival(at: int, odd: str | None) -> None:
    receipt, found = mended(e.receipt(at=at), T)
    assert (found, receipt.occurred_at) == (odd, at if odd is None else T)


@pytest.mark.parametrize(
    ("state", "odd"),
    [
        ("delivered", "repeat"),
        ("undelivered", "contradicts"),
        ("rejected", "contradicts"),
        ("enroute", "backwards"),
        ("accepted", "backwards"),
        ("unknown", "backwards"),
    ],
)
def test_a_receipt_after_the_end_changes_nothing_and_has_a_name(state: str, odd: str) -> None:
    first = [e.prepared(), e.submitted(), e.matched(e.receipt())]
    message, [_, change] = folded([first, [e.matched(e.receipt(state=state, at=T + 9_000))]])
    assert (message.status, change.changed, change.odd) == ("delivered", False, [odd])
