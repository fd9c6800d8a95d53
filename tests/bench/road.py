"""`make bench`: messages through the whole road on this machine, and what each process paid for them.

20,000 messages are posted to /v1/messages/batch, go through six services, two simulated carriers and back as receipts
into the ledger. Prints a table and writes `.run/bench.json`. Timings of a shared machine are noisy: trust ratios and
CPU microseconds more than rates. The simulated carriers answer at once and their receipts come within a second, so the
road is what is measured; their own CPU is in the table and is not Relais'. The ledger reads acceptances ten seconds late,
so that of a short run they are read after its end: their look, about 15 us a message, is mostly not in the table.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import asyncpg
import psutil
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.stack import LocalStack, simulated

CHECKOUT = Path(__file__).parents[2]
BATCH = 1000
PRODUCERS = 4
FINAL = "('delivered','undelivered','expired','rejected','unknown','dropped')"
FAST = {
    "history": 0,
    "behaviour": {"errors": [], "outcomes": [{"stat": "DELIVRD", "weight": 1, "delay": {"low": 0.05, "high": 0.5}}]},
}


def carriers() -> list[dict[str, object]]:
    fields = {"tps": 20_000, "window": 200, "binds": 2, "simulator": FAST}
    return [
        simulated("mercure", prefixes={"33": "0.04", "": "0.06"}, **fields),
        simulated("iris", prefixes={"44": "0.03", "": "0.06"}, **fields),
    ]


def cpu_by_process(stack: LocalStack) -> dict[str, float]:
    """CPU seconds so far, children included (PostgreSQL serves each connection with a process of its own)."""
    used = {}
    for name, pid in stack.pids.items():
        total = 0.0
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            own = process.cpu_times()
            total = own.user + own.system + own.children_user + own.children_system
            for child in process.children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):  # ended meanwhile: its parent has its time now
                    times = child.cpu_times()
                    total += times.user + times.system
        used[name] = total
    return used


def numbers(count: int, start: int) -> list[str]:
    """Valid mobile numbers, half French, half British, each once."""
    return [f"+336{12_000_000 + start + i}" if i % 2 else f"+4474{10_000_000 + start + i:08d}" for i in range(count)]


async def post(stack: LocalStack, destinations: list[str]) -> float:
    """Posts them in batches from a few callers at once; answers the seconds until the last 202."""
    batches = [destinations[i : i + BATCH] for i in range(0, len(destinations), BATCH)]
    started = time.monotonic()

    async def one(client: aiohttp.ClientSession) -> None:
        while batches:
            batch = batches.pop()
            messages = [
                {"to": n, "class": "transactional", "text": "Votre commande est en route, suivez-la sur notre site."}
                for n in batch
            ]
            while True:
                async with client.post("/v1/messages/batch", json={"messages": messages}) as answer:
                    if answer.status in (429, 503):
                        await asyncio.sleep(float(answer.headers.get("Retry-After", "1")))
                        continue
                    assert answer.status == 202, await answer.text()
                    break

    async with aiohttp.ClientSession(stack.api, headers=stack.headers) as client:
        await asyncio.gather(*(one(client) for _ in range(PRODUCERS)))
    return time.monotonic() - started


async def until_final(stack: LocalStack, count: int, within_s: float) -> None:
    """Counting takes the database some 40 ms, so it is asked at half of the time that is left, and often only at the end."""
    connection = await asyncpg.connect(stack.admin_dsn)
    try:
        started = time.monotonic()
        first = None
        while (
            done := await connection.fetchval(f"SELECT count(*) FROM dlr_processor.messages WHERE status IN {FINAL}")
        ) < count:
            passed = time.monotonic() - started
            if passed > within_s:
                raise SystemExit(f"only {done} of {count} messages ended within {within_s:.0f} s")
            first = done if first is None else first
            left = (count - done) / (done - first) * passed if done > first else 4
            await asyncio.sleep(min(max(left / 2, 0.1), 5))
    finally:
        await connection.close()


async def bench(count: int, runs: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="relais-bench-", ignore_cleanup_errors=True) as home:
        os.chmod(home, 0o711)
        async with LocalStack(Path(home), carriers(), roomy=True) as stack:
            done = 2000
            await post(stack, numbers(done, 0))  # a warm-up: connections, prepared statements, the day's keys
            await until_final(stack, done, 120)
            results = []
            for _ in range(runs):
                await asyncio.sleep(2)
                before = cpu_by_process(stack)
                started = time.monotonic()
                accepted_s = await post(stack, numbers(count, done))
                done += count
                await until_final(stack, done, 300)
                seconds = time.monotonic() - started
                after = cpu_by_process(stack)
                cpu = {name: (after[name] - before.get(name, 0.0)) / count * 1e6 for name in after}
                results.append(
                    {"seconds": seconds, "rate": count / seconds, "accept_rate": count / accepted_s, "cpu_us": cpu}
                )
            results.sort(key=lambda r: r["rate"])
            return {"messages": count, "runs": runs, "median": results[len(results) // 2], "all": results}


def show(result: dict[str, object]) -> None:
    median: dict[str, object] = result["median"]  # type: ignore[assignment]
    table = Table(
        title=f"{result['messages']} messages, API to receipts in the ledger; median of {result['runs']} runs"
    )
    table.add_column("process")
    table.add_column("CPU us a message", justify="right")
    cpu: dict[str, float] = median["cpu_us"]  # type: ignore[assignment]
    for name, used in sorted(cpu.items(), key=lambda item: -item[1]):
        table.add_row(name, f"{used:.0f}")
    ours = sum(v for k, v in cpu.items() if not k.startswith("smsc-"))
    table.add_row("all but the simulated carriers", f"{ours:.0f}", style="bold")
    console = Console()
    console.print(table)
    console.print(f"accepted at {median['accept_rate']:.0f}/s; end to end {median['rate']:.0f} messages/s")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    result = asyncio.run(bench(options.messages, options.runs))
    show(result)
    out = CHECKOUT / ".run" / "bench.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
