"""Two replicas of the router on real Kafka and PostgreSQL, a stand-in for the connectors' reports, and an eye on what comes out."""

import asyncio
import contextlib
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest_asyncio
from aiokafka import AIOKafkaConsumer
from relais_local.ports import free_port
from shared.clock import now_ms
from shared.contracts.events import CampaignChanged, CarrierHealth, ConsentChanged, Event, MessagePrepared
from shared.contracts.topics import (
    CAMPAIGN,
    CONSENT,
    DEFERRED,
    DROPPED,
    HEALTH,
    PREPARED,
    RETURNED,
    SUBMIT,
    lane_of,
    prepared,
)
from shared.crypto.tokens import Caller, Tokens
from shared.kafka.consumer import Decoder
from shared.kafka.publisher import Publisher
from shared.kafka.registry import SchemaIds
from shared.telemetry.metrics import Metrics
from support.http import short_lived
from support.parts import CARRIERS, Parts

SUBMITS = [topic.named(carrier) for topic in SUBMIT for carrier in CARRIERS]


async def eventually(find: Callable[[], Any], within_s: float = 15.0) -> Any:
    """What `find` gives once it is true; a failure when it never is."""
    deadline = time.monotonic() + within_s
    while not (found := find()):
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)
    return found


@dataclass
class Replica:
    number: int
    port: int
    environment: dict[str, str]
    log: Path
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "router", env=self.environment, stdout=log, stderr=log
            )

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


@dataclass
class Road:
    """What a test does to the routers, and what it sees of them."""

    parts: Parts
    replicas: list[Replica]
    publisher: Publisher
    http: aiohttp.ClientSession
    health: dict[str, str] = field(default_factory=lambda: dict.fromkeys(CARRIERS, "up"))
    seen: dict[str, list[tuple[str, bytes, Any]]] = field(default_factory=lambda: defaultdict(list))
    campaign_versions: int = 0

    async def publish(self, *records: tuple[str, str, Event]) -> None:
        await self.publisher.publish([self.publisher.record(*record) for record in records])

    async def prepare(self, *messages: MessagePrepared) -> None:
        await self.publish(*((prepared(lane_of(m.purpose)).name, m.contact_id, m) for m in messages))

    async def consent(self, message: MessagePrepared, state: str, version: int) -> None:
        event = ConsentChanged(
            event_id=uuid.uuid4().hex, tenant_id=message.tenant_id, occurred_at=now_ms(), contact_ref=message.contact_id[:8],
            contact_id=message.contact_id, version=version, purposes={"marketing": state}, source="test",
        )  # fmt: skip
        await self.publish((CONSENT.name, f"{message.tenant_id}:{event.contact_ref}", event))

    async def campaign(self, campaign_id: str, state: str) -> None:
        self.campaign_versions += 1
        event = CampaignChanged(
            event_id=uuid.uuid4().hex, tenant_id="acme", occurred_at=now_ms(), campaign_id=campaign_id,
            version=self.campaign_versions, state=state,
        )  # fmt: skip
        await self.publish((CAMPAIGN.name, f"acme:{campaign_id}", event))

    def events(self, message: MessagePrepared, kind: str) -> list[Any]:
        return [event for _, _, event in self.seen[message.message_id] if type(event).__name__ == kind]

    async def submitted(self, message: MessagePrepared, within_s: float = 15.0) -> Any:
        return (await eventually(lambda: self.events(message, "SubmitRequested"), within_s))[0]

    async def deferred(self, message: MessagePrepared) -> Any:
        return (await eventually(lambda: self.events(message, "MessageDeferred")))[0]

    async def dropped(self, message: MessagePrepared, within_s: float = 15.0) -> Any:
        return (await eventually(lambda: self.events(message, "MessageDropped"), within_s))[0]

    async def call(
        self, method: str, path: str, body: Any = None, *, scope: str = "operate", replica: int = 0
    ) -> tuple[int, Any]:
        token = Tokens(self.parts.internal_secret).sign(Caller("acme", frozenset({scope}), "key-1"), now_ms() // 1000)
        headers = {"Authorization": f"Bearer {token}"}
        url = self.replicas[replica].url + path
        async with self.http.request(method, url, json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def ready(self, replica: int) -> None:
        deadline = time.monotonic() + 120  # a machine that builds other things at the same time is slow
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with self.http.get(self.replicas[replica].url + "/readyz") as answer:
                    if answer.status == 200:
                        return
            assert time.monotonic() < deadline, self.replicas[replica].log.read_text()[-3000:]
            await asyncio.sleep(0.05)

    async def tariff(self, version: int) -> None:
        """Returns when every replica works with this version of the prices: within two seconds."""
        until = time.monotonic() + 2
        for replica in range(len(self.replicas)):
            while (await self.call("GET", "/v1/carriers", replica=replica))[1]["version"] != version:
                assert time.monotonic() < until, "new prices are not in force in time"
                await asyncio.sleep(0.05)

    async def all_up(self) -> None:
        """Every carrier reports itself up, and every replica has heard of it."""
        self.health.update(dict.fromkeys(CARRIERS, "up"))
        for replica in range(len(self.replicas)):
            async with asyncio.timeout(15):
                while not await self._hears_all_up(replica):
                    await asyncio.sleep(0.05)

    async def _hears_all_up(self, replica: int) -> bool:
        _, told = await self.call("GET", "/v1/carriers", replica=replica)
        states = {carrier["id"]: carrier["health"]["state"] for carrier in told["carriers"]}
        return all(states.get(carrier) == "up" for carrier in CARRIERS)

    async def report_health(self) -> None:
        while True:
            now = now_ms()
            events = [
                CarrierHealth(
                    event_id=uuid.uuid4().hex, tenant_id="system", occurred_at=now, carrier=carrier, state=state, binds_up=1,
                    binds_wanted=1, window_used=0.0, latency_ms=1.0, rate=0.0, limit=1000.0, throttled=0, errors={}, unknown=0,
                )
                for carrier, state in self.health.items()
            ]  # fmt: skip
            await self.publish(*((HEALTH.name, event.carrier, event) for event in events))
            await asyncio.sleep(0.4)

    async def watch(self, schemas: SchemaIds) -> None:
        consumer = AIOKafkaConsumer(
            *SUBMITS, DEFERRED.name, DROPPED.name, bootstrap_servers=self.parts.bootstrap, auto_offset_reset="earliest"
        )
        decoder = Decoder(schemas)
        await consumer.start()
        try:
            while True:
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    await decoder.prepare(records)
                    for record in records:
                        event = decoder.decode(record).event
                        self.seen[event.message_id].append((record.topic, record.key, event))
        finally:
            await consumer.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def road(parts: Parts, tmp_path_factory: Any) -> AsyncIterator[Road]:
    await parts.migrate("router")
    logs = tmp_path_factory.mktemp("router")
    replicas = []
    for number in (1, 2):
        port = free_port([replica.port for replica in replicas])
        # Tests take a carrier down and up again: here it has all of its traffic back at once.
        environment = {**parts.environment("router", port), "RELAIS_COMEBACK_S": "0"}
        replicas.append(Replica(number, port, environment, logs / f"router-{number}.log"))
    schemas = SchemaIds(parts.registry_url)
    topics = [t.name for t in (*PREPARED, *RETURNED, CONSENT, CAMPAIGN, HEALTH)]
    publisher = Publisher(parts.bootstrap, schemas, topics, Metrics("test"), client_id="test")
    await publisher.start()
    async with aiohttp.ClientSession(connector=short_lived()) as http:
        road = Road(parts, replicas, publisher, http)
        tasks = [asyncio.create_task(road.report_health()), asyncio.create_task(road.watch(schemas))]
        try:
            for replica in replicas:
                await replica.start()
            for number in range(len(replicas)):
                await road.ready(number)
            prices = {"mercure": {"33": "0.045", "": "0.06"}, "iris": {"": "0.05"}}
            for carrier, found in prices.items():
                body = {"tps": 1000, "binds": 1, "currency": "EUR", "prices": found}
                status, told = await road.call("PUT", f"/v1/carriers/{carrier}", body)
                assert status == 200, told
            await road.tariff(told["version"])
            yield road
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for replica in replicas:
                await replica.kill()
            await publisher.close()
            await schemas.close()


@pytest_asyncio.fixture(loop_scope="session")
async def make(road: Road) -> AsyncIterator[Callable[..., MessagePrepared]]:
    """Messages with ids and numbers of their own. Afterwards every carrier is up again."""

    def one(**changed: Any) -> MessagePrepared:
        message_id, now = str(uuid.uuid4()), now_ms()
        given: dict[str, Any] = {
            "event_id": f"{message_id}:prepared", "tenant_id": "acme", "occurred_at": now, "message_id": message_id,
            "contact_id": uuid.uuid4().hex, "number_hash": "n" * 32, "purpose": "otp", "number": b"sealed", "text": b"sealed",
            "encoding": "gsm7", "parts": 1, "country": "FR", "prefix": "3361234", "not_after": now + 3_600_000,
            "accepted_at": now, "contact_ref": "ann", "run": "1", "variant": "a", "segment": "s",
        }  # fmt: skip
        return MessagePrepared(**{**given, **changed})

    yield one
    await road.all_up()


Make = Callable[..., MessagePrepared]
Call = Callable[..., Awaitable[tuple[int, Any]]]
