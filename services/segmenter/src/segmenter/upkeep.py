"""What is done now and then rather than on request. Any replica may do it; doing it twice is harmless."""

import asyncio

from shared.clock import Clock
from shared.db.database import Database
from shared.db.migrate import EVERYONE
from shared.db.outbox import OutboxPump
from shared.errors import RetryLaterError
from shared.telemetry.logs import logger

from segmenter.adapters.at_rest import AtRest
from segmenter.adapters.campaign_store import CampaignStore
from segmenter.adapters.cap_store import CapStore
from segmenter.adapters.event_store import forget_events
from segmenter.adapters.reseal import AT_ONCE, reseal
from segmenter.adapters.retention import RetentionJob
from segmenter.adapters.rfm_store import classify, due
from segmenter.adapters.traffic_store import TrafficStore

PERIOD_S = 30.0
RESEALS = 20  # batches an hour: a million numbers in a day, and no vacuum falls behind
HOUR_MS = 3_600_000


class Upkeep:
    """Releases chunks whose record was lost, forgets event ids that no repeat can bring any more; each hour looks for what
    is due once a day: RFM classes, what tenants keep no longer, numbers under an older key."""

    def __init__(
        self,
        db: Database,
        campaigns: CampaignStore,
        caps: CapStore,
        traffic: TrafficStore,
        pump: OutboxPump,
        retention: RetentionJob,
        at_rest: AtRest,
        clock: Clock,
    ) -> None:
        self._db, self._campaigns, self._caps, self._traffic = db, campaigns, caps, traffic
        self._pump, self._retention, self._at_rest, self._clock = pump, retention, at_rest, clock
        self._hourly_at = 0  # at the start too
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
            await self.daily(now)

    async def daily(self, now: int) -> None:
        """Classes that are not of today yet, and retention: the second time on a day there is nothing left to do."""
        async with self._db.hot(EVERYONE) as connection:
            tenants = await due(connection, now)
        for tenant in tenants:
            async with self._db.hot(tenant) as connection:
                await classify(connection, tenant, now)
        for _ in range(RESEALS):
            async with self._db.hot(EVERYONE) as connection:
                if await reseal(connection, self._at_rest) < AT_ONCE:
                    break
        gone = await self._retention.run_once(now)
        if any(gone.values()):
            self._log.info("what tenants keep no longer is gone", **gone)
            self._pump.wake()
