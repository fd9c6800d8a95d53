"""The clock of those that wait: takes the due ones in order, decides again, publishes, deletes, in one transaction."""

import asyncio
import time
from collections.abc import Callable, Sequence

from shared.clock import Clock
from shared.contracts.avro import NotAvroError, codec_of
from shared.contracts.events import MessagePrepared, MessageReturned
from shared.contracts.topics import Lane, Topic, prepared, returned
from shared.errors import RetryLaterError
from shared.kafka.dead_letters import dead_letter
from shared.kafka.publisher import Outgoing, Publisher
from shared.kafka.registry import SchemaIds
from shared.telemetry.logs import logger
from shared.telemetry.metrics import Metrics

from router.adapters.deferred_store import DeferredStore, Kept
from router.counts import DecisionCounts
from router.deciding import Deciding
from router.domain.choose_carrier import Defer, Drop, Send
from router.domain.decide import Message, Waited, due_at
from router.outcome import Outcomes
from router.picture import Picture

IDLE_S = 0.2  # what is due fires within a second of it
BATCH = 500
MARKED_AT_ONCE = 5_000
_KINDS: dict[str, tuple[type[MessagePrepared] | type[MessageReturned], Callable[[Lane], Topic]]] = {
    "prepared": (MessagePrepared, prepared),
    "returned": (MessageReturned, returned),
}


class Waiting:
    """One loop a replica. STOP, cancel and resume make rows due; deciding again does the rest."""

    def __init__(
        self,
        picture: Picture,
        store: DeferredStore,
        publisher: Publisher,
        schemas: SchemaIds,
        deciding: Deciding,
        counts: DecisionCounts,
        clock: Clock,
    ) -> None:
        self._picture, self._store, self._publisher, self._schemas = picture, store, publisher, schemas
        self._counts, self._clock, self._outcomes, self._deciding = counts, clock, Outcomes(publisher), deciding
        self._wake = asyncio.Event()
        self._log = logger(part="waiting")
        picture.changed = self._wake.set

    async def run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self.mark()
                while await self.fire(Lane.NOW) or await self.fire(Lane.BULK):
                    await self.mark()
            except RetryLaterError as error:
                self._log.warning("what waits is put off", error=str(error))
                await asyncio.sleep(0.5)
            try:
                await asyncio.wait_for(self._wake.wait(), IDLE_S)
            except TimeoutError:
                pass

    async def mark(self) -> None:
        """Makes rows due whose recipient has opted out or whose campaign has changed."""
        picture = self._picture
        while picture.newly_out:
            some = picture.newly_out[:MARKED_AT_ONCE]
            await self._store.mark_contacts(some, self._clock())
            del picture.newly_out[: len(some)]
        while picture.changed_campaigns:
            some_changed = picture.changed_campaigns[:MARKED_AT_ONCE]
            gone = {c for c in some_changed if picture.campaigns.state(*c) == "cancelled"}
            await self._store.mark_campaigns(gone, self._clock())
            # A campaign that goes on wakes what its pause held. What waits for a window or for its turn waits on.
            await self._store.mark_campaigns({*some_changed} - gone, self._clock(), reason="campaign_paused")
            del picture.changed_campaigns[: len(some_changed)]

    async def fire(self, lane: Lane) -> bool:
        """Decides one batch of due rows again; answers whether more may be due."""
        if self._picture.why_hold(lane, marketing=lane is Lane.BULK) is not None:
            return False
        now = self._clock()
        records: list[Outgoing] = []
        done: list[str] = []
        again: list[tuple[str, int, str]] = []
        async with self._store.due(lane, now, BATCH) as due:
            if not due.rows:
                return False
            await self._schemas.load_writers({int.from_bytes(row.body[1:5], "big") for row in due.rows})
            batch = self._read(due.rows, records, done)
            waits = [(message, Waited(row.since, row.reason)) for row, message in batch]
            decider, decisions = await self._deciding.decide(waits, lane, now)
            for (row, message), decision in zip(batch, decisions, strict=True):
                match decision:
                    case Send():
                        records.append(self._outcomes.sent(message, decision, now))
                        done.append(row.message_id)
                    case Drop():
                        records.append(self._outcomes.dropped(message, decision, now, decider.versions))
                        done.append(row.message_id)
                    case Defer():
                        again.append((row.message_id, due_at(decision.until, message, row.since), decision.reason))
                        if decision.reason != row.reason:
                            records.append(self._outcomes.deferred(message, decision, now))
            await self._publisher.publish(records)
            await due.done(done)
            await due.again(again)
        self._counts.add(decisions)
        return len(due.rows) == BATCH

    def _read(self, rows: Sequence[Kept], records: list[Outgoing], done: list[str]) -> list[tuple[Kept, Message]]:
        """The messages of the rows. Those that cannot be read are added to `records`, as dead letters, and to `done`."""
        found: list[tuple[Kept, Message]] = []
        for row in rows:
            try:
                found.append((row, codec_of(_KINDS[row.kind][0]).decode(row.body, self._schemas.writer_of)))
            except (NotAvroError, KeyError) as error:
                records.append(self._buried(row, error))
                done.append(row.message_id)
        return found

    def _buried(self, row: Kept, error: Exception) -> Outgoing:
        self._log.error("a kept record cannot be read", message_id=row.message_id, error=type(error).__name__)
        topic = _KINDS[row.kind][1](Lane(row.lane)).name
        why = f"kept record: {type(error).__name__}"
        return dead_letter(topic, -1, -1, row.contact_id.encode(), row.body, why, row.attempt)


class WaitingGauge:
    """How many wait, refreshed for metrics and for the credit."""

    def __init__(self, store: DeferredStore, metrics: Metrics) -> None:
        self._store, self._gauge = store, metrics.gauge("relais_deferred")
        self.for_a_carrier = 0  # bulk messages that will go as soon as a carrier takes them
        self.by_tenant: dict[str, int] = {}  # those, and those that wait for their turn under a limit
        self._log = logger(part="waiting")

    async def run(self) -> None:
        while True:
            started = time.monotonic()
            try:
                found = await self._store.waiting()
                for lane in Lane:
                    self._gauge.set(found.lanes.get(lane, 0), {"lane": str(lane)})
                self.for_a_carrier, self.by_tenant = found.for_a_carrier, found.by_tenant
            except RetryLaterError as error:
                self._log.warning("what waits is not counted", error=str(error))
            # A million rows take a while to count: never more than a tenth of the time.
            await asyncio.sleep(max(2.0, 10 * (time.monotonic() - started)))
