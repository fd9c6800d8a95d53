"""One lane's submit topic into the waiting room, no faster than the carrier takes it.

What holds: a record is seen again after any failure, never skipped. An offset is committed after it and all before it
are finished, that is settled and published. Records of a lost partition are let go; those on the wire are waited for.
The very first start is at the beginning; an offset out of range stops the lane for a person.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from shared.contracts.avro import NotAvroError
from shared.contracts.topics import Lane
from shared.errors import PoisonError, RetryLaterError
from shared.kafka.consumer import Decoder, ensure_offsets, fetch_wait_ms
from shared.kafka.dead_letters import DeadLetterLimit, dead_letter
from shared.kafka.finished import FinishedOffsets
from shared.kafka.publisher import Publisher
from shared.kafka.registry import SchemaIds
from shared.telemetry.logs import logger
from shared.telemetry.metrics import Metrics
from shared.telemetry.traces import header_of

from smpp_connector.domain.waiting_room import Place, Waiting

REVOKE_PATIENCE_S = 20.0  # below the group's rebalance timeout
POLL_MS = 200
FULL_NAP_S = 0.005
KEEP_ALIVE_S = 5.0
MOST_RECORDS = 500


class Partition(Place):
    """A partition of ours: which of its offsets are finished."""

    __slots__ = ("committed", "offsets", "start", "values")

    def __init__(self, tp: TopicPartition, start: int) -> None:
        super().__init__(tp)
        self.start = start
        self.offsets: FinishedOffsets | None = None
        self.committed = -1
        self.values: dict[int, tuple[bytes | None, bytes | None]] = {}

    def take(self, offset: int) -> None:
        if self.offsets is None:
            self.offsets = FinishedOffsets(offset)
        self.offsets.take(offset)

    def finish(self, offset: int) -> None:
        if self.offsets is not None:
            self.offsets.finish(offset)


class Feed:
    """A member of the lane's consumer group while `run` runs."""

    def __init__(
        self,
        *,
        group: str,
        topic: str,
        lane: Lane,
        push: Callable[[Waiting], None],
        leave: Callable[[Place], None],
        waiting: Callable[[], int],
        most_waiting: int,
        bootstrap: str,
        schemas: SchemaIds,
        publisher: Publisher,
        metrics: Metrics,
        commit_every_s: float,
    ) -> None:
        """`waiting()`: records of this lane in the room; above `most_waiting` the partitions pause."""
        self.group, self.topic, self._lane = group, topic, lane
        self._push, self._leave, self._waiting, self._most = push, leave, waiting, most_waiting
        self._bootstrap, self._publisher = bootstrap, publisher
        self._decoder = Decoder(schemas)
        self._commit_every_s = commit_every_s
        self._limit = DeadLetterLimit()
        self._places: dict[TopicPartition, Partition] = {}
        self._consumer: AIOKafkaConsumer | None = None
        self._stopping = asyncio.Event()
        self._commit_lock = asyncio.Lock()
        self._log = logger(group=group)
        self._handled = metrics.counter("relais_records_handled")
        self._dead = metrics.counter("relais_dead_letters")
        self._retries = metrics.counter("relais_retries")
        self._lag = metrics.gauge("relais_consumer_lag")
        self._lag_at = 0.0
        self.ready = False
        self.stuck: str | None = None  # why it waits for a person, if it does

    def stop(self) -> None:
        """Ends `run`: nothing more is read; what is finished by then is committed."""
        self._stopping.set()

    async def run(self) -> None:
        """Until `stop`. Reconnects by itself. May be run again after it has ended."""
        self._stopping.clear()
        pause = 0.2
        while not self._stopping.is_set():
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._bootstrap, group_id=self.group, client_id=self.group, enable_auto_commit=False,
                # `ensure_offsets` saw to the first start, so that an offset out of range is an error and never a jump.
                auto_offset_reset="none", max_poll_records=MOST_RECORDS, fetch_max_wait_ms=fetch_wait_ms([self.topic]),
                session_timeout_ms=10_000, heartbeat_interval_ms=2_000, max_poll_interval_ms=300_000, rebalance_timeout_ms=30_000,
                max_partition_fetch_bytes=512 * 1024, fetch_max_bytes=2 * 1024 * 1024,  # read ahead, so part of the memory
            )  # fmt: skip
            consumer.subscribe([self.topic], listener=_Listener(self, consumer))
            committing: asyncio.Task[None] | None = None
            try:
                await ensure_offsets(self._bootstrap, self.group, [self.topic])
                await consumer.start()
                pause = 0.2
                self._consumer = consumer
                committing = asyncio.create_task(self._commit_often(consumer))
                await self._loop(consumer)
                await self._commit(consumer)
            except (KafkaError, OSError) as error:
                self._log.warning("feed reconnects", error=type(error).__name__)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause * random.uniform(0.8, 1.2))
                pause = min(pause * 2, 5)
            finally:
                self.ready = False
                self._consumer = None
                if committing is not None:
                    committing.cancel()
                for place in self._places.values():
                    self._leave(place)
                self._places.clear()
                with contextlib.suppress(KafkaError, OSError):
                    await consumer.stop()

    async def _loop(self, consumer: AIOKafkaConsumer) -> None:
        while not self._stopping.is_set():
            await self._until_room(consumer)
            before = dict(self._places)
            try:
                found = await consumer.getmany(timeout_ms=POLL_MS, max_records=MOST_RECORDS)
            except (OffsetOutOfRangeError, NoOffsetForPartitionError) as error:
                # Records that were due are gone: only a person may decide to go on without them.
                self.stuck = f"an offset of {self.group} is out of range; see the runbook on lost offsets"
                self._log.error("feed stops: an offset is out of range", error=type(error).__name__)
                await self._stopping.wait()
                return
            self.ready = True
            if found:
                await self._hand_over(consumer, found, before)
            self._measure_lag(consumer)

    async def _until_room(self, consumer: AIOKafkaConsumer) -> None:
        """Returns when the room has space again. Stays a member meanwhile: paused partitions, polls that fetch nothing."""
        if self._waiting() < self._most:
            return
        paused: tuple[TopicPartition, ...] = ()
        polled = time.monotonic()
        while self._waiting() > self._most // 2 and not self._stopping.is_set():
            await asyncio.sleep(FULL_NAP_S)
            if time.monotonic() - polled > KEEP_ALIVE_S:
                polled = time.monotonic()
                with contextlib.suppress(IllegalStateError):
                    paused = tuple(consumer.assignment())
                    consumer.pause(*paused)
                    await consumer.getmany(timeout_ms=0)
                self._measure_lag(consumer)
        with contextlib.suppress(IllegalStateError):
            consumer.resume(*[tp for tp in paused if tp in consumer.assignment()])

    async def _hand_over(
        self,
        consumer: AIOKafkaConsumer,
        found: dict[TopicPartition, list[Any]],
        before: dict[TopicPartition, Partition],
    ) -> None:
        attempt = 0
        raw = [record for records in found.values() for record in records]
        while not self._stopping.is_set():
            try:
                await self._decoder.prepare(raw)
                break
            except RetryLaterError as error:
                attempt += 1
                self._retries.add(1, {"group": self.group})
                self._log.warning("batch waits", error=str(error), attempt=attempt)
                await asyncio.sleep(min(0.2 * 2**attempt, 10))
        else:
            return  # not handed over: read again after the restart
        for tp, records in found.items():
            place = self._places.get(tp)
            if place is None or not place.alive:
                continue  # the next owner reads them
            if before.get(tp) is not place:
                # Polled around a rebalance: whether before or after it, nobody can say. Ours starts at its beginning.
                consumer.seek(tp, place.start)
                continue
            buried: list[tuple[Any, str]] = []
            for record in records:
                place.take(record.offset)
                try:
                    waiting = self._waiting_of(record, place)
                except (NotAvroError, PoisonError) as error:
                    buried.append((record, str(error)))
                    continue
                place.values[record.offset] = (record.key, record.value)
                self._push(waiting)
            if buried:
                await self._bury(place, buried)

    def _waiting_of(self, record: Any, place: Partition) -> Waiting:
        received = self._decoder.decode(record)
        request = received.event
        try:
            UUID(request.message_id)
        except ValueError:
            raise PoisonError("its message_id is no UUID") from None
        if not request.tenant_id or "\0" in request.tenant_id or "," in request.tenant_id:
            raise PoisonError("its tenant_id cannot be stored")
        if not 0 <= request.attempt < 2**31:
            raise PoisonError("its attempt is out of range")
        return Waiting(request, self._lane, place, record.offset, header_of(received.headers))

    async def bury(self, record: Waiting, why: str) -> None:
        """A record that can never be handled: to the dead letters, then finished."""
        place = record.place
        if isinstance(place, Partition):
            key, value = place.values.get(record.offset, (None, None))
            await self._bury(place, [(_Raw(key, value, record.offset), why)])
            place.taken -= 1

    async def _bury(self, place: Partition, poisoned: list[tuple[Any, str]]) -> None:
        tp = place.name
        while self._limit.exceeded(len(poisoned)) and not self._stopping.is_set():
            self.stuck = "so many records fail that the fault must be ours; nothing is skipped until it is mended"
            self._log.error("feed waits: too many dead letters")
            await asyncio.sleep(10)
        self.stuck = None
        letters = [dead_letter(tp.topic, tp.partition, r.offset, r.key, r.value, why, 1) for r, why in poisoned]
        pause = 0.2
        while True:
            try:
                await self._publisher.publish(letters)
                break
            except RetryLaterError:
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5)
        for record, why in poisoned:
            self._dead.add(1, {"topic": tp.topic})
            self._log.error("record buried", topic=tp.topic, partition=tp.partition, offset=record.offset, error=why)
            place.finish(record.offset)
            place.values.pop(record.offset, None)

    def finish(self, records: Iterable[Waiting]) -> None:
        """These are settled and published."""
        count = 0
        for record in records:
            place = record.place
            if isinstance(place, Partition):
                place.taken -= 1
                place.finish(record.offset)
                place.values.pop(record.offset, None)
                count += 1
        if count:
            self._handled.add(count, {"topic": self.topic})

    # Offsets.

    async def _commit_often(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            await asyncio.sleep(self._commit_every_s)
            with contextlib.suppress(KafkaError, OSError):
                await self._commit(consumer)

    async def _commit(self, consumer: AIOKafkaConsumer) -> None:
        async with self._commit_lock:
            offsets = {
                tp: place.offsets.committable
                for tp, place in self._places.items()
                if place.offsets is not None and place.offsets.committable > place.committed
            }
            if not offsets:
                return
            try:
                await consumer.commit(offsets)
            except (
                CommitFailedError,
                IllegalGenerationError,
                UnknownMemberIdError,
                RebalanceInProgressError,
                IllegalStateError,
            ):
                self._log.info("offsets not committed: the group has changed; the next owner repeats the records")
                return
            for tp, offset in offsets.items():
                place = self._places.get(tp)
                if place is not None:
                    place.committed = offset

    async def commit_now(self) -> None:
        """Commits what is finished; what cannot be committed is repeated after the restart."""
        consumer = self._consumer
        if consumer is not None:
            with contextlib.suppress(KafkaError, OSError):
                await self._commit(consumer)

    def _measure_lag(self, consumer: AIOKafkaConsumer) -> None:
        if time.monotonic() - self._lag_at < 1:
            return
        self._lag_at = time.monotonic()
        for tp, place in self._places.items():
            with contextlib.suppress(IllegalStateError, AssertionError):
                end = consumer.highwater(tp)
                if end is not None and place.offsets is not None:
                    labels = {"group": self.group, "topic": tp.topic, "partition": str(tp.partition)}
                    self._lag.set(max(0, end - place.offsets.committable), labels)

    # Rebalances.

    async def revoked(self, consumer: AIOKafkaConsumer, revoked: Iterable[TopicPartition]) -> None:
        """Lets go of what waits, and waits for what is on the wire, so that its offsets are still ours to commit."""
        places = [self._places[tp] for tp in revoked if tp in self._places]
        for place in places:
            self._leave(place)
        until = time.monotonic() + REVOKE_PATIENCE_S
        while any(place.taken for place in places) and time.monotonic() < until:  # noqa: ASYNC110 - rare
            await asyncio.sleep(0.02)
        with contextlib.suppress(KafkaError, OSError):
            await self._commit(consumer)
        for place in places:
            self._places.pop(place.name, None)

    async def assigned(self, consumer: AIOKafkaConsumer, assigned: Iterable[TopicPartition]) -> None:
        for tp in assigned:
            start = await consumer.committed(tp) or 0
            self._places[tp] = Partition(tp, start)


class _Raw:
    __slots__ = ("key", "offset", "value")

    def __init__(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        self.key, self.value, self.offset = key, value, offset


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, owner: Feed, consumer: AIOKafkaConsumer) -> None:
        self._owner, self._consumer = owner, consumer

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self._owner.revoked(self._consumer, set(revoked))

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        await self._owner.assigned(self._consumer, set(assigned))
