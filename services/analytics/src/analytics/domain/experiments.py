"""Did one variant do better, and did sending do anything at all? Answers that hold whenever somebody looks.

Variants are compared by a mixture sequential probability ratio test (Robbins 1970; Johari, Pekelis and Walsh, "Always
valid inference", 2015) on the difference of two rates, normal mixtures over the true difference: the mean of several
widths, so that large differences between few are found as well as small ones between many. Its p-value may be looked
at after every message: the chance that it ever falls below 0.05 without a difference is at most 0.05. The
normal approximation needs counts, so nothing is said below `LEAST` successes and failures.

Holdouts are looked at once, when the window is over, so their lift has Newcombe's interval (1998, method 10).
"""

from collections.abc import Mapping
from itertools import combinations
from math import exp, log, sqrt
from typing import Final, NamedTuple

ALPHA: Final = 0.05
TAUS: Final = (0.01, 0.03, 0.1, 0.3)  # typical differences: from a point, as clicks have, to a third
LEAST: Final = 20
_Z: Final = 1.959963984540054  # of 95 %


class Arm(NamedTuple):
    """How many had the chance, and how many took it."""

    trials: int
    successes: int

    @property
    def rate(self) -> float:
        return self.successes / self.trials if self.trials else 0.0


class Comparison(NamedTuple):
    """`difference` is the second's rate less the first's; `low` and `high` hold it at every look with 95 %."""

    first: str
    second: str
    difference: float
    low: float
    high: float
    p_value: float
    enough: bool

    @property
    def winner(self) -> str | None:
        if not self.enough or self.p_value > ALPHA:
            return None
        return self.second if self.difference > 0 else self.first


def compare(first: tuple[str, Arm], second: tuple[str, Arm], *, comparisons: int = 1) -> Comparison:
    """`comparisons`: how many pairs are looked at together; the p-value is Bonferroni's for that many."""
    (a_name, a), (b_name, b) = first, second
    difference = b.rate - a.rate
    taken, trials = a.successes + b.successes, a.trials + b.trials
    if not a.trials or not b.trials or min(taken, trials - taken) < LEAST:
        return Comparison(a_name, b_name, difference, -1.0, 1.0, 1.0, False)
    pooled = taken / trials
    variance = pooled * (1 - pooled) * (1 / a.trials + 1 / b.trials)
    evidence = _log_evidence(difference, variance)
    p_value = min(1.0, exp(-min(evidence, 700.0)) * comparisons)
    half = _half_width(variance, log(comparisons / ALPHA))
    return Comparison(
        a_name, b_name, difference, max(difference - half, -1.0), min(difference + half, 1.0), p_value, True
    )


def _log_evidence(difference: float, variance: float) -> float:
    """The logarithm of the mixture's likelihood ratio, against no difference."""
    logs = []
    for tau in TAUS:
        mixed = variance + tau * tau
        logs.append(log(variance / mixed) / 2 + tau * tau * difference * difference / (2 * variance * mixed))
    largest = max(logs)
    return largest + log(sum(exp(value - largest) for value in logs) / len(logs))


def _half_width(variance: float, wanted: float) -> float:
    """The difference at which the evidence reaches `wanted`: it grows with the difference, so halving finds it."""
    low, high = 0.0, 2.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if _log_evidence(middle, variance) >= wanted else (middle, high)
    return high


def compare_all(arms: Mapping[str, Arm]) -> list[Comparison]:
    pairs = list(combinations(sorted(arms.items()), 2))
    return [compare(a, b, comparisons=len(pairs)) for a, b in pairs]


def wilson(arm: Arm) -> tuple[float, float]:
    """The 95 % interval of a rate (Wilson 1927)."""
    n, p = arm.trials, arm.rate
    if not n:
        return 0.0, 1.0
    centre = (p + _Z * _Z / (2 * n)) / (1 + _Z * _Z / n)
    half = _Z * sqrt(p * (1 - p) / n + _Z * _Z / (4 * n * n)) / (1 + _Z * _Z / n)
    return max(centre - half, 0.0), min(centre + half, 1.0)


class Lift(NamedTuple):
    """`absolute` in points of rate with its 95 % interval; `relative` to the held-out, where they have a rate."""

    treated: Arm
    held_out: Arm
    absolute: float
    low: float
    high: float
    relative: float | None


def lift(treated: Arm, held_out: Arm) -> Lift | None:
    """None when nobody was held out or nobody treated."""
    if not treated.trials or not held_out.trials:
        return None
    p, q = treated.rate, held_out.rate
    (l1, u1), (l2, u2) = wilson(treated), wilson(held_out)
    low = p - q - sqrt((p - l1) ** 2 + (u2 - q) ** 2)
    high = p - q + sqrt((u1 - p) ** 2 + (q - l2) ** 2)
    return Lift(treated, held_out, p - q, low, high, (p - q) / q if q else None)
