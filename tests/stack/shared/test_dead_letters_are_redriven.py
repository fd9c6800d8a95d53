"""Dead letters on a real broker: listed with their errors, sent back once, or let go; each time with a mark of who and why."""

import asyncio
import uuid

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from console.cli import app
from shared.clock import now_ms
from shared.contracts.avro import codec_of
from shared.contracts.events import ContactErased
from shared.contracts.topics import ERASED
from shared.kafka.dead_letters import dead_letter, dead_topic
from shared.kafka.redrive import DeadLetters, Waiting
from shared.kafka.registry import SchemaIds
from support.parts import Parts
from typer.testing import CliRunner

pytestmark = pytest.mark.stack
DEAD = dead_topic(ERASED.name)
PLACES = [TopicPartition(ERASED.name, 0), TopicPartition(ERASED.name, 1)]


async def bury(parts: Parts, letters: int, error: str) -> list[bytes]:
    """Letters from both partitions, with keys of their own. What they hold is good by now: whoever else listens to the
    topic takes it, and buries nothing again."""
    keys = [uuid.uuid4().hex.encode() for _ in range(letters)]
    schemas = SchemaIds(parts.registry_url)
    await schemas.load_topics([ERASED.name])
    await schemas.close()
    event = ContactErased(event_id="erased", tenant_id="nobody", occurred_at=now_ms(), contact_ref="gone")
    value = codec_of(ContactErased).encode(event, schemas.id_for(ERASED.name))
    producer = AIOKafkaProducer(bootstrap_servers=parts.bootstrap)
    await producer.start()
    try:
        for number, key in enumerate(keys):
            out = dead_letter(ERASED.name, number % 2, number, key, value, error, 3)
            await producer.send_and_wait(out.topic, out.value, key=out.key, headers=list(out.headers))
    finally:
        await producer.stop()
    return keys


@pytest_asyncio.fixture(loop_scope="session")
async def alone(parts: Parts) -> Parts:
    """The brokers are shared: what other tests buried on this topic is let go first."""
    async with DeadLetters(parts.bootstrap) as letters:
        await letters.discard(DEAD, by="the suite", why="left by another test")
    return parts


async def sent_back(parts: Parts, keys: list[bytes]) -> list[tuple[bytes, int]]:
    """The records of these keys on the origin's topic: key and partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=parts.bootstrap)
    await consumer.start()
    found = []
    try:
        consumer.assign(PLACES)
        await consumer.seek_to_beginning(*PLACES)
        ends = await consumer.end_offsets(PLACES)
        while any([await consumer.position(place) < ends[place] for place in PLACES]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += [(r.key, r.partition) for r in records if r.key in keys]
    finally:
        await consumer.stop()
    return found


async def looked(parts: Parts) -> Waiting:
    async with DeadLetters(parts.bootstrap) as letters:
        return next(found for found in await letters.waiting() if found.topic == DEAD)


async def test_letters_go_back_once_to_the_partitions_they_came_from_and_leave_a_mark(alone: Parts) -> None:
    keys = await bury(alone, 4, "UnicodeDecodeError")
    found = await looked(alone)
    assert (found.letters, found.errors) == (4, {"UnicodeDecodeError": 4})
    assert found.oldest is not None
    async with DeadLetters(alone.bootstrap) as letters:
        assert await letters.redrive(DEAD, by="ann", why="the decoder is mended") == 4
        assert await letters.redrive(DEAD, by="ann", why="again") == 0
    assert sorted(await sent_back(alone, keys)) == sorted((key, n % 2) for n, key in enumerate(keys))
    after = await looked(alone)
    assert after.letters == 0
    [mark] = [mark for mark in after.marks if mark.by == "ann"]
    assert (mark.action, mark.letters, mark.why) == ("redriven", 4, "the decoder is mended")


async def test_letters_that_were_let_go_come_back_by_no_redrive(alone: Parts) -> None:
    keys = await bury(alone, 2, "too old")
    async with DeadLetters(alone.bootstrap) as letters:
        assert await letters.discard(DEAD, by="bob", why="a year old") == 2
        assert await letters.redrive(DEAD, by="bob", why="never") == 0
        with pytest.raises(KeyError):
            await letters.redrive(ERASED.name, by="bob", why="not a dead-letter topic")
    assert await sent_back(alone, keys) == []


def test_the_command_refuses_a_topic_that_is_none_and_kafka_that_does_not_answer() -> None:
    for arguments in (
        ["dead", "redrive", ERASED.name, "--bootstrap", "127.0.0.1:1", "--why", "x", "--by", "ann"],
        ["dead", "list", "--bootstrap", "127.0.0.1:1"],
    ):
        told = CliRunner().invoke(app, arguments)
        assert told.exit_code == 1
        assert "Kafka does not answer" in told.output


async def test_the_command_lists_what_waits(alone: Parts) -> None:
    await bury(alone, 1, "ValueError: no such tenant")
    wide = CliRunner(env={"COLUMNS": "200"})
    told = await asyncio.to_thread(wide.invoke, app, ["dead", "list", "--bootstrap", alone.bootstrap])
    assert told.exit_code == 0, told.output
    assert "no such tenant" in told.output
    async with DeadLetters(alone.bootstrap) as letters:
        await letters.discard(DEAD, by="ann", why="of a test")
