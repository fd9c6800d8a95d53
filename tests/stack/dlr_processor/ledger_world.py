"""Handlers of the ledger on real PostgreSQL, and the whole service on real Kafka with a segmenter and a receiver of callbacks."""

import asyncio
import contextlib
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest_asyncio
from aiohttp import web
from aiokafka import AIOKafkaConsumer
from dlr_processor.adapters.post_callback import CallbackPoster
from dlr_processor.adapters.secrets import SecretBox
from dlr_processor.adapters.segmenter import OptOutPump
from dlr_processor.callbacks import CallbackWorker
from dlr_processor.domain.ledger import day_of_message
from dlr_processor.handlers import LedgerHandler
from dlr_processor.housekeeping import Housekeeping
from relais_local.ports import free_port
from shared.clock import now_ms
from shared.contracts.avro import codec_of
from shared.contracts.events import Event, MessageStatus
from shared.contracts.topics import (
    ACCEPTED,
    DEFERRED,
    DROPPED,
    INBOUND,
    PREPARED,
    RECEIPT,
    REPLIED,
    RETURNED,
    STATUS,
    SUBMITTED,
    accepted,
    lane_of,
    prepared,
)
from shared.crypto.ids import MessageIds, NumberIndex
from shared.crypto.tokens import Caller, Tokens
from shared.db.database import Database
from shared.db.outbox import OutboxPump, unpack
from shared.kafka.consumer import Decoder, Received
from shared.kafka.publisher import Outgoing, Publisher
from shared.kafka.registry import SchemaIds
from shared.telemetry.metrics import Metrics
from support.http import short_lived
from support.parts import Parts
from unit.dlr_processor import ledger_events as e


async def eventually(find: Callable[[], Awaitable[Any]], within_s: float = 20.0) -> Any:
    """What `find` gives once it is true; a failure when it never is."""
    deadline = time.monotonic() + within_s
    while not (found := await find()):
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.03)
    return found


def told(body: bytes) -> MessageStatus:
    codec = codec_of(MessageStatus)
    return codec.decode(body, lambda _: codec._schema)


@dataclass
class Ledger:
    """One replica's handler, driven by hand."""

    database: Database
    handler: LedgerHandler
    housekeeping: Housekeeping
    metrics: Metrics

    async def handle(self, *events: Event) -> None:
        await self.handler.handle([Received("", 0, n, None, 0, (), event) for n, event in enumerate(events)])

    async def rows(self, query: str, *arguments: Any) -> list[Any]:
        async with self.database.hot("*") as connection:
            return list(await connection.fetch(query, *arguments))

    async def message(self, message_id: str) -> Any:
        found = await self.rows("SELECT * FROM messages WHERE message_id = $1", message_id)
        return found[0] if found else None

    async def statuses(self, message_id: str) -> list[MessageStatus]:
        """What was put in the outbox about a message, oldest first."""
        return [told(r.value) for r in await self.told_of() if (r.topic, r.key) == (STATUS.name, message_id.encode())]

    async def told_of(self) -> list[Outgoing]:
        """All records in the outbox, oldest first."""
        return [r for row in await self.rows("SELECT records FROM outbox ORDER BY id") for r in unpack(row["records"])]


async def make_ledger(parts: Parts) -> Ledger:
    database = Database(parts.database_url("dlr-processor"), "test", pool_size=4)
    await database.open()
    metrics = Metrics("test")
    schemas = SchemaIds(parts.registry_url)
    written = [REPLIED.name, STATUS.name, *(topic.name for topic in RETURNED)]
    await schemas.load_topics(written)
    await schemas.close()
    # Never started: the handler only has it build the records that it puts in the outbox.
    publisher = Publisher(parts.bootstrap, schemas, written, metrics, client_id="test")
    box, poster = SecretBox(parts.master), CallbackPoster(allow_loopback=True)
    handler = LedgerHandler(
        database=database,
        publisher=publisher,
        outbox=OutboxPump(database, publisher, "paper"),
        callbacks=CallbackWorker(database, poster, box, metrics, now_ms),
        opt_outs=OptOutPump(database, Tokens("x"), "http://127.0.0.1:1", "dlr-processor"),
        numbers=NumberIndex(parts.master),
        master=parts.master,
        metrics=metrics,
        now_ms=now_ms,
    )
    return Ledger(database, handler, Housekeeping(database, handler, metrics, now_ms, retention_days=35), metrics)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def ledgers(parts: Parts) -> AsyncIterator[tuple[Ledger, Ledger]]:
    """Two replicas' handlers on one database."""
    await parts.migrate("dlr-processor")
    one, two = await make_ledger(parts), await make_ledger(parts)
    await one.housekeeping.partitions()
    yield one, two
    for ledger in (one, two):
        await ledger.database.close()


@dataclass
class Story:
    """The records of one new message, born now, with a number, ids and a carrier's id of its own."""

    tenant: str = "acme"
    message_id: str = ""
    number_hash: str = field(default_factory=lambda: uuid.uuid4().hex)
    carrier_id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    now: int = field(default_factory=now_ms)
    ids: MessageIds | None = None

    def __post_init__(self) -> None:
        self.message_id = (self.ids or e.IDS).random(self.tenant, self.now // 1000)

    def accepted(self, **more: Any) -> Any:
        return e.accepted(self.message_id, self.now, self.tenant, number_hash=self.number_hash, **more)

    def prepared(self, **more: Any) -> Any:
        fields = {"number_hash": self.number_hash, "accepted_at": self.now} | more
        return e.prepared(self.message_id, self.now + 1, self.tenant, **fields)

    def submitted(self, ids: Sequence[str | None] | None = None, **more: Any) -> Any:
        chosen = (self.carrier_id,) if ids is None else tuple(ids)
        return e.submitted(
            self.message_id, self.now + 2, ids=chosen, tenant=self.tenant, number_hash=self.number_hash, **more
        )

    def receipt(self, carrier_message_id: str | None = "", **more: Any) -> Any:
        chosen = self.carrier_id if carrier_message_id == "" else carrier_message_id
        fields = {"at": self.now + 3, "event_id": uuid.uuid4().hex, "number_hash": self.number_hash} | more
        return e.receipt(chosen, **fields)

    @property
    def day(self) -> int:
        return day_of_message(self.message_id)


@dataclass
class Replica:
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
                sys.executable, "-m", "dlr_processor", env=self.environment, stdout=log, stderr=log
            )

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            await self.process.wait()


class Neighbours:
    """The segmenter's door for opt-outs, and a receiver of callbacks, on one port."""

    def __init__(self) -> None:
        self.port = free_port([])
        self.opt_outs: list[dict[str, Any]] = []
        self.tokens: list[str] = []
        self.segmenter_answers = 204
        self.received: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: Callable[[str, bytes], Awaitable[int]] | None = None
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/internal/v1/opt-outs", self._opt_out)
        app.router.add_post("/hook/{name}", self._hook)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _opt_out(self, request: web.Request) -> web.Response:
        if self.segmenter_answers == 204:
            self.opt_outs += (await request.json())["opt_outs"]
            self.tokens.append(request.headers["authorization"])
        return web.Response(status=self.segmenter_answers)

    async def _hook(self, request: web.Request) -> web.Response:
        name, body = request.match_info["name"], await request.read()
        status = 200 if self.answers is None else await self.answers(name, body)
        self.received.append((name, dict(request.headers), body))
        headers = {"Location": f"{self.url}/hook/elsewhere"} if 300 <= status < 400 else {}
        return web.Response(status=status, headers=headers)

    def calls(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(body) for found, _, body in self.received if found == name]


@dataclass
class World:
    parts: Parts
    replicas: list[Replica]
    publisher: Publisher
    neighbours: Neighbours
    http: aiohttp.ClientSession
    admin: asyncpg.Pool
    seen: list[MessageStatus] = field(default_factory=list)

    def story(self, tenant: str = "acme") -> Story:
        return Story(tenant, ids=MessageIds(self.parts.master))

    async def publish(self, *events: Any) -> None:
        await self.publisher.publish(self.publisher.record(*_place(event), event) for event in events)

    async def call(
        self, method: str, path: str, body: Any = None, *, tenant: str = "acme", scope: str = "*", replica: int = 0
    ) -> tuple[int, Any]:
        token = Tokens(self.parts.internal_secret).sign(Caller(tenant, frozenset({scope}), "key-1"), now_ms() // 1000)
        headers = {"Authorization": f"Bearer {token}"}
        async with self.http.request(method, self.replicas[replica].url + path, json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None) if answer.status != 204 else None

    async def until(self, story: Story, status: str) -> dict[str, Any]:
        async def reached() -> dict[str, Any] | None:
            _, body = await self.call("GET", f"/v1/messages/{story.message_id}", tenant=story.tenant)
            return body if body["status"] == status else None

        return dict(await eventually(reached))

    def told(self, story: Story) -> list[MessageStatus]:
        return [status for status in self.seen if status.message_id == story.message_id]

    async def watch(self, schemas: SchemaIds) -> None:
        consumer = AIOKafkaConsumer(STATUS.name, bootstrap_servers=self.parts.bootstrap, auto_offset_reset="earliest")
        decoder = Decoder(schemas)
        await consumer.start()
        try:
            while True:
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    await decoder.prepare(records)
                    self.seen += [decoder.decode(record).event for record in records]
        finally:
            await consumer.stop()


def _place(event: Any) -> tuple[str, str]:
    match type(event).__name__:
        case "MessageAccepted":
            return accepted(lane_of(event.purpose)).name, event.contact_id
        case "MessagePrepared":
            return prepared(lane_of(event.purpose)).name, event.contact_id
        case "MessageSubmitted":
            return SUBMITTED.name, event.message_id
        case "MessageDropped":
            return DROPPED.name, event.message_id
        case "MessageDeferred":
            return DEFERRED.name, event.message_id
        case "ReceiptReceived":
            return RECEIPT.name, f"{event.carrier}:{event.carrier_message_id}"
        case "InboundReceived":
            return INBOUND.name, event.number_hash
    raise AssertionError(event)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(parts: Parts, tmp_path_factory: Any) -> AsyncIterator[World]:
    """Two replicas of the service."""
    await parts.migrate("dlr-processor")
    logs = tmp_path_factory.mktemp("dlr-processor")
    neighbours = Neighbours()
    await neighbours.start()
    replicas: list[Replica] = []
    for number in (1, 2):
        port = free_port([replica.port for replica in replicas])
        environment = parts.environment(
            "dlr-processor", port, RELAIS_SEGMENTER_URL=neighbours.url, RELAIS_CALLBACKS_ALLOW_LOOPBACK="true"
        )
        replicas.append(Replica(port, environment, logs / f"dlr-processor-{number}.log"))
    schemas = SchemaIds(parts.registry_url)
    topics = [t.name for t in (*ACCEPTED, *PREPARED, DEFERRED, DROPPED, SUBMITTED, RECEIPT, INBOUND)]
    publisher = Publisher(parts.bootstrap, schemas, topics, Metrics("test"), client_id="test")
    await publisher.start()
    admin = await asyncpg.create_pool(parts.admin_url(), min_size=1, max_size=2)
    async with aiohttp.ClientSession(connector=short_lived()) as http:
        found = World(parts, replicas, publisher, neighbours, http, admin)
        watching = asyncio.create_task(found.watch(schemas))
        try:
            for replica in replicas:
                await replica.start()
            for replica in replicas:
                await _ready(http, replica)
            yield found
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            for replica in replicas:
                await replica.stop()
            await publisher.close()
            await schemas.close()
            await admin.close()
            await neighbours.stop()


async def _ready(http: aiohttp.ClientSession, replica: Replica) -> None:
    deadline = time.monotonic() + 40
    while True:
        with contextlib.suppress(aiohttp.ClientError):
            async with http.get(replica.url + "/readyz") as answer:
                if answer.status == 200:
                    return
        assert time.monotonic() < deadline, replica.log.read_text()[-3000:]
        await asyncio.sleep(0.05)
