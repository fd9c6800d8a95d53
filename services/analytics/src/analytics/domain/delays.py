"""Delays from submit to receipt as a histogram of steps that grow: enough for percentiles, cheap to add up.

Step 0 holds all up to 100 ms, step n those up to 100 ms x 2^(n/4): a percentile is right to within a fifth.
"""

from collections.abc import Mapping
from math import ceil, log2
from typing import Final

FIRST_MS: Final = 100.0
STEPS_A_DOUBLING: Final = 4
Histogram = Mapping[str, int]  # step to deliveries; text, since Avro's and JSON's maps have no other keys


def step_of(delay_ms: int) -> str:
    return str(max(0, ceil(STEPS_A_DOUBLING * log2(max(delay_ms, 1) / FIRST_MS) - 1e-9)))


def upper_ms(step: int) -> float:
    return float(FIRST_MS * 2 ** (step / STEPS_A_DOUBLING))


def percentile(histogram: Histogram, share: float) -> float:
    """The delay in ms that `share` (0 to 1) of the deliveries stay within; inside a step they are taken as evenly
    spread. 0 without deliveries."""
    wanted = share * sum(histogram.values())
    passed = 0
    for step, count in sorted((int(step), count) for step, count in histogram.items()):
        if count and passed + count >= wanted:
            low = upper_ms(step - 1) if step else 0.0
            return low + (upper_ms(step) - low) * (wanted - passed) / count
        passed += count
    return 0.0


def share_within(histogram: Histogram, limit_ms: float) -> float:
    """The share of deliveries in steps that lie wholly within the limit."""
    total = sum(histogram.values())
    return sum(n for step, n in histogram.items() if upper_ms(int(step)) <= limit_ms) / total if total else 0.0


def share_of_fullest_pair(histogram: Histogram) -> float:
    """How many of the deliveries lie in two steps side by side, which is within four tenths of one delay."""
    total = sum(histogram.values())
    counts = {int(step): n for step, n in histogram.items()}
    fullest = max((counts.get(step, 0) + counts.get(step + 1, 0) for step in (*counts, -1)), default=0)
    return fullest / total if total else 0.0
