"""What is done beside the counting: clicks find their messages, and single messages are forgotten in time."""

import asyncio
from collections.abc import Callable
from functools import partial

from shared.clock import Clock
from shared.errors import RetryLaterError
from shared.kafka.publisher import Publisher
from shared.telemetry.logs import logger

from analytics.adapters.response_store import ResponseStore
from analytics.responses import click_deltas

RESOLVE_S = 1.0  # a click is in its campaign's report within two seconds
ATTRIBUTE_EVERY = 10  # turns
SWEEP_EVERY = 600
DAY_MS = 86_400_000


class Upkeep:
    def __init__(
        self,
        store: ResponseStore,
        publisher: Publisher,
        wake_outbox: Callable[[], None],
        clock: Clock,
        *,
        keep_days: int,
    ) -> None:
        self._store, self._clock, self._keep_ms = store, clock, keep_days * DAY_MS
        self._publisher, self._wake = publisher, wake_outbox
        self._log = logger(part="upkeep")

    async def run(self) -> None:
        """Until cancelled."""
        turn = 0
        while True:
            try:
                now = self._clock()
                told = partial(click_deltas, self._publisher, place=f"resolved@{now}", now=now)
                if await self._store.resolve_clicks(now, told):
                    self._wake()
                if turn % ATTRIBUTE_EVERY == 0:
                    await self._store.attribute_new(self._clock())
                if turn % SWEEP_EVERY == 0:
                    while await self._store.sweep(self._clock(), self._keep_ms):
                        pass
            except RetryLaterError as error:
                self._log.warning("upkeep waits", error=str(error))
            turn += 1
            await asyncio.sleep(RESOLVE_S)
