"""Whether a message whose attempt ended badly gets another one, by its tenant's policy for its class.

Never while a receipt may still come: only a final word of the carrier, or its refusal, ends an attempt here. Never once
a part is on the handset. The router then decides as for any message: opt-outs, windows and its own limit hold.
"""

from msgspec import Struct
from shared.carriers.catalogue import CATALOGUE
from shared.contracts.events import MessagePrepared, MessageReturned

KEPT_MS = 72 * 3_600_000  # promise 5: sealed number and text are kept no longer
MOST_ATTEMPTS = 3  # the router's own limit
LONGEST_S = KEPT_MS // 1000
MAY_NAME = frozenset(reason for reason, entry in CATALOGUE.items() if entry.another_way)


class RetryPolicy(Struct, frozen=True):
    reasons: frozenset[str]
    attempts: int
    """How many there may be in all."""
    within_s: int
    """Counted from acceptance."""


class Retry(Struct, frozen=True):
    """The attempt that ended, why, and the carriers tried so far, oldest first."""

    attempt: int
    carrier: str
    reason: str
    tried: tuple[str, ...]


def may_retry(policy: RetryPolicy, envelope: MessagePrepared, attempt: int, reason: str | None, now: int) -> bool:
    return (
        reason in policy.reasons
        and attempt < policy.attempts
        and now <= envelope.accepted_at + policy.within_s * 1000
        and now < envelope.not_after
    )


def returned(envelope: MessagePrepared, retry: Retry, now: int) -> MessageReturned:
    """What the router gets: the envelope as it came, still sealed."""
    return MessageReturned(
        event_id=f"{envelope.message_id}:retry:{retry.attempt}", tenant_id=envelope.tenant_id, occurred_at=now,
        message_id=envelope.message_id, contact_id=envelope.contact_id, number_hash=envelope.number_hash,
        purpose=envelope.purpose, number=envelope.number, text=envelope.text, encoding=envelope.encoding,
        parts=envelope.parts, country=envelope.country, prefix=envelope.prefix, sender=envelope.sender,
        time_zone=envelope.time_zone, campaign_id=envelope.campaign_id, not_before=envelope.not_before,
        not_after=envelope.not_after, accepted_at=envelope.accepted_at, attempt=retry.attempt, carrier=retry.carrier,
        cause=retry.reason, tried=list(retry.tried),
    )  # fmt: skip
