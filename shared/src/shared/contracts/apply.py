"""The topics job: makes the topics in Kafka and registers the schemas. Services never do either.

Runs before the services at every deployment; harmless when nothing changed. A topic whose partition count differs from
its declaration is refused: another count is another major version.
"""

import asyncio
import os
from collections.abc import Sequence

import aiohttp
import msgspec
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from shared.contracts.avro import codec_of
from shared.contracts.topics import DAY_MS, TOPICS, Topic
from shared.errors import SettingError

DEAD_RETENTION_MS = 30 * DAY_MS
DEAD_PARTITIONS = 1


def config_of(topic: Topic) -> dict[str, str]:
    """The broker's settings of a topic."""
    config = {"cleanup.policy": "compact" if topic.compacted else "delete", "message.timestamp.type": "CreateTime"}
    config["retention.ms"] = "-1" if topic.retention_ms is None else str(topic.retention_ms)
    if topic.compacted:
        config |= {"min.cleanable.dirty.ratio": "0.1", "delete.retention.ms": str(DAY_MS)}
    return config


def wanted(carriers: Sequence[str], *, production: bool) -> dict[str, tuple[int, dict[str, str]]]:
    """Every concrete topic with its partitions and settings, dead letters included."""
    found: dict[str, tuple[int, dict[str, str]]] = {}
    for topic in TOPICS:
        for name in [topic.named(carrier) for carrier in carriers] if topic.carrier else [topic.name]:
            found[name] = (topic.partitions(production), config_of(topic))
        dead = topic.dead_letters.replace(".{carrier}", "")
        found[dead] = (DEAD_PARTITIONS, {"cleanup.policy": "delete", "retention.ms": str(DEAD_RETENTION_MS)})
    return found


def subjects(carriers: Sequence[str]) -> dict[str, str]:
    """Every subject of the registry with its schema."""
    found = {}
    for topic in TOPICS:
        if topic.changelog:
            continue  # written by Faust in its own format
        for name in [topic.named(carrier) for carrier in carriers] if topic.carrier else [topic.name]:
            found[f"{name}-value"] = codec_of(topic.event).schema_json
    return found


async def make_topics(bootstrap: str, carriers: Sequence[str], *, production: bool, replication: int) -> list[str]:
    """Makes missing topics, corrects settings; answers the names made."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=60_000)
    await admin.start()
    try:
        there = {t["topic"]: len(t["partitions"]) for t in await admin.describe_topics(list(await admin.list_topics()))}
        want = wanted(carriers, production=production)
        for name, (partitions, _) in want.items():
            if name in there and there[name] != partitions:
                raise SettingError(
                    f"topic {name} has {there[name]} partitions and is declared with {partitions}: declare a new major version instead"
                )
        missing = [name for name in want if name not in there]
        new = [NewTopic(name, want[name][0], replication, topic_configs=want[name][1]) for name in missing]
        answer = await admin.create_topics(new) if new else None
        for name, code, *_ in answer.topic_errors if answer is not None else ():
            if code and for_code(code) is not TopicAlreadyExistsError:
                raise SettingError(f"Kafka refuses topic {name}: {for_code(code).__name__}")
        resources = [
            ConfigResource(ConfigResourceType.TOPIC, name, configs=want[name][1]) for name in want if name in there
        ]
        if resources:
            await admin.alter_configs(resources)
        return missing
    finally:
        await admin.close()


async def register(registry: str, carriers: Sequence[str]) -> None:
    """Registers every schema; an incompatible one is refused by the registry with 409."""
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def one(subject: str, schema: str) -> None:
            async with session.post(
                f"{registry}/subjects/{subject}/versions", data=msgspec.json.encode({"schema": schema})
            ) as answer:
                if answer.status == 409:
                    raise SettingError(
                        f"the registry refuses the schema of {subject}: not compatible with what is there"
                    )
                if answer.status != 200:
                    raise SettingError(f"the registry answered {answer.status} for {subject}")

        async with session.put(
            f"{registry}/config", data=msgspec.json.encode({"compatibility": "BACKWARD_TRANSITIVE"})
        ) as answer:
            if answer.status != 200:
                raise SettingError(f"the registry answered {answer.status} when asked for transitive compatibility")
        gate = asyncio.Semaphore(4)

        async def gated(subject: str, schema: str) -> None:
            async with gate:
                await one(subject, schema)

        await asyncio.gather(*(gated(subject, schema) for subject, schema in subjects(carriers).items()))


def _setting(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise SettingError(f"setting {name} is missing")
    return value


async def _main() -> None:
    bootstrap, registry = _setting("RELAIS_KAFKA_BOOTSTRAP"), _setting("RELAIS_REGISTRY_URL").rstrip("/")
    carriers = [c for c in os.environ.get("RELAIS_CARRIERS", "").split(",") if c]
    local = os.environ.get("RELAIS_LOCAL", "").lower() in ("1", "true", "yes")
    try:
        await asyncio.gather(
            make_topics(bootstrap, carriers, production=not local, replication=1 if local else 3),
            register(registry, carriers),
        )
    except (KafkaError, aiohttp.ClientError, OSError) as error:
        raise SettingError(f"the topics job cannot reach Kafka or the registry: {type(error).__name__}") from error


def main() -> None:
    asyncio.run(_main())
