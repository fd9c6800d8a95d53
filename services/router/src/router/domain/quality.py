"""How well a carrier delivers to a country, with how sure we are of it: little data decides nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from math import sqrt

from shared.contracts.events import CarrierQuality

HALF_LIFE_MS = 30 * 60_000  # after half an hour a receipt counts half: a carrier's quality changes within hours
LEAST_ENDED = 30.0  # below this the interval says more about luck than about the carrier
Z = 1.96  # 95 %


class Verdict(IntEnum):
    """Of a carrier against a floor, in the order of preference."""

    PROVEN = 0
    UNPROVEN = 1
    BELOW = 2


@dataclass(frozen=True, slots=True)
class Interval:
    """Of the delivery rate, 0 to 1; `ended` is how many outcomes it rests on, old ones counting less."""

    low: float
    high: float
    ended: float

    def against(self, floor: float) -> Verdict:
        if self.ended < LEAST_ENDED:
            return Verdict.UNPROVEN
        if self.low >= floor:
            return Verdict.PROVEN
        return Verdict.BELOW if self.high < floor else Verdict.UNPROVEN


NOTHING_KNOWN = Interval(0.0, 1.0, 0.0)


def wilson(delivered: float, ended: float) -> Interval:
    """The score interval (E. B. Wilson, 1927): sound for few outcomes and for rates near 0 and 1."""
    if ended <= 0:
        return NOTHING_KNOWN
    rate = min(1.0, delivered / ended)
    z2 = Z * Z
    middle = (rate + z2 / (2 * ended)) / (1 + z2 / ended)
    half = Z * sqrt(rate * (1 - rate) / ended + z2 / (4 * ended * ended)) / (1 + z2 / ended)
    return Interval(max(0.0, middle - half), min(1.0, middle + half), ended)


@dataclass(slots=True)
class _Sums:
    delivered: float
    ended: float
    at: int

    def faded(self, now: int) -> tuple[float, float]:
        left = 0.5 ** (max(0, now - self.at) / HALF_LIFE_MS)
        return self.delivered * left, self.ended * left


class QualityPicture:
    """Sums by carrier and country that fade. Reports overlap (windows that hop), so each counts for its new part only."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], _Sums] = {}

    def apply(self, events: Iterable[CarrierQuality]) -> None:
        for event in events:
            key = (event.carrier, event.country)
            known = self._sums.get(key)
            if known is None:
                self._sums[key] = _Sums(event.delivered, event.delivered + event.failed, event.occurred_at)
                continue
            passed = event.occurred_at - known.at
            if passed <= 0:
                continue
            new = min(1.0, passed / (event.window_s * 1000)) if event.window_s > 0 else 1.0
            delivered, ended = known.faded(event.occurred_at)
            known.delivered = delivered + new * event.delivered
            known.ended = ended + new * (event.delivered + event.failed)
            known.at = event.occurred_at

    def interval(self, carrier: str, country: str, now: int) -> Interval:
        known = self._sums.get((carrier, country))
        return NOTHING_KNOWN if known is None else wilson(*known.faded(now))
