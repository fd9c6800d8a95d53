"""The records that a decision becomes."""

from collections.abc import Sequence

import msgspec
from shared.contracts.events import MessageDropped, MessagePrepared
from shared.contracts.topics import DROPPED, lane_of, prepared
from shared.kafka.publisher import Outgoing, Publisher
from shared.links.codes import LinkCodes
from shared.links.texts import personal
from shared.telemetry.metrics import Metrics

from segmenter.adapters.held_store import Held
from segmenter.domain.page_codes import NOBODYS, PageCodes, with_own_page
from segmenter.domain.page_codes import PATH as PAGE_PATH

STAGE = "segmenter"
_PREPARED = {purpose: prepared(lane_of(purpose)).name for purpose in ("marketing", "transactional", "otp")}


class Decided:
    """Collects a batch's records, in order, and publishes them all."""

    def __init__(self, publisher: Publisher, metrics: Metrics, codes: LinkCodes, pages: PageCodes) -> None:
        self._publisher, self._codes, self._pages = publisher, codes, pages
        self._dropped = metrics.counter("relais_messages_dropped")

    def own_text(self, text: str, message_id: str, contact_id: str) -> str:
        """The text as this message carries it: its short links name the message, its preference page the person. Its
        length is the same."""
        if PAGE_PATH + NOBODYS in text:
            text = with_own_page(text, self._pages.code(contact_id))
        return personal(text, self._codes, message_id)

    def prepared(self, event: MessagePrepared) -> Outgoing:
        return self._publisher.record(_PREPARED[event.purpose], event.contact_id, event)

    def dropped(self, event: MessageDropped) -> Outgoing:
        return self._publisher.record(DROPPED.name, event.message_id, event)

    def held(self, event: MessagePrepared, number: str, text: str, rule: str) -> tuple[Held, Outgoing]:
        """What is kept of a message that a person is to look at, and what the others are told of it."""
        bare = msgspec.structs.replace(event, number=b"", text=b"")
        told = msgspec.structs.replace(bare, event_id=f"{event.message_id}:held", verdict="hold")
        return Held(bare, number, text, rule), self.prepared(told)

    async def publish(self, records: Sequence[Outgoing], reasons: Sequence[str]) -> None:
        """Returns when the brokers have all; `reasons` of the dropped ones are counted."""
        await self._publisher.publish(records)
        for reason in set(reasons):
            self._dropped.add(reasons.count(reason), {"stage": STAGE, "reason": reason})
