"""Follows a compacted topic into memory: every replica reads all of it, from the beginning, and stays up to date.

`age_s` says how old the picture is: what must not act on old news (promise 4) asks it first.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared.contracts.avro import NotAvroError
from shared.errors import RetryLaterError
from shared.kafka.consumer import Decoder
from shared.kafka.places import places_of
from shared.kafka.registry import SchemaIds
from shared.telemetry.logs import logger

FETCH_MS = 400  # how long the brokers may sit on a question with no news; what is new ends the wait at once
POLL_MS = 250


class Follower:
    """Calls `apply(events)` for everything on the topics, in each partition's order."""

    def __init__(
        self,
        *,
        topics: Sequence[str],
        apply: Callable[[list[Any]], None],
        bootstrap: str,
        schemas: SchemaIds,
        name: str,
    ) -> None:
        self._topics, self._apply, self._bootstrap = tuple(topics), apply, bootstrap
        self._decoder = Decoder(schemas)
        self._log = logger(follower=name)
        self._fresh_at: float | None = None

    def age_s(self) -> float:
        """Seconds since the picture was known to be complete; infinite before the first time."""
        return float("inf") if self._fresh_at is None else time.monotonic() - self._fresh_at

    @property
    def caught_up(self) -> bool:
        """True once everything that was there at the start has been applied."""
        return self._fresh_at is not None

    async def run(self) -> None:
        """Until cancelled. Starts over from the beginning after a lost connection: applying twice does no harm."""
        while True:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._bootstrap,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                fetch_max_wait_ms=FETCH_MS,
            )
            try:
                await consumer.start()
                await self._loop(consumer)
            except (KafkaError, OSError, RetryLaterError) as error:
                self._log.warning("follower reconnects", error=type(error).__name__)
                await asyncio.sleep(0.5)
            finally:
                with contextlib.suppress(KafkaError, OSError):
                    await consumer.stop()

    async def _loop(self, consumer: AIOKafkaConsumer) -> None:
        places = await places_of(self._bootstrap, self._topics)
        consumer.assign(places)
        begin = await consumer.beginning_offsets(places)
        reached = dict(begin)
        for tp, offset in begin.items():
            consumer.seek(tp, offset)
        while True:
            for tp, records in (await consumer.getmany(timeout_ms=POLL_MS, max_records=5000)).items():
                await self._decoder.prepare(records)
                events = []
                for record in records:
                    try:
                        events.append(self._decoder.decode(record).event)
                    except NotAvroError as error:
                        self._log.error("record passed over", topic=tp.topic, offset=record.offset, error=str(error))
                self._apply(events)
                reached[tp] = records[-1].offset + 1
            await self._look(consumer, places, reached)

    async def _look(
        self, consumer: AIOKafkaConsumer, places: list[TopicPartition], reached: dict[TopicPartition, int]
    ) -> None:
        """Every answer to a fetch, an empty one too, says where the partition ended at that moment: no need to ask."""
        complete_at = time.time() * 1000
        for tp in places:
            end, answered_ms = consumer.highwater(tp), consumer.last_poll_timestamp(tp)
            if end is None or answered_ms is None:
                return
            # Compaction can leave nothing before the end to read, so the consumer's own position counts as well.
            if max(reached[tp], await consumer.position(tp)) < end:
                return
            complete_at = min(complete_at, answered_ms)
        age = max(0.0, time.time() - complete_at / 1000)
        self._fresh_at = max(self._fresh_at or 0.0, time.monotonic() - age)
