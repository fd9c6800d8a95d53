"""Does a carrier make its receipts up? A score from what made-up receipts cannot hide.

A route that throws messages away and answers "delivered" is known by three things: its receipts come faster than a
handset can be paged (GSM 03.40: the SMSC routes, pages and waits for the handset's acknowledgement, seconds in all), they
come after nearly the same delay each time, and nobody follows the links. No single one condemns: short queues are fast,
and a simulator is uniform. Fast and uniform receipts make 0.65 at most while people click; missing clicks alone 0.5.
"""

from collections.abc import Iterable
from math import sqrt
from typing import Final, NamedTuple

from analytics.domain.delays import Histogram, share_of_fullest_pair, share_within

LEAST_DELIVERED: Final = 200  # of the hour; below it the score is 0
FAST_MS: Final = 1_000.0
_FAST: Final = (0.3, 0.9)  # the share of fast receipts at which the evidence begins and is whole
_UNIFORM: Final = (0.6, 0.95)  # the same of the fullest two steps; real delays spread over many
WEIGHT_FAST: Final = 0.5
WEIGHT_UNIFORM: Final = 0.3
_BOTH: Final = 1 - (1 - WEIGHT_FAST) * (1 - WEIGHT_UNIFORM)
NO_CLICKS_ALONE: Final = (
    0.5  # how far missing clicks raise what looks natural otherwise: other texts may have gone there
)
EXPECTED_CLICKS: Final = 5.0  # fewer than these expected: their absence says nothing
_Z: Final = 1.96


class Hour(NamedTuple):
    """What one carrier did in one country in the last hour; `clicked` are messages, each once."""

    delivered: int
    clicked: int
    delays: Histogram


def suspicion_of(own: Hour, others: Iterable[Hour]) -> float:
    """0 to 1. `others` are the other carriers of the same country: what people click there is what they would here."""
    if own.delivered < LEAST_DELIVERED:
        return 0.0
    fast = WEIGHT_FAST * _between(_FAST, share_within(own.delays, FAST_MS))
    uniform = WEIGHT_UNIFORM * _between(_UNIFORM, share_of_fullest_pair(own.delays))
    receipts = 1 - (1 - fast) * (1 - uniform)
    trusted = NO_CLICKS_ALONE + (1 - NO_CLICKS_ALONE) * receipts / _BOTH
    return round(receipts + (1 - receipts) * trusted * clicks_missing(own, others), 3)


def clicks_missing(own: Hour, others: Iterable[Hour]) -> float:
    """0 when people click as elsewhere or nothing can be said; 1 when nobody does though many would have.

    The carrier is given the benefit of the doubt: the most clicks it may have (the upper end of the 95 % interval of a
    count, score form) against those expected."""
    delivered = clicked = 0
    for hour in others:
        delivered, clicked = delivered + hour.delivered, clicked + hour.clicked
    expected = own.delivered * clicked / delivered if delivered >= LEAST_DELIVERED else 0.0
    if expected < EXPECTED_CLICKS:
        return 0.0
    most = own.clicked + _Z * _Z / 2 + _Z * sqrt(own.clicked + _Z * _Z / 4)
    return max(0.0, 1 - most / expected)


def _between(ends: tuple[float, float], value: float) -> float:
    low, high = ends
    return min(1.0, max(0.0, (value - low) / (high - low)))
