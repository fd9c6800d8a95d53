"""Records that nothing can handle go to `<topic>.dead` as they were, with where they came from in their headers."""

import time
from collections import deque

from shared.contracts.topics import topic_of
from shared.kafka.publisher import Outgoing

LIMIT = 500  # dead letters a minute and consumer: beyond it the trouble is ours, and draining a topic would hide it
PERIOD_S = 60.0


def dead_letter(
    topic: str, partition: int, offset: int, key: bytes | None, value: bytes | None, error: str, attempts: int
) -> Outgoing:
    """The record for the dead-letter topic. `error` names the trouble, never the content."""
    headers = (
        ("relais-origin-topic", topic.encode()),
        ("relais-origin-partition", str(partition).encode()),
        ("relais-origin-offset", str(offset).encode()),
        ("relais-error", error[:500].encode()),
        ("relais-attempts", str(attempts).encode()),
    )
    return Outgoing(dead_topic(topic), key or b"", value or b"", headers)


def dead_topic(topic: str) -> str:
    """The dead-letter topic of a declared topic; one for all carriers of a carrier's topic."""
    declared = topic_of(topic)
    return declared.dead_letters.replace(".{carrier}", "")


class DeadLetterLimit:
    """Says when so many records fail that the fault must be ours: the consumer then stops instead of draining."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._times: deque[float] = deque()

    def exceeded(self, count: int, now: float | None = None) -> bool:
        """Counts `count` more dead letters at `now` (monotonic seconds)."""
        now = time.monotonic() if now is None else now
        self._times.extend([now] * count)
        while self._times and self._times[0] < now - PERIOD_S:
            self._times.popleft()
        return len(self._times) > self._limit
