"""The consumer shell: poll a batch, hand it over, commit when its effects are durable.

What holds: a handler sees a record again after any failure, never skips one. An offset is committed after `handle`
returned. RetryLaterError: the same batch again, with backoff, the partitions paused. Any other error: the batch is
handled record by record, and those that fail alone go to the dead letters. A rebalance never ends the process.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

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
from opentelemetry.trace import Tracer

from shared.contracts.avro import NotAvroError, codec_of
from shared.contracts.topics import topic_of
from shared.errors import PoisonError, RetryLaterError
from shared.kafka.dead_letters import DeadLetterLimit, dead_letter
from shared.kafka.gather import POLL_MS, gather, until_rested_s
from shared.kafka.group_errors import mend
from shared.kafka.places import places_of
from shared.kafka.publisher import Publisher
from shared.kafka.registry import SchemaIds
from shared.telemetry.logs import logger
from shared.telemetry.metrics import Metrics
from shared.telemetry.traces import Headers, batch_span

mend()  # before the first consumer is made, wherever it is made

BACKOFF_S = (0.1, 0.3, 1.0, 3.0, 10.0)
REVOKE_PATIENCE_S = 20.0  # below the group's rebalance timeout
LINGER_BYTES = 256 * 1024  # what ends the wait of a batch that may linger


def fetch_wait_ms(topics: Iterable[str]) -> int:
    """How long the brokers may sit on a question with no news; what is new ends the wait at once. An idle stack costs
    mostly these questions. The client asks for a partition that it has drained only after the last answer, so that a
    record can wait that long behind other partitions' silence: not where one-time codes travel."""
    return 100 if any(".now." in topic for topic in topics) else 500


class Received(NamedTuple):
    """A decoded record."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    timestamp: int
    headers: Headers
    event: Any


class BatchHandler(Protocol):
    async def handle(self, batch: Sequence[Received]) -> None:
        """Makes the batch's effects durable. May be called again with any of its records, in any grouping that
        keeps each partition's order."""


class Decoder:
    """Records to events; fetches the writer schemas a batch needs first."""

    def __init__(self, schemas: SchemaIds) -> None:
        self._schemas = schemas
        self._codecs: dict[str, Any] = {}

    async def prepare(self, records: Sequence[Any]) -> None:
        """RetryLaterError when an unknown schema id cannot be looked up now."""
        ids = {
            int.from_bytes(r.value[1:5], "big")
            for r in records
            if r.value is not None and len(r.value) > 5 and r.value[0] == 0
        }
        if self._schemas.unknown(ids):
            await self._schemas.load_writers(ids)

    def decode(self, record: Any) -> Received:
        """NotAvroError when the record is not what its topic carries."""
        codec = self._codecs.get(record.topic)
        if codec is None:
            codec = self._codecs[record.topic] = codec_of(topic_of(record.topic).event)
        if record.value is None:
            raise NotAvroError("a tombstone, which no topic here carries")
        try:
            event = codec.decode(record.value, self._schemas.writer_of)
        except KeyError as error:
            raise NotAvroError("a schema id that the registry does not know") from error
        return Received(
            record.topic, record.partition, record.offset, record.key, record.timestamp, tuple(record.headers), event
        )


class BatchConsumer:
    """Runs one consumer group member over some topics."""

    def __init__(
        self,
        *,
        group: str,
        topics: Sequence[str],
        handler: BatchHandler,
        bootstrap: str,
        schemas: SchemaIds,
        publisher: Publisher,
        metrics: Metrics,
        tracer: Tracer,
        max_records: int = 2000,
        linger_ms: int = 0,
        gather_ms: int = 0,
        share: int | None = None,
        rest_ms: int = 0,
    ) -> None:
        """`linger_ms`: how long a small batch may wait for company; it trades latency for fewer transactions.
        `gather_ms`: under load a batch is gathered that long and takes at most `share` records of each partition, so
        that records which belong together meet in it, though they come from several topics.
        `rest_ms`: no record is handled before it is so old: for topics whose news others mostly tell meanwhile."""
        self.group, self.topics = group, tuple(topics)
        self._handler, self._publisher = handler, publisher
        self._bootstrap, self._max_records, self._linger_ms = bootstrap, max_records, linger_ms
        self._gather_s, self._rest_s, self._share = gather_ms / 1000, rest_ms / 1000, share
        self._decoder, self._tracer = Decoder(schemas), tracer
        self._limit = DeadLetterLimit()
        self._log = logger(group=group)
        self._handled = metrics.counter("relais_records_handled")
        self._dead = metrics.counter("relais_dead_letters")
        self._retries = metrics.counter("relais_retries")
        self._seconds = metrics.histogram("relais_batch_seconds")
        self._lag = metrics.gauge("relais_consumer_lag")
        self._lag_at = 0.0
        self._busy = asyncio.Lock()
        self._owned: set[TopicPartition] = set()
        self._stopping = asyncio.Event()
        self.ready = False
        self.stuck: str | None = None  # why it waits for a person, if it does

    def stop(self) -> None:
        """Ends `run` after the batch in hand."""
        self._stopping.set()

    async def run(self) -> None:
        """Until `stop`. Reconnects by itself."""
        pause = 0.2
        while not self._stopping.is_set():
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._bootstrap, group_id=self.group, client_id=self.group, enable_auto_commit=False,
                # `ensure_offsets` saw to the first start, so that an offset out of range is an error and never a jump.
                auto_offset_reset="none", max_poll_records=self._max_records,
                # A batch that may wait for company waits at the broker, which answers once instead of many times.
                fetch_max_wait_ms=self._linger_ms or fetch_wait_ms(self.topics), fetch_min_bytes=LINGER_BYTES if self._linger_ms else 1,
                session_timeout_ms=10_000, heartbeat_interval_ms=2_000, max_poll_interval_ms=300_000, rebalance_timeout_ms=30_000,
                max_partition_fetch_bytes=2 * 1024 * 1024,
            )  # fmt: skip
            consumer.subscribe(list(self.topics), listener=_Listener(self))
            try:
                await ensure_offsets(self._bootstrap, self.group, self.topics)
                await consumer.start()
                pause = 0.2
                await self._loop(consumer)
            except (KafkaError, OSError) as error:
                self._log.warning("consumer reconnects", error=type(error).__name__)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause)
                pause = min(pause * 2, 5)
            finally:
                self.ready = False
                with contextlib.suppress(KafkaError, OSError):
                    await consumer.stop()

    async def _loop(self, consumer: AIOKafkaConsumer) -> None:
        while not self._stopping.is_set():
            try:
                found = await self._poll(consumer)
            except (OffsetOutOfRangeError, NoOffsetForPartitionError) as error:
                # Records that were due are gone: only a person may decide to go on without them.
                self.stuck = f"an offset of {self.group} is out of range; see the runbook on lost offsets"
                self._log.error("consumer stops: an offset is out of range", error=str(type(error).__name__))
                await self._stopping.wait()
                return
            self.ready = True
            if not found:
                continue
            if self._rest_s and (wait := until_rested_s(found, self._rest_s, time.time())):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), wait)
            await self._until_done(consumer, found)

    async def _poll(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, list[Any]]:
        if self._share is not None:
            return await gather(consumer, self._share, self._gather_s, self._stopping)
        found: dict[TopicPartition, list[Any]] = await consumer.getmany(
            timeout_ms=POLL_MS, max_records=self._max_records
        )
        return found

    async def _until_done(self, consumer: AIOKafkaConsumer, found: dict[TopicPartition, list[Any]]) -> None:
        attempt = 0
        while not self._stopping.is_set() or attempt == 0:
            async with self._busy:
                found = {tp: records for tp, records in found.items() if tp in self._owned}
                if not found:
                    return
                started = time.monotonic()
                try:
                    await self._handle(found, attempt)
                except RetryLaterError as error:
                    trouble = error
                else:
                    await self._commit(consumer, found)
                    self._seconds.record(time.monotonic() - started, {"group": self.group})
                    self._measure_lag(consumer)
                    return
            attempt += 1
            self._retries.add(1, {"group": self.group})
            pause = trouble.after_s or BACKOFF_S[min(attempt, len(BACKOFF_S)) - 1] * random.uniform(0.8, 1.2)
            self._log.warning("batch waits", error=str(trouble), attempt=attempt, pause_s=round(pause, 2))
            await self._wait_paused(consumer, pause)

    async def _wait_paused(self, consumer: AIOKafkaConsumer, pause: float) -> None:
        """Waits while staying a member: paused partitions, and polls that fetch nothing."""
        until = time.monotonic() + pause
        while (left := until - time.monotonic()) > 0 and not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), min(left, 30))
        paused = consumer.assignment()
        try:
            consumer.pause(*paused)
            await consumer.getmany(timeout_ms=0)
            consumer.resume(*[tp for tp in paused if tp in consumer.assignment()])
        except IllegalStateError:
            pass  # a rebalance came in between; the new assignment starts unpaused

    async def _handle(self, found: dict[TopicPartition, list[Any]], attempt: int) -> None:
        raw = [record for records in found.values() for record in records]
        await self._decoder.prepare(raw)
        batch: list[Received] = []
        poisoned: list[tuple[Any, str]] = []
        for record in raw:
            try:
                batch.append(self._decoder.decode(record))
            except NotAvroError as error:
                poisoned.append((record, str(error)))
        if batch:
            poisoned += await self._call(batch, raw)
        if poisoned:
            await self._bury(poisoned, attempt)
        for tp, records in found.items():
            self._handled.add(len(records), {"topic": tp.topic})

    async def _call(self, batch: list[Received], raw: list[Any]) -> list[tuple[Any, str]]:
        with batch_span(self._tracer, f"handle {self.group}", (r.headers for r in batch)):
            try:
                await self._handler.handle(batch)
                return []
            except RetryLaterError:
                raise
            except Exception as error:
                if not isinstance(error, PoisonError):
                    self._log.exception("batch failed; its records are tried one by one", records=len(batch))
            by_place = {(r.topic, r.partition, r.offset): r for r in raw}
            poisoned = []
            for received in batch:
                try:
                    await self._handler.handle([received])
                except RetryLaterError:
                    raise
                except Exception as error:
                    why = str(error) if isinstance(error, PoisonError) else f"{type(error).__name__} in the handler"
                    poisoned.append((by_place[received.topic, received.partition, received.offset], why))
            return poisoned

    async def _bury(self, poisoned: list[tuple[Any, str]], attempt: int) -> None:
        if self._limit.exceeded(len(poisoned)):
            self.stuck = "so many records fail that the fault must be ours; nothing is skipped until it is mended"
            raise RetryLaterError(self.stuck, after_s=10)
        self.stuck = None
        await self._publisher.publish(
            dead_letter(r.topic, r.partition, r.offset, r.key, r.value, why, attempt + 1) for r, why in poisoned
        )
        for record, why in poisoned:
            self._dead.add(1, {"topic": record.topic})
            self._log.error(
                "record buried", topic=record.topic, partition=record.partition, offset=record.offset, error=why
            )

    async def _commit(self, consumer: AIOKafkaConsumer, found: dict[TopicPartition, list[Any]]) -> None:
        offsets = {tp: records[-1].offset + 1 for tp, records in found.items() if tp in self._owned}
        try:
            await consumer.commit(offsets)
        except (
            CommitFailedError,
            IllegalGenerationError,
            UnknownMemberIdError,
            RebalanceInProgressError,
            IllegalStateError,
        ):
            self._log.info("offsets not committed: the group has changed; the next owner repeats the batch")

    def _measure_lag(self, consumer: AIOKafkaConsumer) -> None:
        if time.monotonic() - self._lag_at < 1:
            return
        self._lag_at = time.monotonic()
        for tp in self._owned:
            with contextlib.suppress(IllegalStateError, AssertionError):
                end, state = consumer.highwater(tp), consumer._subscription.subscription.assignment.state_value(tp)
                if end is not None and state.has_valid_position:
                    labels = {"group": self.group, "topic": tp.topic, "partition": str(tp.partition)}
                    self._lag.set(max(0, end - state.position), labels)

    async def _revoked(self, revoked: set[TopicPartition]) -> None:
        """Lets the batch in hand finish and commit before the partitions go."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REVOKE_PATIENCE_S):
                await self._busy.acquire()
                self._busy.release()
        self._owned -= revoked

    async def _assigned(self, assigned: set[TopicPartition]) -> None:
        self._owned |= assigned


async def ensure_offsets(bootstrap: str, group: str, topics: Sequence[str]) -> None:
    """Commits the beginning for partitions where the group has committed nothing yet: its very first start.

    Only so can `auto_offset_reset` be `none`: afterwards an offset out of range is an error, never a silent jump.
    Such a commit is refused while the group has members, but members have all been through here.
    """
    places = await places_of(bootstrap, topics)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=group, client_id=f"{group}.first", enable_auto_commit=False
    )
    try:
        await consumer.start()
        consumer.assign(places)
        missing = [tp for tp in places if await consumer.committed(tp) is None]
        if missing:
            await consumer.commit(await consumer.beginning_offsets(missing))
    finally:
        await consumer.stop()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, owner: BatchConsumer) -> None:
        self._owner = owner

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self._owner._revoked(set(revoked))

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        await self._owner._assigned(set(assigned))
