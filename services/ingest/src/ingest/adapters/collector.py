"""Group commit: those who ask at the same time are served by one call."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from shared.errors import RetryLaterError

T = TypeVar("T")
R = TypeVar("R")


class Collector(Generic[T, R]):
    """Gathers what is submitted while `work` is busy with the group before, and hands it over as the next group.

    `work` answers one result an item, in order; when it fails, every item of the group fails with it.
    """

    def __init__(
        self,
        work: Callable[[list[T]], Awaitable[Sequence[R]]],
        *,
        weight: Callable[[T], int] = lambda _: 1,
        group: int,
        waiting: int,
    ) -> None:
        """`group`: the weight of a group at most, unless one item weighs more. `waiting`: the weight above which
        newcomers are sent away, so that memory stays bounded while the other side is slow."""
        self._work, self._weight, self._group, self._most = work, weight, group, waiting
        self._queue: deque[tuple[T, int, asyncio.Future[R]]] = deque()
        self._queued = 0
        self._flusher: asyncio.Task[None] | None = None

    def submit(self, item: T) -> asyncio.Future[R]:
        """To be awaited for the item's result. RetryLaterError at once when too much waits already."""
        if self._queued > self._most:
            raise RetryLaterError("more waits than can be served soon", after_s=1)
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        weight = self._weight(item)
        self._queue.append((item, weight, future))
        self._queued += weight
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush())
        return future

    async def _flush(self) -> None:
        try:
            while self._queue:
                await asyncio.sleep(0)  # whoever is ready in this turn of the loop still joins
                items, futures = self._next_group()
                if not items:
                    break
                try:
                    results = await self._work(items)
                except Exception as error:
                    for future in futures:
                        if not future.done():
                            future.set_exception(_own(error))
                else:
                    for future, result in zip(futures, results, strict=True):
                        if not future.done():
                            future.set_result(result)
        finally:
            self._flusher = None

    def _next_group(self) -> tuple[list[T], list[asyncio.Future[R]]]:
        items: list[T] = []
        futures: list[asyncio.Future[R]] = []
        room = self._group
        while self._queue and (not items or self._queue[0][1] <= room):
            item, weight, future = self._queue.popleft()
            self._queued -= weight
            if future.cancelled():
                continue  # whoever asked has given up, and was told so
            room -= weight
            items.append(item)
            futures.append(future)
        return items, futures


def _own(error: Exception) -> Exception:
    """One exception a waiter: a shared one would gather every waiter's traceback."""
    if isinstance(error, RetryLaterError):
        return RetryLaterError(str(error), after_s=error.after_s)
    return error
