"""ingest as a process on the real parts, with one small server that stands in for the services behind it."""

import asyncio
import hashlib
import re
import secrets
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from aiokafka import AIOKafkaConsumer, TopicPartition
from relais_local.ports import free_port
from relais_local.process import ChildProcess
from shared.contracts.avro import codec_of
from shared.contracts.topics import topic_of
from shared.kafka.registry import SchemaIds
from support.parts import Parts
from yarl import URL


def make_key(key_id: str) -> str:
    return f"rk_{key_id}_{secrets.token_urlsafe(32)}"


DEMO, OTHER = make_key("demokey1"), make_key("otherke2")


@dataclass
class Answer:
    status: int
    body: Any
    headers: Any
    raw: bytes = b""


class Door:
    """One process of ingest."""

    def __init__(self, process: ChildProcess, port: int, client: aiohttp.ClientSession) -> None:
        self.process, self.url, self._client = process, f"http://127.0.0.1:{port}", client

    async def call(self, method: str, path: str, body: Any = None, *, key: str | None = DEMO, **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            sent["Authorization"] = f"Bearer {key}"
        data = {"data": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
        async with self._client.request(method, URL(self.url + path, encoded=True), headers=sent, **data) as answer:
            raw = await answer.read()
            is_json = "json" in answer.headers.get("content-type", "")
            return Answer(answer.status, await answer.json(content_type=None) if is_json else None, answer.headers, raw)

    async def until_ready(self) -> None:
        for _ in range(300):
            assert self.process.alive, self.process.log.read_text()
            try:
                if (await self.call("GET", "/readyz", key=None)).status == 200:
                    return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)
        raise AssertionError(self.process.log.read_text())


@dataclass
class Owners:
    """Answers for every service behind the door, and remembers what reached it."""

    port: int = field(default_factory=free_port)
    seen: list[dict[str, Any]] = field(default_factory=list)
    gone: str = field(default_factory=lambda: f"http://127.0.0.1:{free_port()}")  # nobody listens there

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Owners"]:
        app = web.Application(client_max_size=1024**3)
        app.router.add_get("/openapi.json", self._document)
        app.router.add_get("/v1/reports/large", self._large)
        app.router.add_route("*", "/{path:.*}", self._any)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _any(self, request: web.Request) -> web.Response:
        digest, size = hashlib.sha256(), 0
        async for chunk in request.content.iter_any():
            digest.update(chunk)
            size += len(chunk)
        self.seen.append(
            {
                "method": request.method, "path": request.raw_path, "headers": dict(request.headers), "size": size,
                "digest": digest.hexdigest(),
            }
        )  # fmt: skip
        return web.json_response({"seen": request.raw_path}, status=207, headers={"X-Owner": "stub"})

    async def _large(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(64):
            await answer.write(b"x" * 65_536)
        return answer

    async def _document(self, _: web.Request) -> web.Response:
        operation = {"summary": "stub", "responses": {"200": {"description": "ok"}}}
        return web.json_response({"openapi": "3.1.0", "paths": {"/v1/contacts/{ref}": {"put": operation}}})


@asynccontextmanager
async def running_door(parts: Parts, owners: Owners, **settings: str) -> AsyncIterator[Door]:
    """Another process of ingest; killed at the end if it still runs."""
    await parts.migrate("ingest")
    port = free_port([owners.port])
    addresses = {
        f"RELAIS_{name}_URL": owners.url for name in ("SEGMENTER", "DLR_PROCESSOR", "ANALYTICS")
    } | {"RELAIS_ROUTER_URL": owners.gone}  # fmt: skip
    log = Path(tempfile.mkdtemp(prefix="relais-ingest-")) / "ingest.log"
    environment = parts.environment(
        "ingest", port, RELAIS_BOOTSTRAP_KEY=DEMO, RELAIS_BOOTSTRAP_KEY_2=OTHER, **addresses, **settings
    )
    process = ChildProcess("ingest", [sys.executable, "-m", "ingest"], environment, log=log)
    await process.start()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as client:
        door = Door(process, port, client)
        try:
            await door.until_ready()
            yield door
        finally:
            await process.stop(8)


class Topics:
    """What is on topics, read from their beginning."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def raw(self, name: str) -> list[Any]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self._parts.bootstrap)
        await consumer.start()
        try:
            partitions = [
                TopicPartition(name, p) for p in consumer.partitions_for_topic(name) or await _found(consumer, name)
            ]
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            ends = await consumer.end_offsets(partitions)
            records: list[Any] = []
            while any([await consumer.position(p) < ends[p] for p in partitions]):
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    records += batch
            return records
        finally:
            await consumer.stop()

    async def events(self, name: str) -> list[Any]:
        schemas = SchemaIds(self._parts.registry_url)
        records = await self.raw(name)
        await schemas.load_writers({int.from_bytes(r.value[1:5], "big") for r in records})
        await schemas.close()
        codec = codec_of(topic_of(name).event)
        return [codec.decode(r.value, schemas.writer_of) for r in records]


async def _found(consumer: AIOKafkaConsumer, name: str) -> Sequence[int]:
    await consumer._client.force_metadata_update()
    for _ in range(50):
        partitions = consumer.partitions_for_topic(name)
        if partitions:
            return list(partitions)
        await consumer._client.fetch_all_metadata()
        await asyncio.sleep(0.05)
    raise AssertionError(f"no topic {name}")


@asynccontextmanager
async def silent_brokers(parts: Parts) -> AsyncIterator[None]:
    """Kafka takes connections and answers nothing."""
    parts.kafka.process.send(signal.SIGSTOP)
    try:
        yield
    finally:
        parts.kafka.process.send(signal.SIGCONT)


def looks_like_a_number(text: str) -> bool:
    return re.search(r"\+[1-9]\d{7,14}", text) is not None
