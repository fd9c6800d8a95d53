"""The Kafka parts of one service, made in one place: schema ids, publisher, consumers and followers share them."""

from collections.abc import Callable, Sequence
from typing import Any

from shared.contracts.topics import TOPICS, Topic, topic_of
from shared.errors import UndeclaredError
from shared.kafka.consumer import BatchConsumer, BatchHandler
from shared.kafka.dead_letters import dead_topic
from shared.kafka.follower import Follower
from shared.kafka.publisher import Publisher
from shared.kafka.registry import SchemaIds
from shared.service import Service


class KafkaShell:
    """What a composition root uses. `service` is the declared name of a producer or consumer, as in `topics.py`."""

    def __init__(self, root: Service, service: str, *, carriers: Sequence[str] = ()) -> None:
        """`carriers`: those whose submit topics this process may use: the router all of them, a connector its own."""
        self.root, self.service, self.carriers = root, service, tuple(carriers)
        settings = root.settings
        self.schemas = SchemaIds(settings.registry_url)
        produced = self._names([t for t in TOPICS if service in t.producers and not t.changelog])
        dead = {dead_topic(name) for name in self._names([t for t in TOPICS if service in t.consumers])}
        self.publisher = Publisher(
            settings.kafka_bootstrap, self.schemas, [*produced, *dead], root.metrics, client_id=settings.service_name
        )
        root.starts(self.publisher.start, self.publisher.close)
        root.starts(_nothing, self.schemas.close)

    def _names(self, topics: Sequence[Topic]) -> list[str]:
        names: list[str] = []
        for topic in topics:
            names += [topic.named(c) for c in self.carriers] if topic.carrier else [topic.name]
        return names

    def _check(self, topics: Sequence[str]) -> None:
        for name in topics:
            if self.service not in topic_of(name).consumers:
                raise UndeclaredError(
                    f"{self.service} is not declared as a consumer of {name}: see shared/contracts/topics.py"
                )

    def consume(
        self,
        group: str,
        topics: Sequence[str],
        handler: BatchHandler,
        *,
        max_records: int = 2000,
        linger_ms: int = 0,
        gather_ms: int = 0,
        share: int | None = None,
        rest_ms: int = 0,
    ) -> BatchConsumer:
        """A consumer group's member as a task of the service. The service is ready when it has polled."""
        self._check(topics)
        settings = self.root.settings
        consumer = BatchConsumer(
            group=group, topics=topics, handler=handler, bootstrap=settings.kafka_bootstrap, schemas=self.schemas,
            publisher=self.publisher, metrics=self.root.metrics, tracer=self.root.tracer, max_records=max_records, linger_ms=linger_ms,
            gather_ms=gather_ms, share=share, rest_ms=rest_ms,
        )  # fmt: skip
        self.root.task(f"consume {group}", consumer.run, consumer.stop)
        self.root.ready_when(f"consumer {group}", lambda: consumer.ready and consumer.stuck is None)
        return consumer

    def follow(self, name: str, topics: Sequence[str], apply: Callable[[list[Any]], None]) -> Follower:
        """A compacted topic in memory, as a task of the service."""
        self._check(topics)
        follower = Follower(
            topics=topics, apply=apply, bootstrap=self.root.settings.kafka_bootstrap, schemas=self.schemas, name=name
        )
        self.root.task(f"follow {name}", follower.run)
        self.root.ready_when(f"follower {name}", lambda: follower.caught_up)
        return follower


async def _nothing() -> None:
    return None
