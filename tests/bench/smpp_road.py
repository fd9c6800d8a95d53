"""Connectors with everything: Kafka, PostgreSQL, claims, sealing. Run by make bench-smpp after the engine alone.

Three scenes on parts of their own: messages through one connector as fast as it can, with its own CPU; a million
messages that wait for a carrier which answers nothing, with the connector's memory; ten carriers in ten processes, of
which one stalls, with the others' delay from the topic to the recorded answer. The SMSCs only answer, in processes of
their own. Writes .run/bench-smpp-road.json.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import psutil
import yaml
from aiokafka import AIOKafkaConsumer

sys.path.insert(0, str(Path(__file__).parents[1]))

from relais_local.ports import free_port
from shared.clock import now_ms
from shared.contracts.apply import make_topics, register
from shared.contracts.events import SubmitRequested
from shared.contracts.topics import SUBMIT, SUBMITTED, Lane, submit
from shared.crypto.sealing import Kind
from shared.crypto.vault import Vault
from shared.kafka.consumer import Decoder
from shared.kafka.publisher import Publisher
from shared.kafka.registry import SchemaIds
from shared.telemetry.metrics import Metrics
from smpp import serve
from support.parts import Parts, real_parts

TENANT = "acme"
CHUNK = 2000
CALM_S = 12.0
RATE = 100
FLOCK = 10


class Smsc:
    """One SMSC in a process of its own."""

    def __init__(self, latency_s: float = 0.0) -> None:
        context = multiprocessing.get_context("spawn")
        ports = context.Queue()
        self.stalled = context.Event()
        self.process = context.Process(target=serve, args=(ports, latency_s, 0, True, self.stalled))
        self.process.start()
        self.port: int = ports.get(timeout=60)

    def end(self) -> None:
        self.process.kill()
        self.process.join()


class Road:
    """The parts, and what a scene does with them."""

    def __init__(self, parts: Parts, home: Path, publisher: Publisher, vault: Vault, schemas: SchemaIds) -> None:
        self.parts, self.home, self.publisher, self.vault, self.schemas = parts, home, publisher, vault, schemas
        self.made = 0

    async def connector(self, carrier: str, port: int, **facts: Any) -> asyncio.subprocess.Process:
        entry = {
            "id": carrier, "host": "127.0.0.1", "port": port, "system_id": "relais", "password": "secret", "window": 100, "tps": 50_000, **facts,
        }  # fmt: skip
        file = self.home / f"{carrier}.yaml"
        file.write_text(yaml.safe_dump({"carriers": [entry]}))
        http = free_port([])
        environment = self.parts.environment(
            "smpp-connector", http, RELAIS_CARRIER_ID=carrier, RELAIS_CARRIERS_FILE=str(file), RELAIS_TRACE_RATIO="0"
        )
        with (self.home / f"{carrier}.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "smpp_connector", env=environment, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 120
        async with aiohttp.ClientSession() as client:
            while time.monotonic() < deadline:
                with contextlib.suppress(aiohttp.ClientError):
                    async with client.get(f"http://127.0.0.1:{http}/readyz") as answer:
                        if answer.status == 200:
                            return process
                await asyncio.sleep(0.1)
        raise SystemExit(f"the connector of {carrier} is not ready: see {self.home}")

    async def topics(self, carrier: str) -> None:
        await make_topics(self.parts.bootstrap, [carrier], production=False, replication=1)
        await register(self.parts.registry_url, [carrier])

    async def put(self, carrier: str, count: int) -> None:
        """So many marketing messages to as many contacts, on the carrier's topic."""
        topic, now = submit(Lane.BULK).named(carrier), now_ms()
        await self.vault.ready_for([TENANT], [Kind.NUMBER, Kind.TEXT], now)
        number = self.vault.sealer(TENANT, Kind.NUMBER, now).seal("+33612345678")
        text = self.vault.sealer(TENANT, Kind.TEXT, now).seal("Bonjour, votre commande est prête.")
        for start in range(0, count, CHUNK):
            records = []
            for _ in range(min(CHUNK, count - start)):
                self.made += 1
                message_id = f"00000000-0000-8000-8000-{self.made:012x}"
                event = SubmitRequested(
                    event_id=message_id, tenant_id=TENANT, occurred_at=now_ms(), message_id=message_id, contact_id=message_id,
                    number_hash=message_id, purpose="marketing", number=number, text=text, encoding="gsm7", parts=1, country="FR",
                    prefix="336", sender="Relais", not_after=now + 3_600_000, accepted_at=now, attempt=1, carrier=carrier, price=0,
                    currency="EUR", decision="",
                )  # fmt: skip
                records.append(self.publisher.record(topic, message_id, event))
            await self.publisher.publish(records)

    @asynccontextmanager
    async def answers(self, seen: Callable[[Any], None]) -> AsyncIterator[None]:
        """Calls `seen` with each end of an attempt while the block runs."""
        consumer = AIOKafkaConsumer(SUBMITTED.name, bootstrap_servers=self.parts.bootstrap, auto_offset_reset="latest")
        decoder = Decoder(self.schemas)
        await consumer.start()
        await consumer.seek_to_end()

        async def watch() -> None:
            while True:
                for records in (await consumer.getmany(timeout_ms=100, max_records=5000)).values():
                    await decoder.prepare(records)
                    for record in records:
                        seen(decoder.decode(record).event)

        watching = asyncio.create_task(watch())
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait([watching])
            await consumer.stop()


async def ended(process: asyncio.subprocess.Process) -> None:
    process.kill()
    await process.wait()


def cpu_s(process: asyncio.subprocess.Process) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return times.user + times.system


async def until(condition: Callable[[], bool], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("the bench's messages did not end in time")
        await asyncio.sleep(0.02)


async def as_fast_as_it_can(road: Road, count: int) -> dict[str, float]:
    """Everything waits on the topic before it is measured; a warm-up comes first."""
    smsc = Smsc()
    await road.topics("fast")
    process = await road.connector("fast", smsc.port, binds=2)
    done = 0

    def seen(event: Any) -> None:
        nonlocal done
        done += event.carrier == "fast"

    try:
        async with road.answers(seen):
            await road.put("fast", 3000)
            await until(lambda: done >= 3000, 60)
            smsc.stalled.set()
            await road.put("fast", count)
            await asyncio.sleep(1)
            cpu, start, before = cpu_s(process), time.perf_counter(), done
            smsc.stalled.clear()
            await until(lambda: done >= before + count, 180)
            seconds, used, passed = time.perf_counter() - start, cpu_s(process) - cpu, done - before
    finally:
        await ended(process)
        smsc.end()
    return {"messages_s": round(passed / seconds), "cpu_us": round(used / passed * 1e6, 1)}


async def a_million_waiting(road: Road, count: int) -> dict[str, float]:
    """The carrier is bound and answers nothing. Memory of the connector before, and its most while all wait."""
    smsc = Smsc()
    smsc.stalled.set()
    await road.topics("stopped")
    process = await road.connector("stopped", smsc.port, window=100)
    try:
        measured = psutil.Process(process.pid)
        before, most = measured.memory_info().rss, 0
        putting = asyncio.create_task(road.put("stopped", count))
        start, calm_until, cpu = time.perf_counter(), float("inf"), 0.0
        while time.perf_counter() < calm_until:
            await asyncio.sleep(0.1)
            most = max(most, measured.memory_info().rss)
            if putting.done() and calm_until == float("inf"):
                await putting
                calm_until, cpu = time.perf_counter() + 20, cpu_s(process)
        share = (cpu_s(process) - cpu) / 20
    finally:
        await ended(process)
        smsc.end()
    return {
        "waiting": count, "idle_mb": before >> 20, "most_mb": most >> 20, "seconds_to_put": round(time.perf_counter() - start - 20),
        "cpu_share_while_waiting": round(share, 3),
    }  # fmt: skip


async def one_of_ten_stalls(road: Road) -> dict[str, Any]:
    """Each gets 100 messages a second; calm and stalled stretches alternate, so that the machine's drift hits both."""
    smscs = [Smsc(0.01) for _ in range(FLOCK)]
    names = [f"c{number}" for number in range(FLOCK)]
    await asyncio.gather(*(road.topics(name) for name in names))
    processes = [await road.connector(n, s.port, tps=2 * RATE, window=50) for n, s in zip(names, smscs, strict=True)]
    delays: dict[str, list[int]] = defaultdict(list)
    phase = "warm"

    def seen(event: Any) -> None:
        if event.outcome == "submitted" and event.carrier != names[0]:
            delays[phase].append(event.occurred_at - sent.pop(event.message_id, event.occurred_at))

    sent: dict[str, int] = {}

    async def steadily() -> None:
        turn = asyncio.get_running_loop().time()
        while True:
            for name in names:
                first = road.made + 1
                await road.put(name, RATE // 20)
                now = now_ms()
                sent.update({f"00000000-0000-8000-8000-{n:012x}": now for n in range(first, road.made + 1)})
            turn += 0.05
            await asyncio.sleep(max(0.0, turn - asyncio.get_running_loop().time()))

    try:
        async with road.answers(seen):
            putting = asyncio.create_task(steadily())
            await asyncio.sleep(6)
            for _ in range(2):
                phase = "calm"
                await asyncio.sleep(CALM_S)
                smscs[0].stalled.set()
                await asyncio.sleep(1)
                phase = "stalled"
                await asyncio.sleep(CALM_S)
                phase = "between"
                smscs[0].stalled.clear()
                await asyncio.sleep(2)
            putting.cancel()
            await asyncio.wait([putting])
    finally:
        await asyncio.gather(*(ended(process) for process in processes))
        for smsc in smscs:
            smsc.end()

    def p99(of: list[int]) -> float:
        return statistics.quantiles(of, n=100)[98]

    calm, stalled = p99(delays["calm"]), p99(delays["stalled"])
    return {
        "messages": len(delays["calm"]) + len(delays["stalled"]), "calm_p50_ms": statistics.median(delays["calm"]),
        "stalled_p50_ms": statistics.median(delays["stalled"]), "calm_p99_ms": calm, "stalled_p99_ms": stalled,
        "p99_moves": round(stalled / calm - 1, 3),
    }  # fmt: skip


async def bench(asked: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="relais-bench-", ignore_cleanup_errors=True) as home:
        async with real_parts() as parts, contextlib.AsyncExitStack() as stack:
            await parts.migrate("smpp-connector")
            schemas = SchemaIds(parts.registry_url)
            stack.push_async_callback(schemas.close)
            pool = await stack.enter_async_context(
                asyncpg.create_pool(parts.database_url("smpp-connector"), min_size=1, max_size=2)
            )
            carriers = ["fast", "stopped", *(f"c{number}" for number in range(FLOCK))]
            names = [t.named(carrier) for t in SUBMIT for carrier in carriers]
            publisher = Publisher(parts.bootstrap, schemas, names, Metrics("bench"), client_id="bench")
            await publisher.start()
            stack.push_async_callback(publisher.close)
            road = Road(parts, Path(home), publisher, Vault(pool, parts.master), schemas)
            if "fast" in asked.scenes:
                found["with claims and Kafka"] = await as_fast_as_it_can(road, asked.messages)
            if "million" in asked.scenes:
                found["waiting for a stopped carrier"] = await a_million_waiting(road, asked.waiting)
            if "ten" in asked.scenes:
                found["ten carriers, one stalls"] = await one_of_ten_stalls(road)
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--messages", type=int, default=60_000)
    options.add_argument("--waiting", type=int, default=1_000_000)
    options.add_argument("--scenes", nargs="+", default=["fast", "million", "ten"])
    found = asyncio.run(bench(options.parse_args()))
    for name, row in found.items():
        print(f"{name}: {', '.join(f'{key} {value:,}' for key, value in row.items())}")
    out = Path(".run/bench-smpp-road.json")
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
