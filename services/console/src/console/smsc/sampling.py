"""Delays drawn from a distribution, from a table of its quantiles.

A table costs one index a draw, and its ends bound the tail: no draw of a demo run takes minutes.
"""

from collections.abc import Sequence
from math import exp, log
from statistics import NormalDist

_QUANTILES = 2048
_Z99 = NormalDist().inv_cdf(0.99)

Quantiles = Sequence[float]
"""Seconds, ascending, equally probable."""


def constant(seconds: float) -> Quantiles:
    return (seconds,)


def uniform(low: float, high: float) -> Quantiles:
    return tuple(low + (high - low) * (i + 0.5) / _QUANTILES for i in range(_QUANTILES))


def lognormal(median: float, p99: float) -> Quantiles:
    """The lognormal distribution of which half lies below `median` and 99 % below `p99`, both in seconds."""
    sigma = log(p99 / median) / _Z99
    normal = NormalDist(log(median), sigma) if sigma else None
    if normal is None:
        return constant(median)
    return tuple(exp(normal.inv_cdf((i + 0.5) / _QUANTILES)) for i in range(_QUANTILES))


def draw(quantiles: Quantiles, u: float) -> float:
    """The delay at `u`, uniform in [0, 1)."""
    return quantiles[int(u * len(quantiles))]
