"""What the answers to a message's parts mean for the message."""

from collections.abc import Sequence

from msgspec import Struct
from shared.carriers.profile import CarrierProfile, StatusClass

from smpp_connector.domain.backoff import TEMPORARY_S
from smpp_connector.domain.claim_rules import Outcome

# In place of a command_status:
NO_ANSWER = -1  # the answer's time is over, or its link is gone
NOT_WRITTEN = -2  # a later part of a message of which an earlier part was refused
THROTTLE_PAUSE_S = 0.25
NO_ANSWER_REASON = "no_answer"

PartAnswer = tuple[int, str | None]


class Settle(Struct, frozen=True, gc=False):
    """The attempt has ended."""

    outcome: Outcome
    reason: str | None = None


class TryAgain(Struct, frozen=True, gc=False):
    """The carrier has nothing of the message: its claim becomes free and it is written again, after a pause."""

    pause_s: float
    temporary: bool


class Repeat(Struct, frozen=True, gc=False):
    """The carrier has some parts: the others are written again under the same claim."""

    parts: tuple[int, ...]
    pause_s: float


class StopBind(Struct, frozen=True, gc=False):
    """The bind is at fault: the message is kept, the bind stopped, a person alarmed."""

    command_status: int


Verdict = Settle | TryAgain | Repeat | StopBind


def judge(
    answers: Sequence[PartAnswer],
    profile: CarrierProfile,
    *,
    tries: int,
    now_ms: int,
    not_after: int,
) -> Verdict:
    """All parts of one message are answered, or never will be.

    `tries`: temporary refusals so far, this one not included. A message of which the carrier took any part counts
    as submitted: repeating it whole would reach the handset twice.
    """
    if len(answers) == 1 and answers[0][0] >= 0 and profile.classify(answers[0][0]) is StatusClass.OK:
        return _SUBMITTED  # nearly always
    statuses = [status for status, _ in answers]
    classes = [None if status < 0 else profile.classify(status) for status in statuses]
    retryable = tuple(
        i
        for i, c in enumerate(classes)
        if c in (StatusClass.THROTTLE, StatusClass.TEMPORARY) or statuses[i] == NOT_WRITTEN
    )
    pause = _pause(classes, tries)
    in_time = pause is not None and now_ms + pause * 1000 < not_after
    if StatusClass.OK in classes:
        if retryable and in_time and pause is not None:
            return Repeat(retryable, pause)
        return _SUBMITTED
    if NO_ANSWER in statuses:
        return Settle(Outcome.UNKNOWN, NO_ANSWER_REASON)

    def reason(of: StatusClass) -> str | None:
        return _text(profile.reason(statuses[classes.index(of)]))

    if StatusClass.PERMANENT in classes:
        return Settle(Outcome.REJECTED, reason(StatusClass.PERMANENT))
    if StatusClass.AMBIGUOUS in classes:
        return Settle(Outcome.FAILED, reason(StatusClass.AMBIGUOUS))
    if StatusClass.SESSION in classes:
        return StopBind(statuses[classes.index(StatusClass.SESSION)])
    temporary = StatusClass.TEMPORARY in classes
    if in_time and pause is not None:
        return TryAgain(pause, temporary)
    return Settle(Outcome.FAILED, reason(StatusClass.TEMPORARY if temporary else StatusClass.THROTTLE))


_SUBMITTED = Settle(Outcome.SUBMITTED)


def _pause(classes: Sequence[StatusClass | None], tries: int) -> float | None:
    """Seconds before the next try; None when there is none."""
    if StatusClass.TEMPORARY in classes:
        return TEMPORARY_S[tries] if tries < len(TEMPORARY_S) else None
    return THROTTLE_PAUSE_S


def _text(reason: object) -> str | None:
    return None if reason is None else str(reason)
