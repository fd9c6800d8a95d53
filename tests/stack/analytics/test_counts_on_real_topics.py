"""analytics as processes on real Kafka and PostgreSQL: live, exact after replays and kills, and the carriers' windows."""

import asyncio
import contextlib
import sys
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, TopicPartition
from relais_local.ports import free_port
from shared.clock import now_ms
from shared.contracts.avro import NotAvroError
from shared.contracts.events import CarrierDelta, MessageStatus, StateReached
from shared.contracts.topics import DELTA, QUALITY, STATUS
from shared.crypto.tokens import Caller, Tokens
from shared.kafka.consumer import Decoder
from shared.kafka.places import places_of
from shared.kafka.publisher import Outgoing, Publisher
from shared.kafka.registry import SchemaIds
from shared.telemetry.metrics import Metrics
from support.http import short_lived
from support.parts import Parts

pytestmark = pytest.mark.stack


@dataclass
class Running:
    arguments: tuple[str, ...]
    port: int
    environment: dict[str, str]
    log: Path
    process: asyncio.subprocess.Process | None = None

    async def start(self, http: aiohttp.ClientSession) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "analytics", *self.arguments, env=self.environment, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 120  # a machine that builds other things at the same time is slow
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(f"http://127.0.0.1:{self.port}/readyz") as answer:
                    if answer.status == 200:
                        return
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            await asyncio.sleep(0.05)

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def terminate(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), 10)


@dataclass
class Desk:
    parts: Parts
    logs: Path
    http: aiohttp.ClientSession
    schemas: SchemaIds
    publisher: Publisher
    running: list[Running] = field(default_factory=list)

    async def run(self, *arguments: str) -> Running:
        port = free_port([r.port for r in self.running])
        more = {"RELAIS_STATE_DIR": str(self.logs / "state")}
        environment = self.parts.environment("analytics", port, **more)
        found = Running(arguments, port, environment, self.logs / f"{port}.log")
        self.running.append(found)
        await found.start(self.http)
        return found

    async def report(self, service: Running, campaign: str, *, tenant: str = "acme", query: str = "") -> Any:
        token = Tokens(self.parts.internal_secret).sign(
            Caller(tenant, frozenset({"reports:read"}), "k"), now_ms() // 1000
        )
        url = f"http://127.0.0.1:{service.port}/v1/campaigns/{campaign}/report{query}"
        async with self.http.get(url, headers={"Authorization": f"Bearer {token}"}) as answer:
            assert answer.status == 200
            return await answer.json()

    async def report_when(self, service: Running, campaign: str, within_s: float, **expected: Any) -> Any:
        deadline = time.monotonic() + within_s
        while True:
            told = await self.report(service, campaign)
            if all(told[name] == value for name, value in expected.items()):
                return told
            assert time.monotonic() < deadline, {name: told[name] for name in expected}
            await asyncio.sleep(0.05)

    async def outbox_empty(self, within_s: float = 20.0) -> None:
        """Everything that was counted has been told: a stop now leaves nothing for the next start."""
        connection = await asyncpg.connect(self.parts.admin_url())
        try:
            async with asyncio.timeout(within_s):
                while await connection.fetchval("SELECT count(*) FROM analytics.outbox"):
                    await asyncio.sleep(0.05)
        finally:
            await connection.close()

    async def rewind(self, group: str) -> None:
        """Makes the group begin anew, as after a lost offset."""
        places = [TopicPartition(STATUS.name, partition) for partition in range(4)]
        consumer = AIOKafkaConsumer(bootstrap_servers=self.parts.bootstrap, group_id=group, enable_auto_commit=False)
        await consumer.start()
        try:
            consumer.assign(places)
            await consumer.commit(await consumer.beginning_offsets(places))
        finally:
            await consumer.stop()

    async def read(self, topic: str) -> list[Any]:
        """Everything that is on a topic now, but for what another test has put there and is no event."""
        consumer, decoder, found = AIOKafkaConsumer(bootstrap_servers=self.parts.bootstrap), Decoder(self.schemas), []
        await consumer.start()
        try:
            places = await places_of(self.parts.bootstrap, [topic])
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            ends = await consumer.end_offsets(places)
            while any([await consumer.position(place) < ends[place] for place in places]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    await decoder.prepare(records)
                    for record in records:
                        with contextlib.suppress(NotAvroError):
                            found.append(decoder.decode(record).event)
        finally:
            await consumer.stop()
        return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def desk(parts: Parts, tmp_path_factory: Any) -> AsyncIterator[Desk]:
    await parts.migrate("analytics")
    schemas = SchemaIds(parts.registry_url)
    publisher = Publisher(parts.bootstrap, schemas, [STATUS.name, DELTA.name], Metrics("test"), client_id="test")
    await publisher.start()
    async with aiohttp.ClientSession(connector=short_lived()) as http:
        desk = Desk(parts, tmp_path_factory.mktemp("analytics"), http, schemas, publisher)
        try:
            yield desk
        finally:
            for running in desk.running:
                await running.kill()
            await publisher.close()
            await schemas.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def analytics(desk: Desk) -> Running:
    return await desk.run()


def history(desk: Desk, campaign: str, count: int, *, tenant: str = "acme") -> list[list[Outgoing]]:
    """Three rounds of records for `count` messages: accepted, submitted or dropped, and how they ended.

    Of ten: one dropped, six delivered, one undelivered, one unknown, one still on its way.
    """
    rounds: list[list[Outgoing]] = [[], [], []]
    for number in range(count):
        message_id, at = str(uuid.uuid4()), now_ms()

        def record(
            version: int, state: str, message_id: str = message_id, at: int = at, number: int = number, **more: Any
        ) -> Outgoing:
            event = MessageStatus(
                event_id=f"{message_id}:{version}", tenant_id=tenant, occurred_at=at, message_id=message_id, version=version,
                status=state, states=[StateReached(state=state, at=at + version * 100)], final=False, purpose="marketing",
                campaign_id=campaign, run="1", variant="ab"[number % 2], country=("FR", "DE")[number % 2], accepted_at=at, **more,
            )  # fmt: skip
            return desk.publisher.record(STATUS.name, message_id, event)

        sent = {"attempt": 1, "carrier": ("mercure", "iris")[number % 2], "parts": 2, "cost": 90_000, "currency": "EUR"}
        rounds[0].append(record(1, "accepted"))
        if number % 10 == 0:
            rounds[1].append(record(2, "dropped", reason="no_consent"))
            continue
        rounds[1].append(record(2, "submitted", **sent))
        match number % 10:
            case 1:
                rounds[2].append(record(3, "undelivered", reason="undeliverable", **sent))
            case 2:
                rounds[2].append(record(3, "unknown", **sent))
            case 3:
                pass
            case _:
                rounds[2].append(record(3, "delivered", **sent))
    return rounds


def expected(count: int) -> dict[str, Any]:
    tenth = count // 10
    return {
        "accepted": count, "dropped": {"no_consent": tenth}, "submitted": 9 * tenth, "delivered": 6 * tenth,
        "failed": {"undeliverable": tenth}, "unknown": tenth, "pending": tenth, "parts": 18 * tenth,
        "cost": f"{0.81 * tenth:.6f}", "currency": "EUR",
    }  # fmt: skip


async def test_a_report_is_live_within_two_seconds_of_each_change(desk: Desk, analytics: Running) -> None:
    first, second, third = history(desk, "live", 100)
    await desk.publisher.publish(first)
    await desk.report_when(analytics, "live", 2.0, accepted=100, pending=100, submitted=0)
    await desk.publisher.publish(second)
    await desk.report_when(analytics, "live", 2.0, accepted=100, pending=90, submitted=90, dropped={"no_consent": 10})
    await desk.publisher.publish(third)
    told = await desk.report_when(analytics, "live", 2.0, **expected(100))
    assert told["campaign"] == "live"
    assert {name: found["submitted"] for name, found in told["by_carrier"].items()} == {"iris": 50, "mercure": 40}
    assert {name: found["accepted"] for name, found in told["by_country"].items()} == {"DE": 50, "FR": 50}
    assert sum(minute["accepted"] for minute in told["by_minute"]) == 100
    assert (await desk.report(analytics, "live", query="?run=2"))["accepted"] == 0


async def test_the_other_tenant_sees_nothing(desk: Desk, analytics: Running) -> None:
    for records in history(desk, "mine", 10):
        await desk.publisher.publish(records)
    await desk.report_when(analytics, "mine", 5.0, **expected(10))
    told = await desk.report(analytics, "mine", tenant="other")
    assert (told["accepted"], told["by_minute"], told["changed_at"]) == (0, [], None)


async def test_a_report_needs_its_scope(desk: Desk, analytics: Running) -> None:
    token = Tokens(desk.parts.internal_secret).sign(Caller("acme", frozenset({"messages:read"}), "k"), now_ms() // 1000)
    url = f"http://127.0.0.1:{analytics.port}/v1/campaigns/x/report"
    async with desk.http.get(url, headers={"Authorization": f"Bearer {token}"}) as answer:
        assert answer.status == 403


async def test_repeats_late_records_and_a_replay_of_the_whole_topic_change_nothing(
    desk: Desk, analytics: Running
) -> None:
    rounds = history(desk, "again", 200)
    for records in rounds:
        await desk.publisher.publish(records)
    before = await desk.report_when(analytics, "again", 5.0, **expected(200))
    await desk.publisher.publish([record for records in reversed(rounds) for record in records])
    marker = history(desk, "marker", 10)
    await desk.publisher.publish([record for records in marker for record in records])
    await desk.report_when(analytics, "marker", 5.0, **expected(10))

    await desk.outbox_empty()
    assert await analytics.terminate() == 0
    told_before = {delta.event_id for delta in await desk.read(DELTA.name)}
    await desk.rewind("analytics")
    await analytics.start(desk.http)
    more = history(desk, "marker-2", 10)
    await desk.publisher.publish([record for records in more for record in records])
    await desk.report_when(analytics, "marker-2", 10.0, **expected(10))

    after = await desk.report(analytics, "again")
    assert after | {"as_of": 0, "changed_at": 0} == before | {"as_of": 0, "changed_at": 0}
    # The replay itself told the windows of nothing: only the marker's batches did.
    # A record may stand twice on the topic (at least once); its id says so.
    told = {delta.event_id: delta for delta in await desk.read(DELTA.name)}
    assert sum(delta.submitted for event_id, delta in told.items() if event_id not in told_before) <= 9


async def test_a_replay_without_the_stored_offsets_changes_nothing_either(desk: Desk, analytics: Running) -> None:
    for records in history(desk, "twice", 100):
        await desk.publisher.publish(records)
    await desk.report_when(analytics, "twice", 5.0, **expected(100))
    await analytics.terminate()
    connection = await asyncpg.connect(desk.parts.admin_url())
    await connection.execute("DELETE FROM analytics.offsets")
    await connection.close()
    await desk.rewind("analytics")
    await analytics.start(desk.http)
    more = history(desk, "marker-3", 10)
    await desk.publisher.publish([record for records in more for record in records])
    await desk.report_when(analytics, "marker-3", 10.0, **expected(10))
    await desk.report_when(analytics, "twice", 0.5, **expected(100))


async def test_with_two_replicas_one_killed_in_the_middle_every_message_counts_once(
    desk: Desk, analytics: Running
) -> None:
    second = await desk.run()
    rounds = history(desk, "crowd", 6_000)
    for number, records in enumerate(rounds):
        for start in range(0, len(records), 1_000):
            await desk.publisher.publish(records[start : start + 1_000])
            if number == 1 and start == 2_000:
                await second.kill()
    await desk.report_when(analytics, "crowd", 60.0, **expected(6_000))
    connection = await asyncpg.connect(desk.parts.admin_url())
    wrong = await connection.fetchval(
        "SELECT count(*) FROM analytics.rollups WHERE messages < 0 OR submitted < 0 OR cost_micros < 0"
    )
    await connection.close()
    assert wrong == 0


async def test_carrier_deltas_add_up_to_what_was_counted(desk: Desk, analytics: Running) -> None:
    before = await desk.read(DELTA.name)
    for records in history(desk, "deltas", 100):
        await desk.publisher.publish(records)
    await desk.report_when(analytics, "deltas", 5.0, **expected(100))
    deadline = time.monotonic() + 5
    told: list[CarrierDelta] = []
    while sum(d.submitted for d in told) < 90:
        told = (await desk.read(DELTA.name))[len(before) :]
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    sums = {
        carrier: [
            sum(getattr(d, name) for d in told if d.carrier == carrier)
            for name in ("submitted", "delivered", "failed", "delay_ms_sum")
        ]
        for carrier in ("mercure", "iris")
    }
    assert sums == {"mercure": [40, 30, 0, 3_000], "iris": [50, 30, 10, 3_000]}


async def test_the_windows_tell_each_carriers_quality_and_survive_a_kill(desk: Desk) -> None:
    quality = await desk.run("quality")
    carrier = f"c{uuid.uuid4().hex[:8]}"

    async def tell(submitted: int, delivered: int, failed: int) -> None:
        now = now_ms()
        event = CarrierDelta(
            event_id=str(now), tenant_id="system", occurred_at=now, carrier=carrier, country="FR", span_ms=200,
            submitted=submitted, delivered=delivered, failed=failed, delay_ms_sum=delivered * 500,
            delays={"10": delivered}, errors={"absent": failed}, clicked=1,
        )  # fmt: skip
        await desk.publisher.publish([desk.publisher.record(DELTA.name, carrier, event)])

    async def told(submitted: int) -> Any:
        deadline = time.monotonic() + 30
        while True:
            found = [q for q in await desk.read(QUALITY.name) if q.carrier == carrier]
            if found and found[-1].submitted == submitted:
                return found[-1]
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.2)

    async def committed() -> None:
        [place] = await places_of(desk.parts.bootstrap, [DELTA.name])
        consumer = AIOKafkaConsumer(
            bootstrap_servers=desk.parts.bootstrap, group_id="analytics.quality", enable_auto_commit=False
        )
        await consumer.start()
        try:
            consumer.assign([place])
            deadline = time.monotonic() + 30
            while await consumer.committed(place) != (await consumer.end_offsets([place]))[place]:
                assert time.monotonic() < deadline, "Faust does not commit"
                await asyncio.sleep(0.2)
        finally:
            await consumer.stop()

    await tell(10, 6, 2)
    await tell(10, 6, 2)
    first = await told(20)
    assert (first.delivery_rate, first.delay_ms, first.window_s, first.country) == (0.75, 500.0, 60, "FR")
    assert (first.errors, first.clicked, first.hour_delivered) == ({"absent": 4}, 2, 12)
    assert 475 < first.delay_p50_ms < first.delay_p95_ms < 566
    await committed()  # a kill before that would count the deltas again
    await quality.kill()
    await quality.start(desk.http)
    await tell(4, 4, 0)
    second = await told(24)
    assert second.delivered == 16
    await desk.publisher.publish([Outgoing(DELTA.name, b"x", b"not avro")])
    await tell(1, 0, 0)
    await told(25)
    assert await quality.terminate() == 0
