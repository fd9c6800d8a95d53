"""One carrier of its own for each test: its topics, a simulated SMSC, connector processes, and an eye on what they say."""

import asyncio
import contextlib
import itertools
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest_asyncio
import yaml
from aiokafka import AIOKafkaConsumer
from console.smsc import Behaviour, Outcome, Smsc, SmscConfig
from relais_local.ports import free_port
from shared.clock import now_ms
from shared.contracts.apply import make_topics, register
from shared.contracts.events import CampaignChanged, ConsentChanged, Event, SubmitRequested
from shared.contracts.topics import (
    CAMPAIGN,
    CONSENT,
    DROPPED,
    HEALTH,
    INBOUND,
    RECEIPT,
    RETURNED,
    SUBMIT,
    SUBMITTED,
    lane_of,
    submit,
)
from shared.crypto.ids import MessageIds, NumberIndex
from shared.crypto.sealing import Kind
from shared.crypto.vault import Vault
from shared.kafka.consumer import Decoder
from shared.kafka.publisher import Publisher
from shared.kafka.registry import SchemaIds
from shared.telemetry.metrics import Metrics
from support.parts import Parts

PASSWORD = "secret"
SAID = [SUBMITTED.name, RECEIPT.name, INBOUND.name, DROPPED.name, HEALTH.name, *(t.name for t in RETURNED)]
QUICK = Behaviour(errors=(), outcomes=(Outcome(stat="DELIVRD", delay=0.05),))  # type: ignore[arg-type]
_numbers = itertools.count(33_600_000_001)
_names = itertools.count(1)


async def eventually(find: Callable[[], Any], within_s: float = 20.0) -> Any:
    """What `find` gives once it is true; a failure when it never is."""
    deadline = time.monotonic() + within_s
    while not (found := find()):
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)
    return found


@dataclass
class Process:
    """One connector process, which a test may start, stop, kill and freeze."""

    environment: dict[str, str]
    port: int
    log: Path
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "smpp_connector", env=self.environment, stdout=log, stderr=log
            )

    async def ready(self, within_s: float = 40.0) -> None:
        deadline = time.monotonic() + within_s
        async with aiohttp.ClientSession() as http:
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(f"http://127.0.0.1:{self.port}/readyz") as answer:
                        if answer.status == 200:
                            return
                assert time.monotonic() < deadline, self.log.read_text()[-3000:]
                await asyncio.sleep(0.05)

    async def metric(self, name: str) -> float:
        async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{self.port}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def stop(self, within_s: float = 15.0) -> int:
        """In good order; its exit status."""
        assert self.process is not None
        self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), within_s)


@dataclass
class Wire:
    """What a test does to one carrier's connector, and what it sees of it."""

    parts: Parts
    carrier: str
    smsc: Smsc
    home: Path
    publisher: Publisher
    vault: Vault
    admin: asyncpg.Pool
    facts: dict[str, Any] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    seen: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    sent: dict[str, SubmitRequested] = field(default_factory=dict)
    number_of: dict[str, str] = field(default_factory=dict)
    versions: int = 0

    # Doing.

    def process(self, **settings: str) -> Process:
        """A further connector process of this carrier, not started."""
        entry = {
            "id": self.carrier, "host": "127.0.0.1", "port": self.smsc.port, "system_id": "relais", "password": PASSWORD,
            "bind": "transceiver", "binds": 1, "window": 50, "tps": 5000, "profile": "plain", **self.facts,
        }  # fmt: skip
        file = self.home / f"{self.carrier}.yaml"
        file.write_text(yaml.safe_dump({"carriers": [entry]}))
        port = free_port([p.port for p in self.processes])
        environment = self.parts.environment(
            "smpp-connector", port, RELAIS_CARRIER_ID=self.carrier, RELAIS_CARRIERS_FILE=str(file), **settings
        )
        made = Process(environment, port, self.home / f"{self.carrier}-{len(self.processes)}.log")
        self.processes.append(made)
        return made

    async def running(self, within_s: float = 40.0, **settings: str) -> Process:
        made = self.process(**settings)
        await made.start()
        await made.ready(within_s)
        return made

    async def message(
        self, text: str = "Bonjour", purpose: str = "marketing", tenant: str = "acme", **more: Any
    ) -> SubmitRequested:
        """A request to this carrier, to a number of its own unless told."""
        now = now_ms()
        number = more.pop("number", None) or f"+{next(_numbers)}"
        await self.vault.ready_for([tenant], [Kind.NUMBER, Kind.TEXT], now)
        index = NumberIndex(self.parts.master)
        message_id = more.pop("message_id", None) or MessageIds(self.parts.master).random(tenant, now // 1000)
        attempt = more.pop("attempt", 1)
        request = SubmitRequested(
            event_id=f"{message_id}:attempt:{attempt}", tenant_id=tenant, occurred_at=now, message_id=message_id,
            contact_id=index.contact_id(tenant, number), number_hash=index.number_hash(number), purpose=purpose,
            number=self.vault.sealer(tenant, Kind.NUMBER, now).seal(number), text=self.vault.sealer(tenant, Kind.TEXT, now).seal(text),
            encoding="gsm7", parts=more.pop("parts", 1), country="FR", prefix=number[1:-4][:7], sender=more.pop("sender", "Relais"),
            not_after=more.pop("not_after", now + 3_600_000), accepted_at=now, attempt=attempt, carrier=self.carrier, price=45_000,
            currency="EUR", decision="least_cost", **more,
        )  # fmt: skip
        self.sent[request.message_id] = request
        self.number_of[request.message_id] = number
        return request

    async def submit(self, *requests: SubmitRequested) -> None:
        await self.publisher.publish(
            [self.publisher.record(submit(lane_of(r.purpose)).named(self.carrier), r.contact_id, r) for r in requests]
        )

    async def flood(self, count: int, purpose: str = "marketing", **more: Any) -> list[SubmitRequested]:
        """So many messages to as many numbers."""
        requests = [await self.message(f"m{i}", purpose, **more) for i in range(count)]
        for start in range(0, count, 1000):
            await self.submit(*requests[start : start + 1000])
        return requests

    async def consent(self, request: SubmitRequested, state: str) -> None:
        self.versions += 1
        event = ConsentChanged(
            event_id=f"consent:{self.carrier}:{self.versions}", tenant_id=request.tenant_id, occurred_at=now_ms(),
            contact_ref=request.contact_id[:8], contact_id=request.contact_id, number_hash=request.number_hash, version=self.versions,
            purposes={"marketing": state}, source="test",
        )  # fmt: skip
        await self._publish(CONSENT.name, f"{request.tenant_id}:{event.contact_ref}", event)

    async def campaign(self, campaign_id: str, state: str) -> None:
        self.versions += 1
        event = CampaignChanged(
            event_id=f"campaign:{self.carrier}:{self.versions}", tenant_id="acme", occurred_at=now_ms(), campaign_id=campaign_id,
            version=self.versions, state=state,
        )  # fmt: skip
        await self._publish(CAMPAIGN.name, f"acme:{campaign_id}", event)

    async def _publish(self, topic: str, key: str, event: Event) -> None:
        await self.publisher.publish([self.publisher.record(topic, key, event)])

    # Seeing.

    def events(self, request: SubmitRequested, kind: str) -> list[Any]:
        """Events of a message, repeats left out."""
        found = {e.event_id: e for e in self.seen[kind] if e.message_id == request.message_id}
        return list(found.values())

    def submitted(self) -> dict[str, Any]:
        """The end of each message's last attempt on this carrier, by message id."""
        return {e.message_id: e for e in self.seen["MessageSubmitted"] if e.carrier == self.carrier}

    def taken(self) -> Counter[str]:
        """How often the SMSC took a message to each number (its first part)."""
        found: Counter[str] = Counter()
        for row in self.smsc.history.rows():
            if row.status == 0:
                found["+" + row.submit.destination[2:-1].decode()] += 1
        return found

    def twice(self) -> dict[str, int]:
        return {number: count for number, count in self.taken().items() if count > 1}

    async def claims(self) -> dict[str, asyncpg.Record]:
        """The claims of this carrier, read past row-level security."""
        rows = await self.admin.fetch("SELECT * FROM smpp_connector.claims WHERE carrier = $1", self.carrier)
        return {str(row["message_id"]): row for row in rows}

    async def all_ended(self, requests: Iterable[SubmitRequested], within_s: float = 40.0) -> None:
        """Until each has been told the end of."""
        wanted = {r.message_id for r in requests}

        def ended() -> bool:
            told = {
                e.message_id
                for kind in ("MessageSubmitted", "MessageDropped", "MessageReturned")
                for e in self.seen[kind]
            }
            return wanted <= told

        await eventually(ended, within_s)

    async def lag(self) -> int:
        """Records of this carrier's topics that its groups have not committed."""
        open_ones = 0
        for topic in SUBMIT:
            name = topic.named(self.carrier)
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self.parts.bootstrap,
                group_id=f"smpp-connector.{self.carrier}.{topic.lane}",
                enable_auto_commit=False,
            )
            await consumer.start()
            try:
                from aiokafka import TopicPartition

                places = [TopicPartition(name, p) for p in (0, 1)]
                ends = await consumer.end_offsets(places)
                for place in places:
                    open_ones += ends[place] - (await consumer.committed(place) or 0)
            finally:
                await consumer.stop()
        return open_ones

    async def watch(self, schemas: SchemaIds) -> None:
        consumer = AIOKafkaConsumer(*SAID, bootstrap_servers=self.parts.bootstrap, auto_offset_reset="latest")
        decoder = Decoder(schemas)
        await consumer.start()
        await consumer.seek_to_end()
        self.watching.set()
        try:
            while True:
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    await decoder.prepare(records)
                    for record in records:
                        event = decoder.decode(record).event
                        if getattr(event, "carrier", self.carrier) == self.carrier:
                            self.seen[type(event).__name__].append(event)
        finally:
            await consumer.stop()

    watching: asyncio.Event = field(default_factory=asyncio.Event)


MakeWire = Callable[..., Awaitable[Wire]]


@pytest_asyncio.fixture(loop_scope="session")
async def make_wire(parts: Parts, tmp_path: Path) -> AsyncIterator[MakeWire]:
    """`await make_wire(window=10, smsc={"max_binds": 2}, script="half_open")`: other keywords are the carriers file's."""
    await parts.migrate("smpp-connector")
    async with contextlib.AsyncExitStack() as stack:
        schemas = SchemaIds(parts.registry_url)
        stack.push_async_callback(schemas.close)
        pool = await stack.enter_async_context(
            asyncpg.create_pool(parts.database_url("smpp-connector"), min_size=1, max_size=2)
        )
        admin = await stack.enter_async_context(asyncpg.create_pool(parts.admin_url(), min_size=1, max_size=2))

        async def make(
            *, behaviour: Behaviour = QUICK, smsc: dict[str, Any] | None = None, script: str | None = None, **facts: Any
        ) -> Wire:
            carrier = f"t{next(_names)}-{now_ms() % 1_000_000}"
            await asyncio.gather(
                make_topics(parts.bootstrap, [carrier], production=False, replication=1),
                register(parts.registry_url, [carrier]),
            )
            simulator = await stack.enter_async_context(
                Smsc(
                    SmscConfig(
                        system_id="relais", password=PASSWORD, port=0, control_port=None, behaviour=behaviour, history=None,
                        **(smsc or {}),
                    ),
                    script=script,
                )
            )  # fmt: skip
            topics = [CONSENT.name, CAMPAIGN.name, *(t.named(carrier) for t in SUBMIT)]
            publisher = Publisher(parts.bootstrap, schemas, topics, Metrics("test"), client_id="test")
            await publisher.start()
            stack.push_async_callback(publisher.close)
            wire = Wire(parts, carrier, simulator, tmp_path, publisher, Vault(pool, parts.master), admin, facts)
            watching = asyncio.create_task(wire.watch(schemas))

            async def end() -> None:
                await asyncio.gather(*(p.kill() for p in wire.processes))
                watching.cancel()
                await asyncio.wait([watching])

            stack.push_async_callback(end)
            await asyncio.wait_for(wire.watching.wait(), 20)
            return wire

        yield make


def numbers(wire: Wire, requests: Sequence[SubmitRequested]) -> set[str]:
    return {wire.number_of[r.message_id] for r in requests}
