"""What happened on the binds since the last look: for the carrier's health."""

from shared.carriers.profile import StatusClass
from shared.telemetry.metrics import Metrics

from smpp_connector.domain.receipt_delay import ReceiptDelay


class Counts:
    """Cheap on the hot path; `take` empties it into the metrics once a second."""

    def __init__(self, metrics: Metrics, carrier: str) -> None:
        self._carrier = carrier
        self._submits = metrics.counter("relais_smpp_submits")
        self.written = 0
        self.latency_s = 0.0
        self.answers = 0
        self.classes: dict[StatusClass, int] = {}
        self.receipts = ReceiptDelay()

    def answered(self, status_class: StatusClass, latency_s: float) -> None:
        self.answers += 1
        self.latency_s += latency_s
        self.classes[status_class] = self.classes.get(status_class, 0) + 1

    def take(self) -> tuple[int, float, dict[StatusClass, int]]:
        """Parts written, mean latency in ms, answers by class; then counts anew."""
        found = (self.written, 1000 * self.latency_s / self.answers if self.answers else 0.0, self.classes)
        for status_class, count in self.classes.items():
            self._submits.add(count, {"carrier": self._carrier, "class": str(status_class)})
        self.written, self.latency_s, self.answers, self.classes = 0, 0.0, 0, {}
        return found
