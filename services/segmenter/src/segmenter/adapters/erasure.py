"""Everything that erasing a person takes away here, in one transaction, with a receipt that names no number.

The ledger stays, which proves consent under the tenant's own reference; so do keyed hashes on the suppression list.
"""

from typing import Any

import msgspec
from shared.contracts.events import MessageAccepted, MessageDropped, MessagePrepared
from shared.contracts.topics import DROPPED
from shared.db.outbox import put
from shared.kafka.publisher import Outgoing, Publisher

from segmenter.adapters.contact_store import ContactStore
from segmenter.adapters.held_store import HeldStore
from segmenter.adapters.later_store import LaterStore
from segmenter.handlers.records import STAGE

REASON = "suppressed"
DETAIL = "the person was erased before it was due"


class Erasure:
    def __init__(self, publisher: Publisher, contacts: ContactStore, later: LaterStore, held: HeldStore) -> None:
        self._publisher, self._contacts, self._later, self._held = publisher, contacts, later, held

    async def erase(
        self, connection: Any, tenant: str, ref: str, by: str, now: int, *, suppress: bool = True
    ) -> dict[str, int] | None:
        """What was erased, counted; None when nobody has this reference. `suppress` as of the contact store."""
        row = await self._contacts.find(connection, tenant, ref)
        days = await connection.fetchval(
            "SELECT count(*) FROM event_days WHERE tenant_id = $1 AND contact_ref = $2", tenant, ref
        )
        if not await self._contacts.erase(connection, tenant, ref, now, suppress=suppress):
            return None
        contact_id = row["contact_id"]
        erased = {"contact": 1, "attributes": len(msgspec.json.decode(row["attributes"])), "event_days": days}
        # Somebody else with the number keeps what is kept for it: whose message it is only its number says.
        shared = await connection.fetchval(
            "SELECT true FROM contacts WHERE tenant_id = $1 AND contact_id = $2 LIMIT 1", tenant, contact_id
        )
        if not shared:
            dropped = await self._later.take_of(connection, tenant, contact_id)
            held = await self._held.take_of(connection, tenant, contact_id)
            events: list[MessageAccepted | MessagePrepared] = [*(m.event for m in dropped), *(h.event for h in held)]
            await put(connection, [self._drop(event, ref, now) for event in events])
            erased |= {"later_messages": len(dropped), "held_messages": len(held)}
            await connection.execute(
                "DELETE FROM sent_texts WHERE tenant_id = $1 AND contact_id = $2", tenant, contact_id
            )
            result = await connection.execute(
                "DELETE FROM cap_claims WHERE tenant_id = $1 AND contact_id = $2", tenant, contact_id
            )
            erased["cap_claims"] = int(result.split()[-1])
        await connection.execute(
            "INSERT INTO erasures (tenant_id, contact_ref, at, contact_id, erased, erased_by) VALUES ($1, $2, $3, $4, $5::jsonb, $6)",
            tenant, ref, now, contact_id, msgspec.json.encode(erased).decode(), by,
        )  # fmt: skip
        return erased

    def _drop(self, event: MessageAccepted | MessagePrepared, ref: str, now: int) -> Outgoing:
        accepted_at = event.occurred_at if isinstance(event, MessageAccepted) else event.accepted_at
        dropped = MessageDropped(
            event_id=f"{event.message_id}:dropped", tenant_id=event.tenant_id, occurred_at=now, message_id=event.message_id,
            stage=STAGE, reason=REASON, detail=DETAIL, contact_id=event.contact_id, contact_ref=ref, purpose=event.purpose,
            client_ref=event.client_ref, callback_url=event.callback_url, accepted_at=accepted_at,
        )  # fmt: skip
        return self._publisher.record(DROPPED.name, event.message_id, dropped)


async def find_receipt(connection: Any, tenant: str, ref: str) -> Any:
    """The newest erasure of this reference, or None."""
    return await connection.fetchrow(
        "SELECT at, contact_id, erased, erased_by FROM erasures WHERE tenant_id = $1 AND contact_ref = $2 ORDER BY at DESC LIMIT 1",
        tenant, ref,
    )  # fmt: skip
