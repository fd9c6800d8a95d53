"""Messages kept for later go on their way when their time comes: decided then, with the consent of then."""

import asyncio

from shared.clock import Clock
from shared.contracts.topics import Lane
from shared.crypto.vault import Vault
from shared.db.database import Database
from shared.db.migrate import EVERYONE
from shared.errors import RetryLaterError
from shared.telemetry.logs import logger

from segmenter.adapters.credit import Credit
from segmenter.adapters.later_store import LaterStore
from segmenter.handlers.prepare_accepted import PrepareAccepted

PERIOD_S = 5.0
AT_ONCE = 500


class WakeLater:
    """Replicas share the work by row locks; a crash before the rows are gone repeats the same ids."""

    def __init__(
        self, db: Database, vault: Vault, later: LaterStore, prepare: PrepareAccepted, lane: Lane, credit: Credit | None,
        clock: Clock,
    ) -> None:  # fmt: skip
        """One lane's messages; `credit` as in `PrepareAccepted`."""
        self._db, self._vault, self._later, self._prepare = db, vault, later, prepare
        self._lane, self._credit, self._clock = lane, credit, clock
        self._log = logger(part="wake later")

    async def run(self) -> None:
        while True:
            try:
                while await self.once() == AT_ONCE:
                    pass
            except RetryLaterError as error:
                self._log.warning("waking waits", error=str(error))
            await asyncio.sleep(PERIOD_S)

    async def once(self) -> int:
        """Answers how many went on."""
        now = self._clock()
        async with self._db.hot(EVERYONE) as connection:
            due = await self._later.due(connection, self._vault, self._lane, now, AT_ONCE)
            if due:
                if self._credit is not None:
                    await self._credit.take(len(due))
                await self._prepare.prepare(due, now)
                await self._later.forget(connection, due)
        return len(due)
