"""Which submission a receipt belongs to."""

from collections.abc import Sequence
from typing import NamedTuple

from shared.contracts.events import ReceiptReceived

MATCH_WITHIN_MS = 7 * 86_400_000  # carriers use their ids again after some days
EARLY_MS = 5 * 60_000  # a receipt may overtake its submission, and two machines' clocks differ


class Submission(NamedTuple):
    """A part that carries the receipt's id, or one whose id nobody knows."""

    message_id: str
    tenant_id: str
    attempt: int
    part: int
    submitted_at: int


def newest(receipt: ReceiptReceived, candidates: Sequence[Submission]) -> Submission | None:
    """The newest submission under the receipt's id, among those of the seven days before it. Ids are used again, so a
    receipt that is read a second time days later must not meet a submission made after it."""
    best = None
    for candidate in candidates:
        in_time = candidate.submitted_at - EARLY_MS <= receipt.occurred_at <= candidate.submitted_at + MATCH_WITHIN_MS
        if in_time and (best is None or _place(candidate) > _place(best)):
            best = candidate
    return best


def only_unknown(receipt: ReceiptReceived, candidates: Sequence[Submission]) -> Submission | None:
    """For a receipt whose id matches nothing: the first open part of the only message without an answer that has its
    number, carrier and sender (promise 3). None when there are several such messages: then nobody can tell."""
    fitting = [
        c for c in candidates if c.submitted_at - EARLY_MS <= receipt.occurred_at <= c.submitted_at + MATCH_WITHIN_MS
    ]
    if not fitting or len({candidate.message_id for candidate in fitting}) > 1:
        return None
    return min(fitting, key=lambda c: (c.attempt, c.part))


def _place(submission: Submission) -> tuple[int, str, int, int]:
    return submission.submitted_at, submission.message_id, submission.attempt, submission.part
