"""Processes are killed in the middle of the work: nothing lost, nothing twice, and nothing personal in any log."""

import asyncio
import random
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaProducer
from shared.contracts.topics import DROPPED, PREPARED, STATUS, SUBMITTED
from support.history import carriers_saw, check, until_all_final
from support.road import Road, accepted

WINDOW, BINDS = 50, 1


@pytest.mark.timeout(400)
async def test_kill_9_of_every_service_under_load_loses_and_doubles_nothing(road: Road, french: Iterator[str]) -> None:
    numbers = [next(french) for _ in range(6000)]
    messages = [{"to": n, "class": "transactional", "text": f"Suivi {i}"} for i, n in enumerate(numbers)]
    victims = [
        "router",
        "dlr-processor",
        "segmenter",
        road.stack.connector("mercure"),
        "analytics",
        road.stack.connector("mercure"),
    ]
    random.Random(7).shuffle(victims)

    async def load() -> list[str]:
        ids: list[str] = []
        for start in range(0, len(messages), 500):
            ids += await accepted(road, messages[start : start + 500])
            await asyncio.sleep(0.25)
        return ids

    async def havoc() -> None:
        for name in victims:
            await asyncio.sleep(0.8)
            road.stack.kill(name)

    ids, _ = await asyncio.gather(load(), havoc())
    # What a killed connector left unanswered is tied to its receipt after one or two minutes.
    known = dict(zip(ids, numbers, strict=True))
    rows = await until_all_final(road.stack, ids, within_s=240, may_never_have_left=known)
    kills = victims.count(road.stack.connector("mercure"))
    seen = await carriers_saw(road.stack, ("mercure", "iris"))
    check(known, rows, seen, unknown_at_most=kills * BINDS * WINDOW)
    for name in set(victims):
        await road.stack.until_ready(name)


async def test_a_malformed_record_on_the_road_is_buried_and_the_next_one_is_handled(
    road: Road, french: Iterator[str]
) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=road.stack.bootstrap)
    await producer.start()
    for topic in (*PREPARED, SUBMITTED, DROPPED, STATUS):
        for partition in range(topic.partitions(production=False)):
            await producer.send_and_wait(topic.name, b"\x00\x00\x00\x00\x01not avro", partition=partition, key=b"x")
            await producer.send_and_wait(topic.name, b"junk", partition=partition, key=b"x")
    await producer.stop()
    numbers = [next(french) for _ in range(50)]
    ids = await accepted(road, [{"to": n, "class": "otp", "text": "Code 1"} for n in numbers])
    rows = await until_all_final(road.stack, ids)
    check(dict(zip(ids, numbers, strict=True)), rows, await carriers_saw(road.stack, ("mercure", "iris")))


async def test_no_number_and_no_text_stands_in_any_log_or_metric(road: Road, french: Iterator[str]) -> None:
    import aiohttp

    number, text = next(french), "Xylophone-4711 secret"
    [message_id] = await accepted(road, [{"to": number, "class": "otp", "text": text}])
    await until_all_final(road.stack, [message_id])
    found = ""
    for log in road.stack.paths.run.rglob("*.log"):
        found += log.read_text(errors="replace")
    async with aiohttp.ClientSession() as session:
        for name in ("ingest", "segmenter", "router", "dlr-processor", "analytics", road.stack.connector("mercure")):
            async with session.get(f"{road.stack.address(name)}/metrics") as answer:
                metrics = await answer.text()
                assert "relais_" in metrics, name
                found += metrics
    for digits in (number, number[1:], number[3:]):
        assert digits not in found
    assert "Xylophone" not in found
    assert road.stack.key.split("_", 2)[2] not in found
