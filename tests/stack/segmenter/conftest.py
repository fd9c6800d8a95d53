"""Two replicas of the segmenter on real Kafka and PostgreSQL, a router that only tells its credit, an ingest that only
publishes, and an eye on what comes out."""

import asyncio
import contextlib
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import msgspec
import pytest_asyncio
from aiohttp import web
from aiokafka import AIOKafkaConsumer
from relais_local.ports import free_port
from shared.clock import now_ms
from shared.contracts.events import EventTracked, MessageAccepted, MessageDropped, MessagePrepared
from shared.contracts.topics import (
    ACCEPTED,
    CAMPAIGN,
    CLICKED,
    CONSENT,
    CONTACT,
    DROPPED,
    ERASED,
    PREPARED,
    STATUS,
    TRACKED,
    accepted,
    lane_of,
)
from shared.crypto.ids import MessageIds, NumberIndex
from shared.crypto.sealing import Kind
from shared.crypto.tokens import Caller, Tokens
from shared.crypto.vault import Vault
from shared.kafka.consumer import Decoder, Received
from shared.kafka.publisher import Publisher
from shared.kafka.registry import SchemaIds
from shared.telemetry.metrics import Metrics
from support.http import short_lived
from support.parts import Parts

WATCHED = [t.name for t in (*PREPARED, DROPPED, CONSENT, CAMPAIGN, CONTACT, ERASED)]


async def eventually(find: Callable[[], Any], within_s: float = 40.0) -> Any:
    """What `find` gives once it is true; a failure when it never is."""
    deadline = time.monotonic() + within_s
    while not (found := find()):
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)
    return found


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
                sys.executable, "-m", "segmenter", env=self.environment, stdout=log, stderr=log
            )

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


class RouterStandIn:
    """Answers for its credit as the router does; `messages` None is a router that is away. `full`: tenants without room."""

    def __init__(self, secret: str) -> None:
        self.messages: int | None = 100_000
        self.full: set[str] = set()
        self.asked = 0
        self.opens: dict[str, int] = {}  # by time zone: when its window opens, ms UTC
        self.answers: dict[str, dict[str, tuple[int, int]]] = {}  # by campaign: of each variant messages and clicks
        self._tokens = Tokens(secret)

    async def credit(self, request: web.Request) -> web.Response:
        self.asked += 1
        caller = self._tokens.verify(request.headers["Authorization"].removeprefix("Bearer "))
        assert caller.may("internal")
        if self.messages is None:
            return web.Response(status=503)
        wants = (await request.json())["wants"]
        return web.json_response({"granted": {t: 0 if t in self.full else self.messages for t in wants}})

    async def openings(self, request: web.Request) -> web.Response:
        asked = await request.json()
        return web.json_response([self.opens.get(zone, 0) for _, zone in asked["places"]])

    async def open_spans(self, request: web.Request) -> web.Response:
        asked = await request.json()
        return web.json_response([[[now_ms(), now_ms() + 86_400_000]] for _ in asked["places"]])

    async def experiment(self, request: web.Request) -> web.Response:
        """Analytics' part."""
        caller = self._tokens.verify(request.headers["Authorization"].removeprefix("Bearer "))
        assert caller.may("reports:read")
        found = self.answers.get(request.match_info["campaign"], {})
        return web.json_response({"variants": {v: {"messages": m, "clicked": c} for v, (m, c) in found.items()}})

    async def room(self, request: web.Request) -> web.Response:
        return web.json_response(
            {"messages": self.messages, "rate": 1000}, status=200 if self.messages is not None else 503
        )

    async def prices(self, request: web.Request) -> web.Response:
        caller = self._tokens.verify(request.headers["Authorization"].removeprefix("Bearer "))
        assert caller.may("operate")
        rows = [("mercure", "33", "0.042"), ("mercure", "", "0.065"), ("iris", "", "0.07")]
        return web.json_response(
            {"version": 1, "prices": [{"carrier": c, "prefix": p, "price": a, "currency": "EUR"} for c, p, a in rows]}
        )


@dataclass
class Seg:
    """What a test does to the segmenters, and what it sees of them."""

    parts: Parts
    replicas: list[Replica]
    router: RouterStandIn
    publisher: Publisher
    http: aiohttp.ClientSession
    vault: Vault
    seen: list[Received] = field(default_factory=list)

    async def call(
        self, method: str, path: str, body: Any = None, *, tenant: str = "acme", scope: str = "*", replica: int = 0,
        data: bytes | None = None, kind: str = "application/json", key: str = "key-1",
    ) -> tuple[int, Any]:  # fmt: skip
        token = Tokens(self.parts.internal_secret).sign(Caller(tenant, frozenset({scope}), key), now_ms() // 1000)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
        raw = data if data is not None else (msgspec.json.encode(body) if body is not None else None)
        url = self.replicas[replica].url + path
        async with self.http.request(method, url, data=raw, headers=headers) as answer:
            text = await answer.read()
            return answer.status, msgspec.json.decode(text) if text else None

    async def ok(self, method: str, path: str, body: Any = None, **how: Any) -> Any:
        status, told = await self.call(method, path, body, **how)
        assert status < 300, told
        return told

    async def contact(
        self, number: str, ref: str | None = None, *, tenant: str = "acme", consent: bool = False, **more: Any
    ) -> str:
        """A contact of its own for a test; answers its ref."""
        ref = ref or f"c-{uuid.uuid4().hex[:12]}"
        await self.ok("PUT", f"/v1/contacts/{ref}", {"number": number, **more}, tenant=tenant)
        if consent:
            await self.consent(ref, "granted", tenant=tenant)
        return ref

    async def consent(self, ref: str, state: str, *, tenant: str = "acme", **more: Any) -> None:
        body = {"contact": ref, "purpose": "marketing", "state": state, "source": "test", **more}
        await self.ok("POST", "/v1/consents", body, tenant=tenant)

    async def accept(
        self, number: str, content: dict[str, Any], purpose: str = "marketing", *, tenant: str = "acme", **more: Any
    ) -> str:
        """What ingest does for one message; answers its id."""
        now = now_ms()
        index = NumberIndex(self.parts.master)
        await self.vault.ready_for([tenant], [Kind.NUMBER, Kind.TEXT], now)
        message_id = MessageIds(self.parts.master).random(tenant, now // 1000)
        event = MessageAccepted(
            event_id=f"{message_id}:accepted", tenant_id=tenant, occurred_at=now, message_id=message_id,
            contact_id=index.contact_id(tenant, number), number_hash=index.number_hash(number), purpose=purpose,
            number=self.vault.sealer(tenant, Kind.NUMBER, now).seal(number),
            content=self.vault.sealer(tenant, Kind.TEXT, now).seal(msgspec.json.encode(content).decode()), **more,
        )  # fmt: skip
        topic = accepted(lane_of(purpose)).name
        await self.publisher.publish([self.publisher.record(topic, event.contact_id, event)])
        return message_id

    async def track(self, *events: EventTracked) -> None:
        await self.publisher.publish(
            self.publisher.record(TRACKED.name, f"{e.tenant_id}:{e.contact_ref}", e) for e in events
        )

    async def outcome(self, message_id: str) -> MessagePrepared | MessageDropped:
        return (
            await eventually(lambda: [r.event for r in self.seen if getattr(r.event, "message_id", "") == message_id])
        )[0]

    async def text(self, event: MessagePrepared) -> tuple[str, str]:
        """Number and text of a prepared message, opened as the connector does."""
        await self.vault.load([event.number, event.text])
        return (
            self.vault.open(event.tenant_id, Kind.NUMBER, event.number),
            self.vault.open(event.tenant_id, Kind.TEXT, event.text),
        )

    def of_kind(self, kind: str, **fields: Any) -> list[Any]:
        found = [r.event for r in self.seen if type(r.event).__name__ == kind]
        return [e for e in found if all(getattr(e, name) == value for name, value in fields.items())]

    def messages_of(self, campaign: str, tenant: str = "acme") -> list[Any]:
        kinds = ("MessagePrepared", "MessageDropped")
        return [e for kind in kinds for e in self.of_kind(kind, campaign_id=campaign, tenant_id=tenant)]

    async def campaign(self, filter_: Any, body: str, *, tenant: str = "acme", **more: Any) -> str:
        """A campaign of its own, with segment and template; answers its id."""
        name = f"t-{uuid.uuid4().hex[:10]}"
        await self.ok("PUT", f"/v1/segments/{name}", {"name": "s", "filter": filter_}, tenant=tenant)
        template = {
            "name": "t",
            "purpose": "marketing",
            "bodies": {"en": body, **more.pop("bodies", {})},
            "default_locale": "en",
        }
        await self.ok("PUT", f"/v1/templates/{name}", template, tenant=tenant)
        draft = {"name": "c", "segment": name, "template": name, "purpose": "marketing", "sender": "RELAIS", **more}
        await self.ok("PUT", f"/v1/campaigns/{name}", draft, tenant=tenant)
        return name

    async def until(self, campaign: str, state: str, *, tenant: str = "acme", within_s: float = 30.0) -> Any:
        deadline = time.monotonic() + within_s
        while (shown := await self.ok("GET", f"/v1/campaigns/{campaign}", tenant=tenant))["state"] != state:
            assert time.monotonic() < deadline, shown
            await asyncio.sleep(0.05)
        return shown

    async def ready(self, replica: Replica) -> None:
        deadline = time.monotonic() + 40
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with self.http.get(replica.url + "/readyz") as answer:
                    if answer.status == 200:
                        return
            assert time.monotonic() < deadline, replica.log.read_text()[-3000:]
            await asyncio.sleep(0.05)

    async def watch(self, schemas: SchemaIds) -> None:
        consumer = AIOKafkaConsumer(*WATCHED, bootstrap_servers=self.parts.bootstrap, auto_offset_reset="earliest")
        decoder = Decoder(schemas)
        await consumer.start()
        try:
            while True:
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    await decoder.prepare(records)
                    self.seen += [decoder.decode(record) for record in records]
        finally:
            await consumer.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def seg(parts: Parts, tmp_path_factory: Any) -> AsyncIterator[Seg]:
    await parts.migrate("segmenter")
    logs = tmp_path_factory.mktemp("segmenter")
    router = RouterStandIn(parts.internal_secret)
    app = web.Application()
    app.router.add_post("/internal/v1/credit", router.credit)
    app.router.add_get("/internal/v1/credit", router.room)
    app.router.add_get("/v1/prices", router.prices)
    app.router.add_post("/internal/v1/openings", router.openings)
    app.router.add_post("/internal/v1/open-spans", router.open_spans)
    app.router.add_get("/v1/campaigns/{campaign}/report/experiment", router.experiment)
    runner = web.AppRunner(app)
    await runner.setup()
    ports = [free_port([])]
    await web.TCPSite(runner, "127.0.0.1", ports[0]).start()
    replicas = []
    for number in (1, 2):
        ports.append(free_port(ports))
        stand_in = f"http://127.0.0.1:{ports[0]}"
        environment = parts.environment(
            "segmenter", ports[-1], RELAIS_ROUTER_URL=stand_in, RELAIS_ANALYTICS_URL=stand_in
        )
        replicas.append(Replica(ports[-1], environment, logs / f"segmenter-{number}.log"))
    schemas = SchemaIds(parts.registry_url)
    publisher = Publisher(
        parts.bootstrap,
        schemas,
        [t.name for t in (*ACCEPTED, TRACKED, DROPPED, STATUS, CLICKED, CONSENT, ERASED)],
        Metrics("test"),
        client_id="test",
    )
    await publisher.start()
    await schemas.load_topics(WATCHED)
    pool = await asyncpg.create_pool(parts.database_url("ingest"), min_size=1, max_size=2)
    async with aiohttp.ClientSession(connector=short_lived()) as http:
        found = Seg(parts, replicas, router, publisher, http, Vault(pool, parts.master))
        watching = asyncio.create_task(found.watch(schemas))
        try:
            for replica in replicas:
                await replica.start()
            for replica in replicas:
                await found.ready(replica)
            yield found
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            for replica in replicas:
                await replica.kill()
            await publisher.close()
            await schemas.close()
            await pool.close()
            await runner.cleanup()
