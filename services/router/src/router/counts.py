"""The router's metrics, one addition a batch."""

from collections import Counter
from collections.abc import Iterable

from shared.telemetry.metrics import Metrics

from router.domain.choose_carrier import Decision, Drop


class DecisionCounts:
    def __init__(self, metrics: Metrics) -> None:
        self._decisions = metrics.counter("relais_decisions")
        self._dropped = metrics.counter("relais_messages_dropped")

    def add(self, decisions: Iterable[Decision]) -> None:
        found = Counter((type(d).__name__.lower(), d.reason if isinstance(d, Drop) else "") for d in decisions)
        for (outcome, reason), count in found.items():
            self._decisions.add(count, {"outcome": outcome})
            if reason:
                self._dropped.add(count, {"stage": "router", "reason": reason})
