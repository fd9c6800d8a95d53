"""Which records make one batch: a poll's while there are few, and under load those that belong together."""

import asyncio
import time
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

POLL_MS = 500
NAP_S = 0.05
BUSY = 500  # records in one poll: so many mean load, and only under load is a batch gathered from several polls

Found = dict[TopicPartition, list[Any]]


async def gather(consumer: AIOKafkaConsumer, share: int, gather_s: float, stopping: asyncio.Event) -> Found:
    """Up to `share` records of each partition. Returns when one has given its share, or `gather_s` is over, or there
    are few.

    The client hands over whole partitions one by one, thousands of records of each. Asked for each, no topic runs
    ahead of another, so that a message's records meet in one batch though each travels on its own topic.
    """
    found: Found = await consumer.getmany(timeout_ms=POLL_MS, max_records=share)
    started = time.monotonic()
    while found:
        for tp in consumer.assignment():
            if (room := share - len(found.get(tp, ()))) > 0:
                for records in (await consumer.getmany(tp, timeout_ms=0, max_records=room)).values():
                    found.setdefault(tp, []).extend(records)
        counts = [len(records) for records in found.values()]
        left = gather_s - (time.monotonic() - started)
        if sum(counts) < BUSY or max(counts) >= share or left <= 0 or stopping.is_set():
            break
        await asyncio.sleep(min(left, NAP_S))
    return found


def until_rested_s(found: Found, rest_s: float, now_s: float) -> float:
    """Seconds until the youngest record is `rest_s` old; a producer's clock that runs ahead makes it no longer."""
    youngest: int = max(records[-1].timestamp for records in found.values())
    return max(0.0, min(youngest / 1000 + rest_s - now_s, rest_s))
