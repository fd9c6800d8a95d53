"""A batch of prepared or returned messages: decide, keep those that wait, publish, and only then is it done."""

from collections.abc import Sequence

from shared.clock import Clock
from shared.contracts.events import MessagePrepared
from shared.contracts.topics import Lane, lane_of, prepared, returned
from shared.kafka.consumer import Received
from shared.kafka.publisher import Outgoing, Publisher
from shared.telemetry.traces import header_of

from router.adapters.deferred_store import DeferredStore, Kept
from router.counts import DecisionCounts
from router.deciding import Deciding
from router.domain.choose_carrier import Defer, Drop, Send
from router.domain.decide import Message, due_at, history_of
from router.outcome import Outcomes
from router.picture import Picture


class RouteMessages:
    """Handler of one lane's consumer."""

    def __init__(
        self,
        lane: Lane,
        picture: Picture,
        store: DeferredStore,
        publisher: Publisher,
        deciding: Deciding,
        counts: DecisionCounts,
        clock: Clock,
    ) -> None:
        self._lane, self._picture, self._store, self._publisher = lane, picture, store, publisher
        self._counts, self._clock, self._outcomes, self._deciding = counts, clock, Outcomes(publisher), deciding

    async def handle(self, batch: Sequence[Received]) -> None:
        """RetryLaterError while consents, campaigns or carriers' health are not known well enough."""
        self._picture.hold(self._lane, marketing=any(r.event.purpose == "marketing" for r in batch))
        now = self._clock()
        batch = [received for received in batch if not _held(received.event)]
        messages = [(received.event, None) for received in batch]
        decider, decisions = await self._deciding.decide(messages, self._lane, now)
        records: list[Outgoing] = []
        kept: list[Kept] = []
        for received, decision in zip(batch, decisions, strict=True):
            message, headers = received.event, header_of(received.headers)
            match decision:
                case Send():
                    records.append(self._outcomes.sent(message, decision, now, headers))
                case Defer():
                    kept.append(self._row(message, decision, now))
                    records.append(self._outcomes.deferred(message, decision, now, headers))
                case Drop():
                    records.append(self._outcomes.dropped(message, decision, now, decider.versions, headers))
        if kept:
            await self._store.keep(kept)
        await self._publisher.publish(records)
        self._counts.add(decisions)

    def _row(self, m: Message, decision: Defer, now: int) -> Kept:
        lane = lane_of(m.purpose)
        kind, topic = ("prepared", prepared) if isinstance(m, MessagePrepared) else ("returned", returned)
        return Kept(
            message_id=m.message_id, tenant_id=m.tenant_id, lane=str(lane), kind=kind, attempt=history_of(m).attempt,
            due_at=due_at(decision.until, m, now), since=now, reason=decision.reason, contact_id=m.contact_id,
            campaign_id=m.campaign_id, body=self._publisher.encode(topic(lane).name, m),
        )  # fmt: skip


def _held(m: Message) -> bool:
    """Told for the ledger only: it waits in segmenter for a person, and comes again once released."""
    return isinstance(m, MessagePrepared) and m.verdict != "pass"
