"""How many opened the message? SMS does not tell: an estimate from those who clicked and those who replied.

Clicks and replies are two catches of the same readers, so that Chapman's form of Lincoln and Petersen's estimator
(D. G. Chapman, 1951) tells how many readers there are, with its variance (G. A. F. Seber, 1970). It takes clicking and
replying for independent; keen readers do both, which makes the estimate too low rather than too high. At least those
who answered opened it, at most those to whom it was delivered.
"""

from math import sqrt
from typing import Any, Final

LEAST_BOTH: Final = 7  # messages that did both; below it the estimator is biased (Robson and Regier, 1964)
_Z: Final = 1.96


def opens_of(delivered: int, clickers: int, repliers: int, both: int) -> dict[str, Any]:
    """`estimate` is null where too few did both; `low` and `high` then say only what is certain. Messages."""
    least = clickers + repliers - both
    most = max(delivered, least)
    told = {
        "measured": False,
        "estimate": None,
        "low": least,
        "high": most,
        "method": "certain bounds: who answered, who was reached",
    }
    if both < LEAST_BOTH:
        return told
    found = (clickers + 1) * (repliers + 1) / (both + 1) - 1
    variance = (clickers + 1) * (repliers + 1) * (clickers - both) * (repliers - both) / ((both + 1) ** 2 * (both + 2))
    half = _Z * sqrt(max(variance, 0.0))
    return told | {
        "estimate": round(min(max(found, least), most)),
        "low": round(min(max(found - half, least), most)),
        "high": round(min(max(found + half, least), most)),
        "method": "capture and recapture of clicks and replies (Chapman), 95 %",
    }
