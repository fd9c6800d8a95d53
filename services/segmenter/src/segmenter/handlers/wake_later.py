"""Messages kept for later go on their way when their time comes: decided then, with the consent of then."""

import asyncio
from collections import Counter

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
                await self.all_due()
            except RetryLaterError as error:
                self._log.warning("waking waits", error=str(error))
            await asyncio.sleep(PERIOD_S)

    async def all_due(self) -> None:
        """Everything that is due, but what its tenant has no room for."""
        full: set[str] = set()
        while await self._some(full) == AT_ONCE:
            pass

    async def _some(self, full: set[str]) -> int:
        """Answers how many were looked at; adds to `full` the tenants that have no room now."""
        now = self._clock()
        async with self._db.hot(EVERYONE) as connection:
            due = await self._later.due(connection, self._vault, self._lane, now, AT_ONCE, full)
            going = due
            if due and self._credit is not None:
                tenants = await self._credit.take(Counter(m.event.tenant_id for m in due))
                full |= {m.event.tenant_id for m in due} - tenants
                going = [m for m in due if m.event.tenant_id in tenants]
            if going:
                await self._prepare.prepare(going, now)
                await self._later.forget(connection, going)
        return len(due)
