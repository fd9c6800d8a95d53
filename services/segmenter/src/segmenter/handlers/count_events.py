"""Behaviour: events become a contact's daily sums."""

from collections.abc import Sequence

from shared.clock import Clock
from shared.db.database import Database
from shared.kafka.consumer import Received

from segmenter.adapters.event_store import count_events


class CountEvents:
    """Handles `crm.event.tracked`. Each event id counts once."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db, self._clock = db, clock

    async def handle(self, batch: Sequence[Received]) -> None:
        events = [record.event for record in batch]
        async with self._db.hot({e.tenant_id for e in events}) as connection:
            await count_events(connection, events, self._clock())
