"""How well a carrier delivers to a country, with how sure we are of it: little data decides nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from math import sqrt

from shared.contracts.events import CarrierQuality

HALF_LIFE_MS = 30 * 60_000  # after half an hour a receipt counts half: a carrier's quality changes within hours
BELIEVED_UP_TO = 0.3  # suspicion below it is what honest carriers show now and then
SUSPECT_FROM = 0.65  # above it people also do not click: the route stands behind those that are not suspect
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


@dataclass(frozen=True, slots=True)
class _Hour:
    """What the last report says of the hour before it."""

    delivered: int
    clicked: int
    suspicion: float
    slow_ms: float  # within which 95 of 100 receipts came
    at: int

    def suspicion_at(self, now: int) -> float:
        return self.suspicion * float(0.5 ** (max(0, now - self.at) / HALF_LIFE_MS))


class QualityPicture:
    """Sums by carrier and country that fade. Reports overlap (windows that hop), so each counts for its new part only."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], _Sums] = {}
        self._hours: dict[tuple[str, str], _Hour] = {}

    def apply(self, events: Iterable[CarrierQuality]) -> None:
        for event in events:
            key = (event.carrier, event.country)
            hour = self._hours.get(key)
            if hour is None or event.occurred_at >= hour.at:
                self._hours[key] = _Hour(
                    event.hour_delivered, event.clicked, event.suspicion, event.delay_p95_ms, event.occurred_at
                )  # fmt: skip
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
        """Receipts that may be made up prove less: of a carrier under suspicion a part of the deliveries is not believed."""
        known = self._sums.get((carrier, country))
        if known is None:
            return NOTHING_KNOWN
        found = wilson(*known.faded(now))
        doubt = (self.suspicion(carrier, country, now) - BELIEVED_UP_TO) / (1 - BELIEVED_UP_TO)
        return found if doubt <= 0 else Interval(found.low * (1 - doubt), found.high * (1 - doubt), found.ended)

    def suspicion(self, carrier: str, country: str, now: int) -> float:
        """0 to 1, as reported last; it fades as receipts do."""
        hour = self._hours.get((carrier, country))
        return 0.0 if hour is None else hour.suspicion_at(now)

    def suspect(self, carrier: str, country: str, now: int) -> bool:
        return self.suspicion(carrier, country, now) >= SUSPECT_FROM

    def slow(self, carrier: str, country: str, now: int) -> float | None:
        """Milliseconds within which 95 of 100 receipts came lately; None when too few came to say."""
        hour = self._hours.get((carrier, country))
        known = hour is not None and hour.delivered >= LEAST_ENDED and now - hour.at <= HALF_LIFE_MS
        return hour.slow_ms if hour is not None and known else None

    def clicks(self, carrier: str, country: str, now: int) -> Interval:
        """Of what it delivered in the last hour, how much was followed by a click of a person; nothing known when that was
        reported long ago or rests on too few."""
        hour = self._hours.get((carrier, country))
        if hour is None or hour.delivered < LEAST_ENDED or now - hour.at > HALF_LIFE_MS:
            return NOTHING_KNOWN
        return wilson(min(hour.clicked, hour.delivered), hour.delivered)
