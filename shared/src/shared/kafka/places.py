"""Which partitions topics have, asked of the brokers; waits for the topics job where a topic is not there yet."""

import asyncio
from collections.abc import Sequence

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

ASK_EVERY_S = 0.3


async def places_of(bootstrap: str, topics: Sequence[str]) -> list[TopicPartition]:
    """Every partition of the topics, in order. KafkaError while the brokers are away."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        while True:
            found = {
                t["topic"]: t["partitions"] for t in await admin.describe_topics(list(topics)) if not t["error_code"]
            }
            if all(found.get(topic) for topic in topics):
                return [TopicPartition(t, p) for t in topics for p in sorted(p["partition"] for p in found[t])]
            await asyncio.sleep(ASK_EVERY_S)
    finally:
        await admin.close()
