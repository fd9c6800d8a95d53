"""Clicks on their way to Kafka: put down without waiting, published in batches, again until the brokers have them."""

import asyncio
import contextlib

from shared.contracts.events import LinkClicked
from shared.contracts.topics import CLICKED
from shared.errors import RetryLaterError
from shared.kafka.publisher import Outgoing, Publisher
from shared.telemetry.logs import logger
from shared.telemetry.metrics import Metrics

EVERY_S = 0.1
BATCH = 2_000
MOST_WAITING = 200_000  # some 100 MB: two minutes of brokers away at 1,500 clicks a second
AGAIN_S = 0.5


class ClickLog:
    def __init__(self, publisher: Publisher, metrics: Metrics) -> None:
        self._publisher = publisher
        self._waiting: list[LinkClicked] = []
        self._wake = asyncio.Event()
        self._clicks = metrics.counter("relais_clicks")
        self._log = logger(part="clicks")

    def put(self, click: LinkClicked) -> None:
        """Never waits. When too many wait already the click is lost, and counted as lost."""
        lost = len(self._waiting) >= MOST_WAITING
        self._clicks.add(1, {"agent": click.agent, "outcome": "lost" if lost else "taken"})
        if not lost:
            self._waiting.append(click)
            self._wake.set()

    async def run(self) -> None:
        """Until cancelled; `drain` publishes the rest."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(EVERY_S)
            self._wake.clear()
            await self.drain()

    async def drain(self) -> None:
        """Returns when everything put down so far is on Kafka."""
        while self._waiting:
            batch = self._waiting[:BATCH]
            records = self._records(batch)
            try:
                await self._publisher.publish(records)
            except RetryLaterError as error:
                self._log.warning("clicks wait", waiting=len(self._waiting), error=str(error))
                await asyncio.sleep(AGAIN_S)
                continue
            del self._waiting[: len(batch)]

    def _records(self, clicks: list[LinkClicked]) -> list[Outgoing]:
        return [self._publisher.record(CLICKED.name, click.code, click) for click in clicks]

    async def close(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await self.drain()
