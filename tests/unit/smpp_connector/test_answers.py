"""What the answers to a message's parts mean for the message."""

import pytest
from shared.carriers.registry import load_profile
from smpp_connector.domain.answers import NO_ANSWER, NOT_WRITTEN, Repeat, Settle, StopBind, TryAgain, Verdict, judge
from smpp_connector.domain.claim_rules import Outcome

PLAIN = load_profile("plain")
OK, THROTTLED, FULL, SYSTEM, BAD_NUMBER, AMBIGUOUS, PASSWORD = 0x00, 0x58, 0x14, 0x08, 0x0B, 0x45, 0x0E


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([OK], Settle(Outcome.SUBMITTED)),
        ([OK, OK, OK], Settle(Outcome.SUBMITTED)),
        ([OK, BAD_NUMBER], Settle(Outcome.SUBMITTED)),
        ([OK, NO_ANSWER], Settle(Outcome.SUBMITTED)),
        ([OK, THROTTLED, OK], Repeat((1,), 0.25)),
        ([OK, THROTTLED, NOT_WRITTEN], Repeat((1, 2), 0.25)),
        ([OK, SYSTEM], Repeat((1,), 1.0)),
        ([THROTTLED], TryAgain(0.25, False)),
        ([FULL, FULL], TryAgain(0.25, False)),
        ([THROTTLED, NOT_WRITTEN], TryAgain(0.25, False)),
        ([SYSTEM], TryAgain(1.0, True)),
        ([SYSTEM, THROTTLED], TryAgain(1.0, True)),
        ([BAD_NUMBER], Settle(Outcome.REJECTED, "invalid_number")),
        ([THROTTLED, BAD_NUMBER], Settle(Outcome.REJECTED, "invalid_number")),
        ([AMBIGUOUS], Settle(Outcome.FAILED, "carrier_error")),
        ([0x4FF], Settle(Outcome.FAILED, "carrier_error")),
        ([PASSWORD], StopBind(PASSWORD)),
        ([NO_ANSWER], Settle(Outcome.UNKNOWN, "no_answer")),
        ([NO_ANSWER, BAD_NUMBER], Settle(Outcome.UNKNOWN, "no_answer")),
        ([NO_ANSWER, THROTTLED], Settle(Outcome.UNKNOWN, "no_answer")),
    ],
)
def test_the_table(statuses: list[int], expected: Verdict) -> None:
    assert judge([(s, None) for s in statuses], PLAIN, tries=0, now_ms=0, not_after=60_000) == expected


def test_temporary_errors_are_tried_three_times_and_then_look_for_another_way() -> None:
    verdicts = [judge([(SYSTEM, None)], PLAIN, tries=n, now_ms=0, not_after=10**9) for n in range(4)]
    assert verdicts == [
        TryAgain(1.0, True),
        TryAgain(5.0, True),
        TryAgain(15.0, True),
        Settle(Outcome.FAILED, "carrier_error"),
    ]


@pytest.mark.parametrize("status", [SYSTEM, THROTTLED])
def test_a_retry_that_would_come_too_late_is_not_waited_for(status: int) -> None:
    verdict = judge([(status, None)], PLAIN, tries=0, now_ms=1000, not_after=1100)
    assert isinstance(verdict, Settle)
    assert verdict.outcome is Outcome.FAILED


def test_parts_that_come_too_late_leave_the_message_submitted() -> None:
    verdict = judge([(OK, "1"), (THROTTLED, None)], PLAIN, tries=0, now_ms=1000, not_after=1100)
    assert verdict == Settle(Outcome.SUBMITTED)
