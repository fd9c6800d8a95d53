"""How much released marketing still waits in the topics between the segmenter and the carriers."""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from shared.contracts.topics import Lane, prepared, returned, submit
from shared.telemetry.logs import logger

from router.domain.credit import lag_of

REFRESH_S = 0.5
TRUSTED_S = 5.0  # an older figure says nothing


def bulk_groups(carriers: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Consumer group to the topics in which marketing waits for it."""
    groups: dict[str, tuple[str, ...]] = {"router.bulk": (prepared(Lane.BULK).name, returned(Lane.BULK).name)}
    for carrier in carriers:
        groups[f"smpp-connector.{carrier}.bulk"] = (submit(Lane.BULK).named(carrier),)
    return groups


class Backlog:
    """`waits` is refreshed by `run`; None while it is not known."""

    def __init__(self, bootstrap: str, carriers: Sequence[str]) -> None:
        self._bootstrap, self._groups = bootstrap, bulk_groups(carriers)
        self._log = logger(part="backlog")
        self._waits, self._at = 0, float("-inf")

    @property
    def waits(self) -> int | None:
        return self._waits if time.monotonic() - self._at < TRUSTED_S else None

    async def run(self) -> None:
        while True:
            admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap, request_timeout_ms=5_000)
            reader = AIOKafkaConsumer(bootstrap_servers=self._bootstrap, request_timeout_ms=5_000)
            try:
                await admin.start()
                await reader.start()
                while True:
                    self._waits = await self._measure(admin, reader)
                    self._at = time.monotonic()
                    await asyncio.sleep(REFRESH_S)
            except (KafkaError, OSError, TimeoutError) as error:
                self._log.warning("backlog is not measured", error=type(error).__name__)
                await asyncio.sleep(1)
            finally:
                with contextlib.suppress(KafkaError, OSError):
                    await admin.close()
                with contextlib.suppress(KafkaError, OSError):
                    await reader.stop()

    async def _measure(self, admin: AIOKafkaAdminClient, reader: AIOKafkaConsumer) -> int:
        places = await self._places(admin)
        every = [place for found in places.values() for place in found]
        # Committed offsets are asked first: what is consumed in between then counts as waiting, never as gone.
        committed = await asyncio.gather(*(self._committed(admin, group, found) for group, found in places.items()))
        begin, end = await reader.beginning_offsets(every), await reader.end_offsets(every)
        return sum(
            lag_of(offsets, begin, {place: end[place] for place in found})
            for offsets, found in zip(committed, places.values(), strict=True)
        )

    async def _places(self, admin: AIOKafkaAdminClient) -> Mapping[str, list[TopicPartition]]:
        topics = [topic for found in self._groups.values() for topic in found]
        told = {
            t["topic"]: [p["partition"] for p in t["partitions"]]
            for t in await admin.describe_topics(topics)
        }  # fmt: skip
        return {
            group: [TopicPartition(topic, partition) for topic in found for partition in told.get(topic, ())]
            for group, found in self._groups.items()
        }

    @staticmethod
    async def _committed(admin: AIOKafkaAdminClient, group: str, places: list[TopicPartition]) -> dict[object, int]:
        found = await admin.list_consumer_group_offsets(group, partitions=places)
        return {place: told.offset for place, told in found.items()}
