import asyncio
from collections.abc import Sequence

import pytest
from ingest.adapters.collector import Collector
from shared.errors import RetryLaterError


class Work:
    """Doubles numbers; waits at a gate when there is one."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.gate: asyncio.Event | None = None
        self.error: Exception | None = None

    async def __call__(self, items: list[int]) -> Sequence[int]:
        self.groups.append(items)
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return [item * 2 for item in items]


def collector(work: Work, group: int = 100, waiting: int = 1_000) -> Collector[int, int]:
    return Collector(work, group=group, waiting=waiting)


async def test_those_who_ask_together_are_served_by_one_call() -> None:
    work = Work()
    together = collector(work)
    assert await asyncio.gather(*(together.submit(n) for n in range(5))) == [0, 2, 4, 6, 8]
    assert work.groups == [[0, 1, 2, 3, 4]]


async def test_while_one_group_is_served_the_next_one_forms() -> None:
    work = Work()
    work.gate = asyncio.Event()
    one = collector(work)
    first = one.submit(1)
    await asyncio.sleep(0.01)
    others = [one.submit(n) for n in (2, 3)]
    await asyncio.sleep(0.01)
    assert work.groups == [[1]]
    work.gate.set()
    assert await asyncio.gather(first, *others) == [2, 4, 6]
    assert work.groups == [[1], [2, 3]]


async def test_a_group_is_no_heavier_than_it_may_be_unless_one_item_is() -> None:
    work = Work()
    weighed: Collector[int, int] = Collector(work, weight=lambda n: n, group=10, waiting=1_000)
    await asyncio.gather(*(weighed.submit(n) for n in (6, 4, 5, 50, 1)))
    assert work.groups == [[6, 4], [5], [50], [1]]


async def test_a_failure_is_everyones_and_the_next_group_is_served() -> None:
    work = Work()
    work.error = RetryLaterError("away", after_s=3)
    one = collector(work)
    failed = await asyncio.gather(one.submit(1), one.submit(2), return_exceptions=True)
    assert [str(error) for error in failed] == ["away", "away"]
    assert failed[0] is not failed[1]
    work.error = None
    assert await one.submit(3) == 6


async def test_when_too_much_waits_newcomers_are_sent_away() -> None:
    work = Work()
    work.gate = asyncio.Event()
    one = collector(work, group=1, waiting=2)
    waiting = [one.submit(n) for n in range(3)]
    with pytest.raises(RetryLaterError):
        one.submit(9)
    work.gate.set()
    assert await asyncio.gather(*waiting) == [0, 2, 4]


async def test_who_has_given_up_is_not_served() -> None:
    work = Work()
    work.gate = asyncio.Event()
    one = collector(work)
    first = one.submit(1)
    await asyncio.sleep(0.01)
    given_up, second = one.submit(2), one.submit(3)
    given_up.cancel()
    work.gate.set()
    assert await asyncio.gather(first, second) == [2, 6]
    assert work.groups == [[1], [3]]
