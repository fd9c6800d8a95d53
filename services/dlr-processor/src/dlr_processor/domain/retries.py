"""When a callback is tried again, and when an endpoint is left in peace for a while."""

from msgspec import Struct

# Standard Webhooks' schedule, in seconds before each try: the first at once, the last about three days after it.
SCHEDULE_S = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
JITTER = 0.1

OPENS_AFTER = 5  # failures in a row: a receiver that restarts should not be taken for a dead one
FIRST_PAUSE_MS = 5_000
LONGEST_PAUSE_MS = 300_000


def next_try_ms(tries: int, now: int, random: float) -> int | None:
    """When to try again after `tries` failed ones; None when that was the last. `random` in [0, 1)."""
    if tries >= len(SCHEDULE_S):
        return None
    pause = SCHEDULE_S[tries] * 1000
    return now + int(pause * (1 + JITTER * random))


class Circuit(Struct):
    """Keeps one receiver from being hammered: closed, or open until a moment at which one call may probe."""

    failures: int = 0
    open_until: int = 0

    def room(self, now: int, most: int) -> int:
        """How many calls may be under way now."""
        if self.failures < OPENS_AFTER:
            return most
        return 1 if now >= self.open_until else 0

    def failed(self, now: int) -> None:
        """A call failed. Those that were under way when the circuit opened say nothing new."""
        if now < self.open_until:
            return
        self.failures += 1
        if self.failures >= OPENS_AFTER:
            doublings = min(self.failures - OPENS_AFTER, 10)
            self.open_until = now + min(FIRST_PAUSE_MS << doublings, LONGEST_PAUSE_MS)
