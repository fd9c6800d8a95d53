"""Starts campaigns whose time has come, and lets go chunks that have fallen due. Replicas share the work by row locks."""

import asyncio

from shared.clock import Clock
from shared.db.database import Database
from shared.db.migrate import EVERYONE
from shared.db.outbox import OutboxPump
from shared.errors import RetryLaterError
from shared.telemetry.logs import logger

from segmenter.adapters.campaign_store import CampaignStore
from segmenter.adapters.launcher import MissingError, start
from segmenter.domain.compile_filter import FilterError

PERIOD_S = 2.0


class StartScheduled:
    def __init__(self, db: Database, campaigns: CampaignStore, pump: OutboxPump, clock: Clock) -> None:
        self._db, self._campaigns, self._pump, self._clock = db, campaigns, pump, clock
        self._log = logger(part="schedule")

    async def run(self) -> None:
        while True:
            try:
                while await self.start_one():
                    pass
                await self.release_due()
            except RetryLaterError as error:
                self._log.warning("the schedule waits", error=str(error))
            await asyncio.sleep(PERIOD_S)

    async def start_one(self) -> bool:
        """Starts one campaign whose time has come; False when there is none."""
        now = self._clock()
        async with self._db.hot(EVERYONE) as connection:
            row = await self._campaigns.due(connection, now)
            if row is None:
                return False
            try:
                await start(connection, self._campaigns, row, now)
            except (MissingError, FilterError) as error:
                # What it was made of has changed under it: a person has to look, and nothing else waits for that.
                self._log.error("a scheduled campaign could not start", campaign=row["id"], error=str(error))
                await self._campaigns.move(connection, row, "cancelled", row["run"], now)
        self._pump.wake()
        return True

    async def release_due(self) -> int:
        now = self._clock()
        async with self._db.hot(EVERYONE) as connection:
            keys = await self._campaigns.with_due_chunks(connection, now)
            for key in keys:
                await self._campaigns.lock_and_release(connection, key, now)
        if keys:
            self._pump.wake()
        return len(keys)
