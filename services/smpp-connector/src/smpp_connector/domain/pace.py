"""How fast one bind may write, in parts: a token bucket whose rate yields to the carrier's throttle answers.

Slowing is multiplicative, recovering additive: quick up to the rate at which the carrier last objected, slow beyond
it, so that probing for more costs few refusals. `now` is in seconds of any steady clock.
"""

BURST_S = 0.05  # of the rate may be saved up: enough to bridge a batch's claim, too little to startle a carrier
SLOW_BY = 0.85
KNEE_MARGIN = 0.95
RECOVER_SHARE = 0.05  # of the contract's rate a second, below the last objection
PROBE_SHARE = 0.01  # of that rate a second, above it
SLOWEST = 0.5  # parts a second
CALM_S = 0.25  # objections within this belong to one and the same burst
RESERVE = 0.1
NEARLY_CONGESTED = 90  # congestion_state: "nearing congestion" begins here (SMPP 5.0, 4.8.4.18)


class Pace:
    """Tokens of one bind. Debt is allowed: a message of several parts goes out whole and the next ones wait."""

    def __init__(self, limit: float, now: float) -> None:
        """`limit`: parts a second by contract."""
        self.limit = limit
        self.rate = limit
        self._knee = limit
        self._tokens = self._capacity
        self._at = now
        self._slowed_at = float("-inf")

    @property
    def _capacity(self) -> float:
        return max(2.0, self.rate * BURST_S)

    @property
    def reserve(self) -> float:
        """Tokens that bulk leaves to the `.now` lane."""
        return max(1.0, self._capacity * RESERVE)

    def advance(self, now: float) -> None:
        """Earns the tokens of the time that has passed."""
        passed = max(0.0, now - self._at)
        self._at = now
        if self.rate < self.limit:
            step = RECOVER_SHARE * self.limit if self.rate < self._knee else PROBE_SHARE * self._knee
            self.rate = min(self.limit, self.rate + step * passed)
        self._tokens = min(self._capacity, self._tokens + self.rate * passed)

    def available(self, *, bulk: bool) -> float:
        """Above 0, one more message may be taken."""
        return self._tokens - self.reserve if bulk else self._tokens

    def spend(self, parts: int) -> None:
        self._tokens -= parts

    def seconds_until(self, tokens: float, *, bulk: bool) -> float:
        """How long until `available` exceeds `tokens` less one, at today's rate."""
        wanted = min(tokens, self._capacity - (self.reserve if bulk else 0.0) - 0.5)
        return max(0.0, (wanted - self.available(bulk=bulk)) / self.rate)

    def throttled(self, now: float) -> None:
        """The carrier objected: slower, once for each burst of objections."""
        if now - self._slowed_at < CALM_S:
            return
        self._slowed_at = now
        self._knee = max(SLOWEST, self.rate * KNEE_MARGIN)
        self.rate = max(SLOWEST, self.rate * SLOW_BY)
        self._tokens = min(self._tokens, 0.0)

    def congested(self, state: int, now: float) -> None:
        """The carrier tells its load before it has to object: slower, but without a pause."""
        if state < NEARLY_CONGESTED or now - self._slowed_at < CALM_S:
            return
        self._slowed_at = now
        self._knee = max(SLOWEST, self.rate * KNEE_MARGIN)
        self.rate = max(SLOWEST, self.rate * SLOW_BY)
