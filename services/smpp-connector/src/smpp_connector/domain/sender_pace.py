"""How fast one sender may be used on a carrier, in parts: each message gets its turn when its tokens will be there.

A turn is given once and kept, so that a record whose turn is later waits for it with a date and is not looked at again
and again. `now` is in seconds of any steady clock.
"""

BURST_S = 0.2  # of the rate may go at once
MOST_SENDERS = 10_000


class SenderPace:
    """All senders of one carrier, each with a bucket of its own."""

    def __init__(self, rate: float) -> None:
        """`rate`: parts a second of each."""
        self._rate = rate
        self._spent_until: dict[str, float] = {}  # when the sender's tokens are even again

    def turn(self, sender: str, parts: int, now: float) -> float:
        """When so many parts may go; `now` when at once. They are spent with this."""
        until = max(self._spent_until.get(sender, now), now)
        if len(self._spent_until) >= MOST_SENDERS:
            self._spent_until = {s: at for s, at in self._spent_until.items() if at > now}
        self._spent_until[sender] = until + parts / self._rate
        return max(now, until - BURST_S)
