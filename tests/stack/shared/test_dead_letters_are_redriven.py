"""Dead letters on a real broker: listed with their errors, sent back once, or let go; each time with a mark of who and why."""

import asyncio
import uuid

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from console.cli import app
from shared.contracts.topics import ERASED
from shared.kafka.dead_letters import dead_letter, dead_topic
from shared.kafka.redrive import DeadLetters, Waiting
from support.parts import Parts
from typer.testing import CliRunner

pytestmark = pytest.mark.stack
DEAD = dead_topic(ERASED.name)
PLACES = [TopicPartition(ERASED.name, 0), TopicPartition(ERASED.name, 1)]


async def bury(parts: Parts, letters: int, error: str) -> list[bytes]:
    """Letters whose content is poison to everyone and whose keys are random, from both partitions."""
    keys = [uuid.uuid4().hex.encode() for _ in range(letters)]
    producer = AIOKafkaProducer(bootstrap_servers=parts.bootstrap)
    await producer.start()
    try:
        for number, key in enumerate(keys):
            out = dead_letter(ERASED.name, number % 2, number, key, b"poison", error, 3)
            await producer.send_and_wait(out.topic, out.value, key=out.key, headers=list(out.headers))
    finally:
        await producer.stop()
    return keys


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
                found += [(r.key, r.partition) for r in records if r.key in keys and r.value == b"poison"]
    finally:
        await consumer.stop()
    return found


async def looked(parts: Parts) -> Waiting:
    async with DeadLetters(parts.bootstrap) as letters:
        return next(found for found in await letters.waiting() if found.topic == DEAD)


async def test_letters_go_back_once_to_the_partitions_they_came_from_and_leave_a_mark(parts: Parts) -> None:
    keys = await bury(parts, 4, "UnicodeDecodeError")
    found = await looked(parts)
    assert (found.letters, found.errors) == (4, {"UnicodeDecodeError": 4})
    assert found.oldest is not None
    async with DeadLetters(parts.bootstrap) as letters:
        assert await letters.redrive(DEAD, by="ann", why="the decoder is mended") == 4
        assert await letters.redrive(DEAD, by="ann", why="again") == 0
    assert sorted(await sent_back(parts, keys)) == sorted((key, n % 2) for n, key in enumerate(keys))
    after = await looked(parts)
    assert after.letters == 0
    [mark] = [mark for mark in after.marks if mark.by == "ann"]
    assert (mark.action, mark.letters, mark.why) == ("redriven", 4, "the decoder is mended")


async def test_letters_that_were_let_go_come_back_by_no_redrive(parts: Parts) -> None:
    keys = await bury(parts, 2, "too old")
    async with DeadLetters(parts.bootstrap) as letters:
        assert await letters.discard(DEAD, by="bob", why="a year old") == 2
        assert await letters.redrive(DEAD, by="bob", why="never") == 0
        with pytest.raises(KeyError):
            await letters.redrive(ERASED.name, by="bob", why="not a dead-letter topic")
    assert await sent_back(parts, keys) == []


def test_the_command_refuses_a_topic_that_is_none_and_kafka_that_does_not_answer() -> None:
    for arguments in (
        ["dead", "redrive", ERASED.name, "--bootstrap", "127.0.0.1:1", "--why", "x", "--by", "ann"],
        ["dead", "list", "--bootstrap", "127.0.0.1:1"],
    ):
        told = CliRunner().invoke(app, arguments)
        assert told.exit_code == 1
        assert "Kafka does not answer" in told.output


async def test_the_command_lists_what_waits(parts: Parts) -> None:
    await bury(parts, 1, "ValueError: no such tenant")
    wide = CliRunner(env={"COLUMNS": "200"})
    told = await asyncio.to_thread(wide.invoke, app, ["dead", "list", "--bootstrap", parts.bootstrap])
    assert told.exit_code == 0, told.output
    assert "no such tenant" in told.output
    async with DeadLetters(parts.bootstrap) as letters:
        await letters.discard(DEAD, by="ann", why="of a test")
