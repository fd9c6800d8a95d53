"""From an attempt's end to its offset: recorded in the claim, published, finished. Each step in batches of whatever
has come meanwhile, the two steps side by side.

A record's window and contact are free when its claim is settled; its offset is finished when its events are with the
brokers. Whatever fails is done again: the statements and the event ids are the same.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from shared.contracts.events import MessageDropped, MessageReturned, MessageSubmitted
from shared.contracts.topics import DROPPED, SUBMITTED, Lane, lane_of, returned
from shared.errors import RetryLaterError
from shared.kafka.publisher import Outgoing, Publisher
from shared.telemetry.logs import logger
from shared.telemetry.metrics import Metrics

from smpp_connector.adapters.claims import Claims, Key, Recorded
from smpp_connector.domain.answers import NO_ANSWER_REASON
from smpp_connector.domain.claim_rules import Claim, Outcome, Ruling, ruling
from smpp_connector.domain.settlement import Settlement, about_of, events_of, settlement_of, submitted_event
from smpp_connector.domain.waiting_room import Waiting, WaitingRoom

LOOK_AGAIN_S = 1.0
RETRY_S = (0.1, 0.3, 1.0, 2.0)
MOST_AT_ONCE = 1000
_SUBMITTED, _DROPPED = SUBMITTED.name, DROPPED.name  # each time anew they would be put together
_RETURNED = {lane: returned(lane).name for lane in Lane}


class Bind(Protocol):
    def settled(self, record: Waiting) -> None:
        """The record's claim is no longer open under this bind: its window is free."""


class _Item:
    __slots__ = ("pause_s", "record", "settlement", "written")

    def __init__(self, record: Waiting, settlement: Settlement, written: bool, pause_s: float | None) -> None:
        self.record, self.settlement, self.written, self.pause_s = record, settlement, written, pause_s


class Recorder:
    def __init__(
        self,
        claims: Claims,
        publisher: Publisher,
        room: WaitingRoom,
        finish: Callable[[Iterable[Waiting]], None],
        carrier: str,
        metrics: Metrics,
        clock: Callable[[], float],
        now_ms: Callable[[], int],
        changed: Callable[[], None],
    ) -> None:
        """`finish(records)`: their offsets are done. `changed()`: the room has records again. `clock`: the room's."""
        self._claims, self._publisher, self._room, self._finish = claims, publisher, room, finish
        self._carrier, self._clock, self._now_ms, self._changed = carrier, clock, now_ms, changed
        self._items: list[_Item] = []
        self._told: list[tuple[Waiting, Settlement | None]] = []
        self._to_record, self._to_publish = asyncio.Event(), asyncio.Event()
        self._recording = self._publishing = 0
        self._log = logger(carrier=carrier, part="recorder")
        self._refused = metrics.counter("relais_claims_refused")
        self._unknown = metrics.counter("relais_smpp_unknown")
        self._dropped = metrics.counter("relais_messages_dropped")
        self.unknown_seen = 0  # for the carrier's health

    # What others hand in; none of it waits.

    def answered(self, record: Waiting, settlement: Settlement) -> None:
        """A written message has come to its end."""
        self._put(_Item(record, settlement, True, None))

    def freed(self, record: Waiting, settlement: Settlement, pause_s: float) -> None:
        """The carrier does not have it: its claim becomes free, then it waits again, first of its lane after a pause."""
        self._put(_Item(record, settlement, True, pause_s))

    def unwritten(self, record: Waiting, settlement: Settlement) -> None:
        """It ends without having been written, and has no open claim."""
        self._put(_Item(record, settlement, False, None))

    def _put(self, item: _Item) -> None:
        self._items.append(item)
        self._to_record.set()

    @property
    def backlog(self) -> int:
        """Records on their way through here."""
        return len(self._items) + self._recording + len(self._told) + self._publishing

    async def recorded(self) -> None:
        """Returns when no answer in memory is missing from the claims."""
        while self._items or self._recording:  # noqa: ASYNC110 - rare, and two lists to watch
            await asyncio.sleep(0.01)

    async def idle(self) -> None:
        """Returns when everything is recorded and published."""
        while self.backlog:  # noqa: ASYNC110 - only at the end of the process
            await asyncio.sleep(0.01)

    # First step: the claims.

    async def run_recording(self) -> None:
        while True:
            await self._to_record.wait()
            self._to_record.clear()
            while self._items:
                batch, self._items = self._items[:MOST_AT_ONCE], self._items[MOST_AT_ONCE:]
                batch = self._one_of_each(batch)
                self._recording = len(batch)
                now_ms = self._now_ms()
                for item in batch:
                    item.settlement.at = now_ms  # one moment for a batch: it is one statement then
                done = await self._insist(lambda batch=batch: self._record(batch))  # type: ignore[misc]
                refused = self._apply(batch, done)
                if refused:
                    await self.resolve(refused)
                self._recording = 0
                self._changed()

    def _one_of_each(self, batch: list[_Item]) -> list[_Item]:
        """A key stands once in a statement; its repeats wait for the next."""
        seen: set[Key] = set()
        first: list[_Item] = []
        for item in batch:
            if item.record.key in seen:
                self._items.append(item)
            else:
                seen.add(item.record.key)
                first.append(item)
        return first

    async def _record(self, batch: list[_Item]) -> set[Key]:
        return await self._claims.record(
            [Recorded(i.settlement, i.record.epoch) for i in batch if i.written],
            [i.settlement for i in batch if not i.written],
        )

    def _apply(self, batch: list[_Item], done: set[Key]) -> list[Waiting]:
        refused: list[Waiting] = []
        for item in batch:
            record = item.record
            if record.bind is not None:
                record.bind.settled(record)
                record.bind = None
            if record.key not in done:
                refused.append(record)
            elif item.settlement.outcome is Outcome.FREE:
                record.free = True
                self._room.put_back(record, self._clock() + (item.pause_s or 0.0))
            else:
                self._ended(record, item.settlement)
        return refused

    def _ended(self, record: Waiting, settlement: Settlement | None) -> None:
        self._room.done(record)
        self._told.append((record, settlement))
        self._to_publish.set()
        if settlement is None:
            return
        if settlement.outcome is Outcome.UNKNOWN:
            self._count_unknown(1)
        elif settlement.outcome is Outcome.DROPPED:
            self._dropped.add(1, {"stage": "smpp-connector", "reason": settlement.cause or ""})

    def _count_unknown(self, count: int) -> None:
        self._unknown.add(count, {"carrier": self._carrier})
        self.unknown_seen += count

    async def resolve(self, refused: Sequence[Waiting]) -> None:
        """Taken records whose claim we did not get: they end, or wait again, as the claims say."""
        await self._insist(lambda: self._resolve(refused))

    async def _resolve(self, refused: Sequence[Waiting]) -> None:
        found = await self._claims.look([r.key for r in refused])
        rulings = [(record, ruling(found.get(record.key), self._carrier, record.unheard)) for record in refused]
        orphans = [record for record, rule in rulings if rule is Ruling.DECLARE_UNKNOWN]
        if orphans:
            await self._claims.declare_unknown([r.key for r in orphans], NO_ANSWER_REASON, self._now_ms())
        now = self._clock()
        for record, rule in rulings:
            if rule is Ruling.FREE_IT:
                self._free(record, found[record.key])
            elif rule is Ruling.REPUBLISH:
                self._refused.add(1, {"carrier": self._carrier})
                self._ended(record, settlement_of(found[record.key]))
            elif rule is Ruling.FINISH:
                self._refused.add(1, {"carrier": self._carrier})
                self._ended(record, None)
            elif rule is Ruling.REARM:
                record.free = True
                self._room.put_back(record)
            elif rule is Ruling.TRY_AGAIN:
                record.free = False
                self._room.put_back(record, now + LOOK_AGAIN_S / 5)
            elif rule is Ruling.DECLARE_UNKNOWN:
                self._room.put_back(record)
            else:
                self._room.put_back(record, now + LOOK_AGAIN_S)
        self._changed()

    async def abandon(self, records: Sequence[Waiting]) -> None:
        """Frees what was claimed in the name of records that were let go before the claim's answer was heard."""
        await self._insist(lambda: self._abandon(records))

    async def _abandon(self, records: Sequence[Waiting]) -> None:
        found = await self._claims.look([r.key for r in records])
        ours = [
            Recorded(self._freedom(record, claim.slot), claim.epoch)
            for record in records
            if (claim := found.get(record.key)) is not None
            and claim.outcome is None
            and claim.carrier == self._carrier
            and claim.token in record.unheard
        ]
        if ours:
            await self._claims.record(ours, [])

    def _freedom(self, record: Waiting, slot: int) -> Settlement:
        return Settlement(*record.key, slot, Outcome.FREE, None, self._now_ms(), about_of(record.request, ""))

    def _free(self, record: Waiting, claim: Claim) -> None:
        record.slot, record.epoch = claim.slot, claim.epoch
        self.freed(record, self._freedom(record, claim.slot), 0.0)

    # Second step: the topics.

    async def run_publishing(self) -> None:
        while True:
            await self._to_publish.wait()
            self._to_publish.clear()
            await asyncio.sleep(0)  # the binds first: their window has just become free
            while self._told:
                batch, self._told = self._told, []
                self._publishing = len(batch)
                await self._insist(lambda batch=batch: self._publish(batch))  # type: ignore[misc]
                self._finish([record for record, _ in batch])
                self._publishing = 0

    async def _publish(self, batch: Sequence[tuple[Waiting, Settlement | None]]) -> None:
        codes = [
            record
            for record, s in batch
            if s is not None and s.outcome is Outcome.UNKNOWN and record.request.purpose == "otp"
        ]
        before: set[Key] = set()
        if codes:
            before = await self._claims.unknown_before([r.key for r in codes])
        records: list[Outgoing] = []
        for record, settlement in batch:
            if settlement is not None:
                events = events_of(settlement, record.request, self._carrier, unknown_before=record.key in before)
                records += [self._outgoing(event, record.headers) for event in events]
        if records:
            await self._publisher.publish(records)

    def _outgoing(self, event: Any, headers: tuple[tuple[str, bytes], ...]) -> Outgoing:
        record = self._publisher.record
        if isinstance(event, MessageSubmitted):
            return record(_SUBMITTED, event.message_id, event, headers)
        if isinstance(event, MessageReturned):
            return record(_RETURNED[lane_of(event.purpose)], event.contact_id, event, headers)
        assert isinstance(event, MessageDropped)
        return record(_DROPPED, event.message_id, event, headers)

    async def sweep(self) -> int:
        """Declares the open claims of dead owners unknown and publishes that; answers how many. The records
        themselves come again from the topic and tell it once more."""
        await self.recorded()  # ours are not orphans while their answer is in memory
        claims = await self._claims.sweep(NO_ANSWER_REASON, self._now_ms())
        if claims:
            self._count_unknown(len(claims))
            self._log.warning("messages of a former owner are unknown", messages=len(claims))
            await self._insist(lambda: self._publisher.publish(self._unknown_events(claims)))
        return len(claims)

    def _unknown_events(self, claims: Sequence[Claim]) -> list[Outgoing]:
        events = [submitted_event(settlement_of(claim), self._carrier) for claim in claims]
        return [self._outgoing(event, ()) for event in events]

    async def _insist(self, act: Callable[[], Any]) -> Any:
        """Until it works: what is in hand here must not be forgotten."""
        attempt = 0
        while True:
            try:
                return await act()
            except RetryLaterError as error:
                pause = RETRY_S[min(attempt, len(RETRY_S) - 1)]
                attempt += 1
                self._log.warning("recording waits", error=str(error), attempt=attempt)
                await asyncio.sleep(pause)
