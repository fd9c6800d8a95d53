"""What a carrier does in the last minute unlike the hour before: named, so that somebody can be woken by it."""

from math import sqrt
from typing import Final

from analytics.domain.delays import Histogram, percentile

LEAST_ENDED: Final = 50  # in the window; fewer swing by themselves
LEAST_BEFORE: Final = 200  # in the hour it is compared with
FELL_BY: Final = 0.1  # in points of rate: less is no alert, however sure
SURE: Final = 4.0  # standard errors: windows are looked at all day, so that a false alarm comes less than once a month
SLOWER: Final = 3.0  # times the hour's 95th percentile
SLOW_MS: Final = 5_000.0  # below it nobody minds
SUSPICIOUS: Final = 0.7  # reached only where clicks are missing too

DELIVERY_FELL: Final = "delivery_fell"
DELAYS_ROSE: Final = "delays_rose"
FAKE_RECEIPTS: Final = "fake_receipts"


def anomalies(
    window: tuple[int, int, Histogram], hour: tuple[int, int, Histogram], suspicion: float
) -> list[str]:  # fmt: skip
    """`window` and `hour`: delivered, failed and delays. The hour holds the window, which it outweighs."""
    found = []
    if _fell(window[0], window[0] + window[1], hour[0] - window[0], hour[0] + hour[1] - window[0] - window[1]):
        found.append(DELIVERY_FELL)
    if sum(window[2].values()) >= LEAST_ENDED and sum(hour[2].values()) - sum(window[2].values()) >= LEAST_BEFORE:
        before = {step: n - window[2].get(step, 0) for step, n in hour[2].items()}
        now = percentile(window[2], 0.95)
        if now > SLOW_MS and now > SLOWER * percentile(before, 0.95):
            found.append(DELAYS_ROSE)
    if suspicion >= SUSPICIOUS:
        found.append(FAKE_RECEIPTS)
    return found


def _fell(delivered: int, ended: int, delivered_before: int, ended_before: int) -> bool:
    if ended < LEAST_ENDED or ended_before < LEAST_BEFORE:
        return False
    now, before = delivered / ended, delivered_before / ended_before
    pooled = (delivered + delivered_before) / (ended + ended_before)
    error = sqrt(pooled * (1 - pooled) * (1 / ended + 1 / ended_before))
    return before - now >= FELL_BY and before - now >= SURE * error
