"""What the ends of messages say about a number: how reachable it is, and when it is taken for dead.

Only a carrier's word that there is no such number counts towards that (`spoils_number` in the catalogue); what passes
by itself lowers the score alone. One delivered message and the number is as good as new.
"""

from typing import Any

from msgspec import Struct, field
from shared.carriers.catalogue import entry_of

BEST = 100
SPOILT = 40  # what a permanent failure takes off the score
STUMBLED = 5  # and a passing one
RECOVERED = 50  # what a delivery gives back
KEPT_EVIDENCE = 10
SUPPRESS, LIFT = "suppress", "lift"


class NumberHealth(Struct):
    """`failures`: permanent ones since the last delivery. `to_tell`: what the segmenter has not heard yet."""

    tenant_id: str
    contact_id: str
    contact_ref: str | None = None
    score: int = BEST
    failures: int = 0
    evidence: list[dict[str, Any]] = field(default_factory=list)
    changed_at: int = 0
    suppressed_at: int | None = None
    to_tell: str | None = None


def counts(status: str, reason: str | None) -> bool:
    """Whether the end of a message lowers its number's score."""
    return status in ("undelivered", "rejected") and entry_of(reason).fault == "recipient"


def failed(
    health: NumberHealth, message_id: str, carrier: str | None, reason: str | None, now: int, after: int
) -> None:
    """`after`: how many permanent failures in a row suppress a number; 0 never does."""
    spoils = entry_of(reason).spoils_number
    health.score = max(0, health.score - (SPOILT if spoils else STUMBLED))
    health.changed_at = now
    entry = {"message_id": message_id, "carrier": carrier, "reason": reason, "at": now}
    health.evidence = [*health.evidence, entry][-KEPT_EVIDENCE:]
    if spoils:
        health.failures += 1
        if after and health.failures >= after and health.suppressed_at is None:
            health.suppressed_at, health.to_tell = now, SUPPRESS


def delivered(health: NumberHealth, now: int) -> None:
    """Somebody has the number again, or the carrier was wrong."""
    health.score = min(BEST, health.score + RECOVERED)
    health.failures, health.changed_at = 0, now
    if health.suppressed_at is not None:
        health.suppressed_at, health.to_tell = None, LIFT
