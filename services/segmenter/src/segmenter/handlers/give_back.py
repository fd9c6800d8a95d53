"""A message that a later stage dropped gives its place under the frequency cap back."""

from collections.abc import Sequence

from shared.contracts.events import MessageDropped
from shared.db.database import Database
from shared.kafka.consumer import Received

from segmenter.adapters.cap_store import CapStore, Want
from segmenter.handlers.records import STAGE


class GiveBack:
    """Handles `sms.message.dropped`. What this stage dropped itself never had a place."""

    def __init__(self, db: Database, caps: CapStore) -> None:
        self._db, self._caps = db, caps

    async def handle(self, batch: Sequence[Received]) -> None:
        events: list[MessageDropped] = [record.event for record in batch]
        wants = [
            Want(e.tenant_id, e.contact_id, e.purpose, e.message_id, e.occurred_at) for e in events if e.stage != STAGE
        ]
        if wants:
            async with self._db.hot({w.tenant for w in wants}) as connection:
                await self._caps.give_back(connection, wants)
