"""Which carriers can take a message now, from what their connectors say of themselves."""

from collections.abc import Iterable
from enum import IntEnum

from shared.contracts.events import CarrierHealth, CarrierQuality

FRESH_MS = 10_000  # a connector reports every second or two; one silent for longer has died or lost Kafka


class Standing(IntEnum):
    """In the order of preference."""

    UP = 0
    DEGRADED = 1
    DOWN = 2
    SILENT = 3  # it reported once, but not lately
    UNKNOWN = 4  # it never reported

    @property
    def usable(self) -> bool:
        return self <= Standing.DEGRADED


_STATES = {"up": Standing.UP, "degraded": Standing.DEGRADED}


class HealthPicture:
    """The last report of each carrier, and the last measured quality by country."""

    def __init__(self) -> None:
        self._reports: dict[str, CarrierHealth] = {}
        self._quality: dict[str, dict[str, CarrierQuality]] = {}

    def apply(self, events: Iterable[CarrierHealth]) -> None:
        for event in events:
            known = self._reports.get(event.carrier)
            if known is None or event.occurred_at >= known.occurred_at:
                self._reports[event.carrier] = event

    def apply_quality(self, events: Iterable[CarrierQuality]) -> None:
        for event in events:
            self._quality.setdefault(event.carrier, {})[event.country] = event

    def report(self, carrier: str) -> CarrierHealth | None:
        return self._reports.get(carrier)

    def quality(self, carrier: str) -> list[CarrierQuality]:
        """By country, for people: the choice does not use it yet."""
        return [found for _, found in sorted(self._quality.get(carrier, {}).items())]

    def standing(self, carrier: str, now: int) -> Standing:
        report = self._reports.get(carrier)
        if report is None:
            return Standing.UNKNOWN
        if now - report.occurred_at >= FRESH_MS:
            return Standing.SILENT
        return _STATES.get(report.state, Standing.DOWN)

    def spare(self, carrier: str) -> float:
        """Parts a second that its contract allows and that it did not write lately."""
        report = self._reports.get(carrier)
        return 0.0 if report is None else report.limit - report.rate
