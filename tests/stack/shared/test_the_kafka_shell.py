"""The shell's promises on a real broker: after a failure again, never skipped; poison buried; partitions as in Java."""

import asyncio
import uuid
from collections.abc import Sequence

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from opentelemetry.trace import get_tracer
from shared.contracts.events import CampaignChanged, MessageDeferred
from shared.contracts.topics import CAMPAIGN, DEFERRED
from shared.errors import PoisonError, RetryLaterError, UndeclaredError
from shared.kafka.consumer import BatchConsumer, Received
from shared.kafka.dead_letters import dead_topic
from shared.kafka.follower import Follower
from shared.kafka.publisher import Publisher
from shared.kafka.registry import SchemaIds
from shared.telemetry.metrics import Metrics
from support.parts import Parts


def deferred(tenant: str, number: int) -> MessageDeferred:
    message_id = str(uuid.UUID(int=number))
    return MessageDeferred(
        event_id=f"{message_id}:deferred", tenant_id=tenant, occurred_at=1, message_id=message_id, reason="quiet_hours"
    )


class Recorder:
    """Keeps what it is given for one tenant (one a test: the topic is shared), failing as told."""

    def __init__(self, tenant: str) -> None:
        self.tenant, self.seen, self.calls = tenant, [], 0
        self.fail_next: list[Exception] = []
        self.poison: set[str] = set()

    async def handle(self, batch: Sequence[Received]) -> None:
        mine = [r.event for r in batch if r.event.tenant_id == self.tenant]
        if not mine:
            return
        self.calls += 1
        if self.fail_next:
            raise self.fail_next.pop(0)
        if any(e.message_id in self.poison for e in mine):
            raise PoisonError("this one never works")
        self.seen += [e.message_id for e in mine]


class Shell:
    def __init__(self, parts: Parts) -> None:
        self.parts, self.metrics = parts, Metrics("test")
        self.schemas = SchemaIds(parts.registry_url)
        self.publisher = Publisher(
            parts.bootstrap,
            self.schemas,
            [DEFERRED.name, CAMPAIGN.name, dead_topic(DEFERRED.name)],
            self.metrics,
            client_id="test",
        )

    async def __aenter__(self) -> "Shell":
        await self.publisher.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.publisher.close()
        await self.schemas.close()

    def consumer(self, group: str, handler: Recorder, **more: int) -> BatchConsumer:
        return BatchConsumer(
            group=group, topics=[DEFERRED.name], handler=handler, bootstrap=self.parts.bootstrap, schemas=self.schemas,
            publisher=self.publisher, metrics=self.metrics, tracer=get_tracer("test"), **more,
        )  # fmt: skip

    async def send(self, tenant: str, numbers: Sequence[int]) -> list[str]:
        events = [deferred(tenant, n) for n in numbers]
        await self.publisher.publish(self.publisher.record(DEFERRED.name, e.message_id, e) for e in events)
        return [e.message_id for e in events]


async def until(condition: object, within_s: float = 20) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.05)


async def stopped(consumer: BatchConsumer, task: "asyncio.Task[None]") -> None:
    consumer.stop()
    await asyncio.wait_for(task, 10)


async def test_a_retryable_failure_repeats_the_batch_and_loses_nothing(parts: Parts) -> None:
    async with Shell(parts) as shell:
        sent = await shell.send("retry", range(500))
        recorder = Recorder("retry")
        recorder.fail_next = [RetryLaterError("away"), RetryLaterError("still away")]
        consumer = shell.consumer("test.retry", recorder)
        task = asyncio.create_task(consumer.run())
        await until(lambda: len(recorder.seen) >= 500)
        await stopped(consumer, task)
    assert sorted(recorder.seen) == sorted(sent)


async def test_poison_is_buried_with_its_origin_and_the_next_records_are_handled(parts: Parts) -> None:
    async with Shell(parts) as shell:
        recorder = Recorder("poison")
        sent = await shell.send("poison", range(1000, 1020))
        recorder.poison = {sent[7]}
        raw = AIOKafkaProducer(bootstrap_servers=parts.bootstrap)
        await raw.start()
        await raw.send_and_wait(DEFERRED.name, b"not avro at all", key=b"x")
        await raw.stop()
        consumer = shell.consumer("test.poison", recorder)
        task = asyncio.create_task(consumer.run())
        await until(lambda: len(recorder.seen) >= 19)
        await stopped(consumer, task)
        dead = AIOKafkaConsumer(
            dead_topic(DEFERRED.name), bootstrap_servers=parts.bootstrap, auto_offset_reset="earliest"
        )
        await dead.start()
        buried = []
        async with asyncio.timeout(20):
            while len(buried) < 2:
                buried += [r for rs in (await dead.getmany(timeout_ms=500)).values() for r in rs]
        await dead.stop()
    assert sorted(recorder.seen) == sorted(set(sent) - {sent[7]})
    errors = {dict(r.headers)["relais-error"] for r in buried}
    assert errors == {b"this one never works", b"not in the Confluent wire format"}
    assert all(dict(r.headers)["relais-origin-topic"] == DEFERRED.name.encode() for r in buried)


async def test_what_was_handled_is_not_handled_again_after_an_orderly_restart(parts: Parts) -> None:
    async with Shell(parts) as shell:
        await shell.send("restart", range(2000, 2100))
        first = Recorder("restart")
        consumer = shell.consumer("test.restart", first)
        task = asyncio.create_task(consumer.run())
        await until(lambda: len(first.seen) >= 100)
        await stopped(consumer, task)
        later = await shell.send("restart", range(2100, 2150))
        second = Recorder("restart")
        consumer = shell.consumer("test.restart", second)
        task = asyncio.create_task(consumer.run())
        await until(lambda: len(second.seen) >= 50)
        await stopped(consumer, task)
    assert sorted(second.seen) == sorted(later)


async def test_two_members_share_the_work_and_one_that_leaves_is_replaced(parts: Parts) -> None:
    async with Shell(parts) as shell:
        a, b = Recorder("share"), Recorder("share")
        one, two = shell.consumer("test.share", a, max_records=50), shell.consumer("test.share", b, max_records=50)
        tasks = [asyncio.create_task(one.run()), asyncio.create_task(two.run())]
        await until(lambda: one.ready and two.ready and len(one._owned) == 2 and len(two._owned) == 2, 30)
        sent = set(await shell.send("share", range(3000, 3400)))
        await until(lambda: set(a.seen) | set(b.seen) == sent)
        assert a.seen
        assert b.seen
        await stopped(one, tasks[0])
        more = set(await shell.send("share", range(3400, 3600)))
        await until(lambda: set(b.seen) >= more, 30)
        await stopped(two, tasks[1])
    assert not set(a.seen) & set(b.seen)


async def test_an_offset_out_of_range_stops_the_consumer_and_never_jumps(parts: Parts) -> None:
    async with Shell(parts) as shell:
        await shell.send("range", range(4000, 4040))
        raw = AIOKafkaConsumer(bootstrap_servers=parts.bootstrap, group_id="test.range", enable_auto_commit=False)
        await raw.start()
        places = [TopicPartition(DEFERRED.name, p) for p in range(4)]
        raw.assign(places)
        await raw.commit(dict.fromkeys(places, 10_000_000))
        await raw.stop()
        recorder = Recorder("range")
        consumer = shell.consumer("test.range", recorder)
        task = asyncio.create_task(consumer.run())
        await until(lambda: consumer.stuck is not None)
        await stopped(consumer, task)
    assert recorder.seen == []


async def test_a_follower_knows_when_its_picture_is_complete_and_how_old_it_is(parts: Parts) -> None:
    async with Shell(parts) as shell:

        def change(version: int, state: str) -> CampaignChanged:
            return CampaignChanged(
                event_id=f"f:{version}",
                tenant_id="follow",
                occurred_at=1,
                campaign_id="f",
                version=version,
                state=state,
            )

        await shell.publisher.publish(
            shell.publisher.record(CAMPAIGN.name, "follow:f", change(v, "running")) for v in range(5)
        )
        states: list[str] = []
        follower = Follower(
            topics=[CAMPAIGN.name], apply=lambda events: states.extend(e.state for e in events if e.tenant_id == "follow"),
            bootstrap=parts.bootstrap, schemas=shell.schemas, name="test",
        )  # fmt: skip
        assert follower.age_s() == float("inf")
        task = asyncio.create_task(follower.run())
        await until(lambda: follower.caught_up)
        assert len(states) == 5
        await shell.publisher.publish([shell.publisher.record(CAMPAIGN.name, "follow:f", change(6, "cancelled"))])
        await until(lambda: states[-1:] == ["cancelled"], 5)
        await asyncio.sleep(1.5)
        assert follower.age_s() < 1.5
        task.cancel()


async def test_a_service_cannot_publish_to_a_topic_it_does_not_declare(parts: Parts) -> None:
    async with Shell(parts) as shell:
        record = shell.publisher.record(DEFERRED.name, "k", deferred("x", 1))
        with pytest.raises(UndeclaredError):
            await shell.publisher.publish([record._replace(topic="sms.message.status.v1")])
