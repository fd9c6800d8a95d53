"""Starts campaigns whose time has come, and lets go chunks that have fallen due. Replicas share the work by row locks."""

import asyncio

from shared.clock import Clock
from shared.db.database import Database
from shared.db.migrate import EVERYONE
from shared.db.outbox import OutboxPump
from shared.errors import RetryLaterError
from shared.telemetry.logs import logger

from segmenter.adapters.answers import AnswerBook
from segmenter.adapters.campaign_store import CampaignStore, RunKey
from segmenter.adapters.launcher import OPTIMISE, VARIANTS, MissingError, start
from segmenter.domain.compile_filter import FilterError
from segmenter.domain.optimise import Winner, all_to, thompson, winner

PERIOD_S = 2.0


class StartScheduled:
    def __init__(
        self, db: Database, campaigns: CampaignStore, answers: AnswerBook, pump: OutboxPump, clock: Clock
    ) -> None:
        self._db, self._campaigns, self._answers, self._pump, self._clock = db, campaigns, answers, pump, clock
        self._log = logger(part="schedule")

    async def run(self) -> None:
        while True:
            try:
                while await self.start_one():
                    pass
                await self.split_anew()
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

    async def split_anew(self) -> None:
        """Which variants the coming chunks get. While analytics is away a bandit keeps its split, and the rest of a test waits."""
        now = self._clock()
        async with self._db.hot(EVERYONE) as connection:
            rows = await self._campaigns.undecided(connection, now)
        for row in rows:
            key, optimise = RunKey(row["tenant_id"], row["campaign_id"], row["run"]), OPTIMISE.decode(row["optimise"])
            order = [v.id for v in VARIANTS.decode(row["variants"])]
            try:
                answers = await self._answers.of(*key, optimise.by)
            except RetryLaterError as error:
                self._log.warning("a campaign's split waits", campaign=key.campaign, error=str(error))
                continue
            if isinstance(optimise, Winner):
                split = all_to(winner(answers, order))
            else:
                split = thompson(answers, order, optimise.floor, f"{key} {now}")
            async with self._db.hot(key.tenant) as connection:
                await self._campaigns.put_split(connection, key, split, now)

    async def release_due(self) -> int:
        now = self._clock()
        async with self._db.hot(EVERYONE) as connection:
            keys = await self._campaigns.with_due_chunks(connection, now)
            for key in keys:
                await self._campaigns.lock_and_release(connection, key, now)
        if keys:
            self._pump.wake()
        return len(keys)
