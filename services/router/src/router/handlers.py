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
from router.domain.choose_carrier import Decision, Defer, Drop, Send
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
        counts: DecisionCounts,
        clock: Clock,
    ) -> None:
        self._lane, self._picture, self._store, self._publisher = lane, picture, store, publisher
        self._counts, self._clock, self._outcomes = counts, clock, Outcomes(publisher)

    async def handle(self, batch: Sequence[Received]) -> None:
        """RetryLaterError while consents, campaigns or carriers' health are not known well enough."""
        self._picture.hold(self._lane, marketing=any(r.event.purpose == "marketing" for r in batch))
        now = self._clock()
        decider = self._picture.decider(now)
        decisions: list[Decision] = []
        records: list[Outgoing] = []
        kept: list[Kept] = []
        for received in batch:
            if isinstance(received.event, MessagePrepared) and received.event.verdict != "pass":
                continue  # told for the ledger: it waits in segmenter for a person, and comes again once released
            message, headers = received.event, header_of(received.headers)
            decision = decider.decide(message)
            decisions.append(decision)
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
