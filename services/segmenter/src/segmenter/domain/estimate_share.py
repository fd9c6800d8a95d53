"""How many of all match, told from a sample, with the interval it is in 95 times of 100. Pure."""

from math import sqrt
from typing import NamedTuple

Z_95 = 1.96


class Estimate(NamedTuple):
    size: int
    low: int
    high: int


def estimated(total: int, sampled: int, matched: int) -> Estimate:
    """Wilson's score interval (E. B. Wilson, 1927): it holds near none and near all, where the plain one does not."""
    if sampled >= total:
        return Estimate(matched, matched, matched)
    if sampled == 0:
        return Estimate(0, 0, total)
    share, z2 = matched / sampled, Z_95**2
    middle = (share + z2 / (2 * sampled)) / (1 + z2 / sampled)
    half = Z_95 / (1 + z2 / sampled) * sqrt(share * (1 - share) / sampled + z2 / (4 * sampled**2))
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    # What the sample has seen is there, whatever the formula says.
    return Estimate(
        round(total * share),
        max(matched, int(total * low)),
        min(total - (sampled - matched), round(total * high + 0.5)),
    )
