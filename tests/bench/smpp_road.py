"""Connectors with everything: Kafka, PostgreSQL, claims, sealing. Run by make bench-smpp after the engine alone.

Three scenes on parts of their own: messages through one connector as fast as it can, with its own CPU; a million
messages that wait for a carrier which answers nothing, with the connector's memory; ten carriers in ten processes, of
which one stalls, with the others' delay from the topic to the recorded answer. The SMSCs only answer, in processes of
their own. `--scenes fast million ten` chooses. Nothing is waited for without end: what is late ends the bench with a
sentence that names it. Writes .run/bench-smpp-road.json.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import queue
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

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
from shared.contracts.topics import SUBMITTED, Lane, submit
from shared.crypto.sealing import Kind
from shared.crypto.vault import Vault
from shared.kafka.consumer import Decoder
from shared.kafka.publisher import Outgoing, Publisher
from shared.kafka.registry import SchemaIds
from shared.telemetry.metrics import Metrics
from smpp import serve
from support.parts import Parts, real_parts

TENANT = "acme"
CHUNK = 2000
WARM_UP = 3000
STRETCH_S = 5.0
PAIRS = 6
WAIT_S = 20.0
RATE = 100
TURN_S = 0.05
FLOCK = [f"c{number}" for number in range(10)]
CARRIERS = {"fast": ["fast"], "million": ["stopped"], "ten": FLOCK}

T = TypeVar("T")


async def within(seconds: float, what: str, work: Awaitable[T]) -> T:
    """The result of `work`; ends the bench with a sentence when it takes longer."""
    try:
        return await asyncio.wait_for(work, seconds)
    except TimeoutError:
        raise SystemExit(f"{what} took more than {seconds:.0f} s") from None


class Smsc:
    """One SMSC in a process of its own."""

    def __init__(self, latency_s: float = 0.0) -> None:
        context = multiprocessing.get_context("spawn")
        ports = context.Queue()
        self.stalled = context.Event()
        self.process = context.Process(target=serve, args=(ports, latency_s, 0, True, self.stalled))
        self.process.start()
        try:
            self.port: int = ports.get(timeout=60)
        except queue.Empty:
            self.end()
            raise SystemExit("the SMSC's process did not open its port within 60 s") from None

    def end(self) -> None:
        self.process.kill()
        self.process.join()


def id_of(number: int) -> str:
    return f"00000000-0000-8000-8000-{number:012x}"


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
        said = self.home / f"{carrier}.log"
        with said.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "smpp_connector", env=environment, stdout=log, stderr=log
            )
        deadline, state = time.monotonic() + 120, "no answer on its port"
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as client:
            while time.monotonic() < deadline and process.returncode is None:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with client.get(f"http://127.0.0.1:{http}/readyz") as answer:
                        if answer.status == 200:
                            return process
                        state = await answer.text()
                await asyncio.sleep(0.1)
        if process.returncode is not None:
            state = f"it ended with {process.returncode}"
        else:
            await ended(process)
        tail = said.read_text(errors="replace")[-2000:]
        raise SystemExit(f"the connector of {carrier} is not ready: {state}; the end of its log:\n{tail}")

    async def put(self, carrier: str, count: int) -> None:
        """So many marketing messages, to as many contacts, on the carrier's topic."""
        for start in range(0, count, CHUNK):
            await self.publish(await self.messages([carrier] * min(CHUNK, count - start)))

    async def messages(self, carriers: Sequence[str]) -> list[Outgoing]:
        """One message for each, ready to publish. Their ids are those of `made` counted up."""
        now = now_ms()
        await self.vault.ready_for([TENANT], [Kind.NUMBER, Kind.TEXT], now)
        number = self.vault.sealer(TENANT, Kind.NUMBER, now).seal("+33612345678")
        text = self.vault.sealer(TENANT, Kind.TEXT, now).seal("Bonjour, votre commande est prête.")
        records = []
        for carrier in carriers:
            self.made += 1
            message_id = id_of(self.made)
            event = SubmitRequested(
                event_id=message_id, tenant_id=TENANT, occurred_at=now, message_id=message_id, contact_id=message_id,
                number_hash=message_id, purpose="marketing", number=number, text=text, encoding="gsm7", parts=1, country="FR",
                prefix="336", sender="Relais", not_after=now + 3_600_000, accepted_at=now, attempt=1, carrier=carrier, price=0,
                currency="EUR", decision="",
            )  # fmt: skip
            records.append(self.publisher.record(submit(Lane.BULK).named(carrier), message_id, event))
        return records

    async def publish(self, records: Sequence[Outgoing]) -> None:
        await within(60, f"publishing {len(records)} records", self.publisher.publish(records))

    @asynccontextmanager
    async def answers(self, seen: Callable[[Any], None]) -> AsyncIterator[None]:
        """Calls `seen` with each end of an attempt while the block runs."""
        consumer = AIOKafkaConsumer(SUBMITTED.name, bootstrap_servers=self.parts.bootstrap, auto_offset_reset="latest")
        decoder = Decoder(self.schemas)
        await within(60, "the start of the bench's consumer", consumer.start())
        await within(60, "the consumer's way to the end", consumer.seek_to_end())

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
            if not watching.cancelled() and watching.exception() is not None:
                raise SystemExit(f"the bench could not read {SUBMITTED.name}: {watching.exception()!r}")


async def ended(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def cpu_s(process: asyncio.subprocess.Process) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return times.user + times.system


async def until(done: Callable[[], int], wanted: int, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while done() < wanted:
        if time.monotonic() > deadline:
            raise SystemExit(f"{done():,} of {wanted:,} messages ended within {within_s:.0f} s")
        await asyncio.sleep(0.02)


async def as_fast_as_it_can(road: Road, count: int, window: int) -> dict[str, float]:
    """Everything waits on the topic before it is measured; a warm-up comes first."""
    done = 0

    def seen(event: Any) -> None:
        nonlocal done
        done += event.carrier == "fast"

    async with contextlib.AsyncExitStack() as stack:
        smsc = Smsc()
        stack.callback(smsc.end)
        process = await road.connector("fast", smsc.port, binds=2, window=window)
        stack.push_async_callback(ended, process)
        await stack.enter_async_context(road.answers(seen))
        await road.put("fast", WARM_UP)
        await until(lambda: done, WARM_UP, 60)
        smsc.stalled.set()
        await road.put("fast", count)
        await asyncio.sleep(1)
        cpu, kernel, start = cpu_s(process), psutil.Process(process.pid).cpu_times().system, time.perf_counter()
        psutil.cpu_percent()  # from here to the next call: of the whole machine, whoever uses it
        smsc.stalled.clear()
        await until(lambda: done, WARM_UP + count, 180)
        seconds, used, busy = time.perf_counter() - start, cpu_s(process) - cpu, psutil.cpu_percent()
        kernel = psutil.Process(process.pid).cpu_times().system - kernel
    return {
        "messages_s": round(count / seconds), "cpu_us": round(used / count * 1e6, 1),
        "of_it_kernel_us": round(kernel / count * 1e6, 1), "connector_cores": round(used / seconds, 2),
        "machine_busy_percent": round(busy), "window": window,
    }  # fmt: skip


async def a_million_waiting(road: Road, count: int) -> dict[str, float]:
    """The carrier is bound and answers nothing. Memory of the connector before, and its most until all have waited."""
    async with contextlib.AsyncExitStack() as stack:
        smsc = Smsc()
        stack.callback(smsc.end)
        smsc.stalled.set()
        process = await road.connector("stopped", smsc.port)
        stack.push_async_callback(ended, process)
        measured = psutil.Process(process.pid)
        before = most = measured.memory_info().rss
        start = time.perf_counter()
        putting = asyncio.create_task(within(900, f"putting {count:,} messages", road.put("stopped", count)))
        ends, put_s, cpu = float("inf"), 0.0, 0.0
        while time.perf_counter() < ends:
            await asyncio.sleep(0.1)
            most = max(most, measured.memory_info().rss)
            if putting.done() and not put_s:
                await putting
                put_s, cpu = time.perf_counter() - start, cpu_s(process)
                ends = time.perf_counter() + WAIT_S
        share = (cpu_s(process) - cpu) / WAIT_S
    return {
        "waiting": count, "idle_mb": before >> 20, "most_mb": most >> 20, "seconds_to_put": round(put_s),
        "cpu_share_while_waiting": round(share, 3),
    }  # fmt: skip


async def one_of_ten_stalls(road: Road) -> dict[str, Any]:
    """Each gets 100 messages a second. Calm and stalled stretches come in pairs, each pair in the other order, so that
    the machine's drift hits both; the figure is the median of the pairs, besides all stretches taken together.

    The delay of a message runs from when it was put on its topic to the carrier's answer that is published. What
    the stalled carrier has to catch up with is sent between two stretches.
    """
    delays: dict[tuple[str, int], list[int]] = defaultdict(list)
    sent: dict[str, tuple[tuple[str, int], int]] = {}
    stretch = ("between", 0)

    def seen(event: Any) -> None:
        of, at = sent.pop(event.message_id, (None, 0))
        if of is not None and event.outcome == "submitted" and event.carrier != FLOCK[0]:
            delays[of].append(event.occurred_at - at)

    async def steadily() -> None:
        """What is due by the clock goes in one batch: a slow broker makes larger batches and no lower rate."""
        start, put = time.monotonic(), 0
        while True:
            due = int((time.monotonic() - start) * RATE)
            if due > put:
                first, now = road.made + 1, now_ms()
                records = await road.messages([carrier for carrier in FLOCK for _ in range(due - put)])
                sent.update({id_of(n): (stretch, now) for n in range(first, road.made + 1)})
                await road.publish(records)
                put = due
            await asyncio.sleep(max(0.0, start + put / RATE + TURN_S - time.monotonic()))

    async with contextlib.AsyncExitStack() as stack:
        smscs = []
        for _ in FLOCK:
            smscs.append(Smsc(0.01))
            stack.callback(smscs[-1].end)
        processes = []
        for name, smsc in zip(FLOCK, smscs, strict=True):
            # Room to catch up between two stretches.
            processes.append(await road.connector(name, smsc.port, tps=10 * RATE, window=50))
            stack.push_async_callback(ended, processes[-1])
        await stack.enter_async_context(road.answers(seen))
        first, start, cpu = road.made, time.perf_counter(), sum(map(cpu_s, processes))
        psutil.cpu_percent()  # from here to the next call: of the whole machine, whoever uses it
        putting = asyncio.create_task(steadily())
        await wait_while(putting, 6)
        for pair in range(PAIRS):
            for phase in ("calm", "stalled") if pair % 2 else ("stalled", "calm"):
                if phase == "stalled":
                    smscs[0].stalled.set()
                    await wait_while(putting, 1)
                stretch = (phase, pair)
                await wait_while(putting, STRETCH_S)
                stretch = ("between", pair)
                smscs[0].stalled.clear()
                await wait_while(putting, 2)
        seconds, busy, used = time.perf_counter() - start, psutil.cpu_percent(), sum(map(cpu_s, processes)) - cpu
        rate = (road.made - first) / seconds
        putting.cancel()
        await asyncio.wait([putting])

    def p99(of: Sequence[int]) -> float:
        if len(of) < 100:
            raise SystemExit(f"only {len(of)} messages of a stretch were answered in time")
        return statistics.quantiles(of, n=100)[98]

    pairs = [p99(delays["stalled", pair]) / p99(delays["calm", pair]) - 1 for pair in range(PAIRS)]
    calm, stalled = ([d for pair in range(PAIRS) for d in delays[phase, pair]] for phase in ("calm", "stalled"))
    return {
        "messages": len(calm) + len(stalled), "put_s": round(rate),
        "connectors_cores": round(used / seconds, 2), "machine_busy_percent": round(busy),
        "calm_p50_ms": statistics.median(calm), "stalled_p50_ms": statistics.median(stalled),
        "calm_p99_ms": round(p99(calm)), "stalled_p99_ms": round(p99(stalled)), "p99_moves": round(statistics.median(pairs), 3),
        "p99_moves_in_pairs": " ".join(f"{moved:+.2f}" for moved in pairs),
    }  # fmt: skip


async def wait_while(putting: asyncio.Task[None], seconds: float) -> None:
    """Ends at once, with its error, when `putting` has ended."""
    done, _ = await asyncio.wait([putting], timeout=seconds)
    if done:
        await putting


async def bench(asked: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    carriers = [carrier for scene in asked.scenes for carrier in CARRIERS[scene]]
    with tempfile.TemporaryDirectory(prefix="relais-bench-", ignore_cleanup_errors=True) as home:
        async with contextlib.AsyncExitStack() as stack:
            parts = await within(
                180, "the start of Kafka, PostgreSQL and the registry", stack.enter_async_context(real_parts())
            )
            await within(60, "the connector's migration", parts.migrate("smpp-connector"))
            # Before the publisher, which waits until the registry knows the schemas of all its topics.
            await within(60, "making topics", make_topics(parts.bootstrap, carriers, production=False, replication=1))
            await within(60, "registering schemas", register(parts.registry_url, carriers))
            schemas = SchemaIds(parts.registry_url)
            stack.push_async_callback(schemas.close)
            pool = await stack.enter_async_context(
                asyncpg.create_pool(parts.database_url("smpp-connector"), min_size=1, max_size=2, timeout=30)
            )
            names = [submit(Lane.BULK).named(carrier) for carrier in carriers]
            publisher = Publisher(parts.bootstrap, schemas, names, Metrics("bench"), client_id="bench")
            await within(60, "the start of the bench's publisher", publisher.start())
            stack.push_async_callback(publisher.close)
            road = Road(parts, Path(home), publisher, Vault(pool, parts.master), schemas)
            for scene in asked.scenes:
                name, figures = await play(scene, road, asked)
                found[name] = figures
                print(f"{name}: {', '.join(f'{key} {value}' for key, value in figures.items())}", flush=True)
    return found


async def play(scene: str, road: Road, asked: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    if scene == "fast":
        return "with claims and Kafka", await as_fast_as_it_can(road, asked.messages, asked.window)
    if scene == "million":
        return "waiting for a stopped carrier", await a_million_waiting(road, asked.waiting)
    return "ten carriers, one stalls", await one_of_ten_stalls(road)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--messages", type=int, default=60_000)
    options.add_argument("--window", type=int, default=500, help="of each of the two binds of the scene `fast`")
    options.add_argument("--waiting", type=int, default=1_000_000)
    options.add_argument("--scenes", nargs="+", choices=list(CARRIERS), default=list(CARRIERS))
    before = os.getloadavg()[0]
    found = asyncio.run(bench(options.parse_args()))
    found["load average"] = {"before": round(before, 1), "after": round(os.getloadavg()[0], 1)}
    print("load average: {before} before, {after} after".format(**found["load average"]))
    out = Path(".run/bench-smpp-road.json")
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
