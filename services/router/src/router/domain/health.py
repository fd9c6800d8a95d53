"""Which carriers can take a message now, from what their connectors say of themselves."""

from collections.abc import Iterable
from enum import IntEnum

from shared.contracts.events import CarrierHealth, CarrierQuality

from router.domain.quality import QualityPicture

COMEBACK_MS = 20_000  # a carrier that was down gets its traffic back bit by bit: it may fall again under all of it
COMEBACK_FIRST = 0.1
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


def _usable(report: CarrierHealth) -> bool:
    return report.state in _STATES


def _silent_between(one: CarrierHealth, other: CarrierHealth) -> bool:
    return other.occurred_at - one.occurred_at >= FRESH_MS


class HealthPicture:
    """The last report of each carrier, and the last measured quality by country."""

    def __init__(self, comeback_ms: int = COMEBACK_MS) -> None:
        self._comeback_ms = comeback_ms
        self._reports: dict[str, CarrierHealth] = {}
        self._back_since: dict[str, int] = {}
        self.measured = QualityPicture()
        self._quality: dict[str, dict[str, CarrierQuality]] = {}

    def apply(self, events: Iterable[CarrierHealth]) -> None:
        for event in events:
            known = self._reports.get(event.carrier)
            if known is None or event.occurred_at >= known.occurred_at:
                if known is not None and _usable(event) and (not _usable(known) or _silent_between(known, event)):
                    self._back_since[event.carrier] = event.occurred_at
                self._reports[event.carrier] = event

    def apply_quality(self, events: Iterable[CarrierQuality]) -> None:
        events = list(events)
        self.measured.apply(events)
        for event in events:
            self._quality.setdefault(event.carrier, {})[event.country] = event

    def report(self, carrier: str) -> CarrierHealth | None:
        return self._reports.get(carrier)

    def quality(self, carrier: str) -> list[CarrierQuality]:
        """The last report by country, for people; `measured` is what the choice uses."""
        return [found for _, found in sorted(self._quality.get(carrier, {}).items())]

    def standing(self, carrier: str, now: int) -> Standing:
        report = self._reports.get(carrier)
        if report is None:
            return Standing.UNKNOWN
        if now - report.occurred_at >= FRESH_MS:
            return Standing.SILENT
        return _STATES.get(report.state, Standing.DOWN)

    def share(self, carrier: str, now: int) -> float:
        """How much of its traffic a carrier gets: 1, or less for a while after it was down."""
        since = self._back_since.get(carrier)
        if since is None or now - since >= self._comeback_ms:
            return 1.0
        return COMEBACK_FIRST + (1 - COMEBACK_FIRST) * max(0, now - since) / self._comeback_ms

    def spare(self, carrier: str) -> float:
        """Parts a second that its contract allows and that it did not write lately."""
        report = self._reports.get(carrier)
        return 0.0 if report is None else report.limit - report.rate
