"""Reads what was prepared lately from its topics, beside the consumers and without a group: for `what if`."""

import asyncio
from collections.abc import AsyncIterator

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from shared.contracts.avro import NotAvroError
from shared.contracts.events import MessagePrepared
from shared.contracts.topics import Lane, prepared
from shared.errors import RetryLaterError
from shared.kafka.consumer import Decoder
from shared.kafka.places import places_of
from shared.kafka.registry import SchemaIds


class PreparedLog:
    def __init__(self, bootstrap: str, schemas: SchemaIds) -> None:
        self._bootstrap, self._schemas = bootstrap, schemas

    async def since(self, moment: int, limit: int) -> AsyncIterator[MessagePrepared]:
        """Messages prepared from `moment` (ms) until now, at most `limit`. Other work gets its turns in between."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap, enable_auto_commit=False)
        decoder = Decoder(self._schemas)
        try:
            await consumer.start()
            places = await places_of(self._bootstrap, [prepared(lane).name for lane in Lane])
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            found = await consumer.offsets_for_times(dict.fromkeys(places, moment))
            open_ones = set()
            for place in places:
                start = found.get(place)
                if start is not None and start.offset < ends[place]:
                    consumer.seek(place, start.offset)
                    open_ones.add(place)
                else:
                    consumer.pause(place)
            left = limit
            while open_ones and left > 0:
                for place, records in (await consumer.getmany(timeout_ms=500, max_records=500)).items():
                    await decoder.prepare(records)
                    for record in records:
                        if record.offset >= ends[place] or left <= 0:
                            break
                        left -= 1
                        try:
                            yield decoder.decode(record).event
                        except NotAvroError:
                            continue
                    if records[-1].offset + 1 >= ends[place]:
                        open_ones.discard(place)
                        consumer.pause(place)
                    await asyncio.sleep(0)
                for place in list(open_ones):
                    if await consumer.position(place) >= ends[place]:
                        open_ones.discard(place)
        except (KafkaError, OSError) as error:
            raise RetryLaterError(f"the log cannot be read: {type(error).__name__}") from error
        finally:
            await consumer.stop()
