"""How long this carrier's receipts take: from the answer to a submit_sm to its receipt, by our own clock.

A sample of the messages is enough. Receipts' own dates are not used: they are in the carrier's clock and zone.
"""

MOST_IDS = 5000
PATIENCE_S = 3600.0  # an id without a receipt makes room after this


class ReceiptDelay:
    """`now` is in seconds of any steady clock."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}  # by canonical id, oldest first
        self._sum = 0.0
        self._count = 0

    def taken(self, message_id: str, now: float) -> None:
        """The carrier took a message under this id."""
        if len(self._since) >= MOST_IDS:
            oldest = next(iter(self._since))
            if now - self._since[oldest] < PATIENCE_S:
                return
            del self._since[oldest]
        self._since[message_id] = now

    def receipt(self, message_id: str, now: float) -> None:
        """A final receipt; only the first of an id counts."""
        since = self._since.pop(message_id, None)
        if since is not None:
            self._sum += now - since
            self._count += 1

    def take(self) -> float | None:
        """Mean of the receipts since the last call, in ms; None without any."""
        found = 1000 * self._sum / self._count if self._count else None
        self._sum, self._count = 0.0, 0
        return found
