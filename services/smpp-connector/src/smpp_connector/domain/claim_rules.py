"""What may be done with a record whose claim is already there (docs/decisions/claims-before-the-wire.md).

A claim is one row `(message_id, attempt)`, unique over all carriers. Without an outcome it is open: its owner may
have written the message. `free` says that the carrier certainly does not have it. Every other outcome is the end.
"""

from collections.abc import Collection
from enum import StrEnum

from msgspec import Struct


class Outcome(StrEnum):
    """How an attempt stands; an open claim has none."""

    FREE = "free"
    """Refused for now, or never written: the claim may be taken again."""
    SUBMITTED = "submitted"
    REJECTED = "rejected"
    FAILED = "failed"
    """Refused here; another way follows."""
    UNKNOWN = "unknown"
    """Perhaps written, never answered: not written again under this attempt, by anyone."""
    RETURNED = "returned"
    """Never written, given back to the router."""
    DROPPED = "dropped"
    """Never written, goes no further."""


class Claim(Struct, frozen=True, kw_only=True, gc=False):
    """A row of the claims table. `owner_alive`: the lease it was made under is still in force. `token` names the
    statement that made it, so that a record never takes the claim of its own repeat for its own."""

    message_id: str
    attempt: int
    carrier: str
    slot: int
    epoch: int
    token: int
    outcome: str | None
    owner_alive: bool
    cause: str | None = None
    settled_at: int | None = None
    about: bytes = b""
    answer: bytes | None = None


class Ruling(StrEnum):
    TRY_AGAIN = "try_again"
    """The row is gone or was never made: claim anew."""
    FREE_IT = "free_it"
    """Ours, from a statement whose answer we did not hear; nothing was written under it. Freed, then taken again."""
    REARM = "rearm"
    """The carrier does not have it: take the claim again."""
    WAIT = "wait"
    """Its owner lives and will settle it; look again later. Not finished before, or a crash of the owner loses it."""
    DECLARE_UNKNOWN = "declare_unknown"
    """Its owner is gone without recording an answer."""
    REPUBLISH = "republish"
    """Settled: publish what the row says once more (the same event ids) and finish the record."""
    FINISH = "finish"
    """Another carrier has this attempt: a repeat, whose own record tells its end."""


def ruling(claim: Claim | None, carrier: str, unheard: Collection[int]) -> Ruling:
    """`unheard`: tokens of statements with which this very record asked for the claim without hearing the answer."""
    if claim is None:
        return Ruling.TRY_AGAIN
    if claim.carrier != carrier:
        return Ruling.FINISH
    if claim.outcome == Outcome.FREE:
        return Ruling.REARM
    if claim.outcome is not None:
        return Ruling.REPUBLISH
    if not claim.owner_alive:
        return Ruling.DECLARE_UNKNOWN
    if claim.token in unheard:
        return Ruling.FREE_IT
    return Ruling.WAIT
