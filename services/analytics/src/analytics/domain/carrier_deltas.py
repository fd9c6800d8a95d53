"""What changed for each carrier and country in one batch: the input of the quality windows."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from shared.contracts.events import MessageStatus

from analytics.domain.contribution import Change
from analytics.domain.delays import step_of


@dataclass(slots=True)
class CarrierSums:
    submitted: int = 0
    delivered: int = 0
    failed: int = 0
    delay_ms: int = 0
    delays: dict[str, int] = field(default_factory=dict)  # a histogram of `domain/delays.py`
    errors: dict[str, int] = field(default_factory=dict)


def carrier_sums(found: Iterable[Change], statuses: dict[str, MessageStatus]) -> dict[tuple[str, str], CarrierSums]:
    """By (carrier, country). A delivery whose submission is not known adds no delay."""
    sums: dict[tuple[str, str], CarrierSums] = {}
    for before, after in found:
        carrier = after.place.carrier
        if not carrier:
            continue
        key = (carrier, after.place.country)
        new_attempt = after.attempt > (before.attempt if before else 0)
        was = before.place.outcome if before else ""
        ended = after.place.outcome in ("delivered", "failed") and after.place.outcome != was
        if not (new_attempt or ended):
            continue
        total = sums.get(key)
        if total is None:
            total = sums[key] = CarrierSums()
        total.submitted += new_attempt
        if ended and after.place.outcome == "failed":
            total.failed += 1
            _count(total.errors, after.place.reason)
        elif ended:
            total.delivered += 1
            delay = _delay(after.submitted_at, statuses[after.message_id])
            if delay is not None:
                total.delay_ms += delay
                _count(total.delays, step_of(delay))
    return sums


def _delay(submitted_at: int | None, status: MessageStatus) -> int | None:
    ended = [reached.at for reached in status.states if reached.state == "delivered"]
    return max(0, ended[-1] - submitted_at) if ended and submitted_at is not None else None


def _count(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1
