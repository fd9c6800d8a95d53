"""The rate above which submits are refused."""


class TokenBucket:
    """`rate` tokens a second, at most `burst` at once; a rate of 0 grants everything. Time is passed in, in seconds."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = now

    def take(self, now: float) -> bool:
        """Whether one more submit fits the rate at `now`, which never runs backwards."""
        if not self._rate:
            return True
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
