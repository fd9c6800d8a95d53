"""Things that fall due later, kept in buckets of a few milliseconds, so that one timer serves a whole batch."""

from heapq import heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T")

BUCKETS_A_SECOND = 200  # 5 ms: finer than any latency a carrier promises, coarse enough to write in batches


class Schedule(Generic[T]):
    """Times are seconds on any clock that does not run backwards. Nothing comes back early; late by up to a bucket."""

    def __init__(self) -> None:
        self._buckets: dict[int, list[T]] = {}
        self._order: list[int] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, due: float, item: T) -> None:
        bucket = int(due * BUCKETS_A_SECOND) + 1
        self._count += 1
        held = self._buckets.get(bucket)
        if held is None:
            self._buckets[bucket] = [item]
            heappush(self._order, bucket)
        else:
            held.append(item)

    def next_due(self) -> float | None:
        """When to ask again, or None while nothing waits."""
        return self._order[0] / BUCKETS_A_SECOND if self._order else None

    def take_due(self, now: float) -> list[T]:
        """Remove and return what is due at `now`, in the order in which it fell due."""
        due: list[T] = []
        while self._order and self._order[0] <= now * BUCKETS_A_SECOND:
            due += self._buckets.pop(heappop(self._order))
        self._count -= len(due)
        return due
