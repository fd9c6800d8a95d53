"""What is done now and then rather than on request. Any replica may do it; doing it twice is harmless."""

import asyncio

from shared.clock import Clock
from shared.db.database import Database
from shared.db.migrate import EVERYONE
from shared.db.outbox import OutboxPump
from shared.errors import RetryLaterError
from shared.telemetry.logs import logger

from segmenter.adapters.campaign_store import CampaignStore
from segmenter.adapters.cap_store import CapStore
from segmenter.adapters.event_store import forget_events
from segmenter.adapters.traffic_store import TrafficStore

PERIOD_S = 30.0
HOUR_MS = 3_600_000


class Upkeep:
    """Releases chunks whose record was lost, forgets event ids that no repeat can bring any more."""

    def __init__(
        self,
        db: Database,
        campaigns: CampaignStore,
        caps: CapStore,
        traffic: TrafficStore,
        pump: OutboxPump,
        clock: Clock,
    ) -> None:
        self._db, self._campaigns, self._caps, self._traffic = db, campaigns, caps, traffic
        self._pump, self._clock = pump, clock
        self._hourly_at = clock()
        self._log = logger(part="upkeep")

    async def run(self) -> None:
        while True:
            try:
                await self.once()
            except RetryLaterError as error:
                self._log.warning("upkeep waits", error=str(error))
            await asyncio.sleep(PERIOD_S)

    async def once(self) -> None:
        now = self._clock()
        async with self._db.hot(EVERYONE) as connection:
            released = await self._campaigns.release_stale(connection, now)
        if released:
            self._log.warning("chunks were released again: nobody had finished them", chunks=released)
            self._pump.wake()
        async with self._db.hot(EVERYONE) as connection:
            await forget_events(connection, now)
        if now - self._hourly_at >= HOUR_MS:  # reads a whole table
            self._hourly_at = now
            async with self._db.hot(EVERYONE) as connection:
                await self._caps.forget(connection, now)
            async with self._db.hot(EVERYONE) as connection:
                await self._traffic.forget(connection, now)
