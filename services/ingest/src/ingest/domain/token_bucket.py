"""Rate limits: a bucket that fills steadily and from which each message takes one token."""

from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

LARGEST_COST = 1_000  # a full batch must fit, or it could never be sent


class Take(NamedTuple):
    """`wait_s` is 0 when the tokens were taken, else the seconds after which they would be there."""

    wait_s: int
    left: int
    full_in_s: int


@dataclass
class TokenBucket:
    """`per_s` tokens a second, at most one second's worth kept (and always room for one full batch)."""

    per_s: int
    tokens: float
    at_ms: int

    @classmethod
    def full(cls, per_s: int, now_ms: int) -> "TokenBucket":
        return cls(per_s, float(max(per_s, LARGEST_COST)), now_ms)

    @property
    def capacity(self) -> int:
        return max(self.per_s, LARGEST_COST)

    @property
    def window_s(self) -> int:
        """Whole seconds in which an empty bucket fills."""
        return ceil(self.capacity / self.per_s)

    def refill(self, now_ms: int) -> None:
        if now_ms > self.at_ms:  # a clock set back gives nothing and takes nothing
            self.tokens = min(self.capacity, self.tokens + (now_ms - self.at_ms) * self.per_s / 1000)
        self.at_ms = now_ms

    def wait_for(self, cost: int) -> int:
        """Whole seconds until `cost` tokens are there; 0 when they are."""
        return 0 if self.tokens >= cost else max(1, ceil((cost - self.tokens) / self.per_s))

    def state(self, wait_s: int) -> Take:
        return Take(wait_s, int(self.tokens), ceil((self.capacity - self.tokens) / self.per_s))


def take(buckets: tuple[TokenBucket, ...], cost: int, now_ms: int) -> tuple[Take, ...]:
    """Takes `cost` from every bucket, or from none. Answers the state of each."""
    for bucket in buckets:
        bucket.refill(now_ms)
    waits = [bucket.wait_for(cost) for bucket in buckets]
    if not any(waits):
        for bucket in buckets:
            bucket.tokens -= cost
    return tuple(bucket.state(wait) for bucket, wait in zip(buckets, waits, strict=True))
