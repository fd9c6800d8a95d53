"""How many clicks a second the redirect takes, and how soon it answers: `python tests/bench/redirect.py [rate] [seconds]`.

A whole local stack; phones follow one campaign's links, each its own code, at a fixed rate whatever the answers take (an
answer's time counts from when its click was due). The load comes from this process, on the same machine.
"""

import asyncio
import base64
import gc
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from shared.links.codes import LinkCodes
from support.stack import LocalStack, simulated

CONNECTIONS = 64
PHONE = (
    "User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/18.5 Mobile/15E148 Safari/604.1\r\n"
    "Accept: text/html\r\nAccept-Language: fr\r\n"
)


class Phone:
    def __init__(self, port: int) -> None:
        self._port = port

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)

    async def follow(self, path: str) -> None:
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{PHONE}\r\n".encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 302"), head[:60]


async def load(port: int, paths: list[str], rate: int, seconds: float) -> list[float]:
    """Seconds from when each click was due to its answer."""
    phones: asyncio.Queue[Phone] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        phone = Phone(port)
        await phone.open()
        phones.put_nowait(phone)
    took: list[float] = []

    async def one(due: float, path: str) -> None:
        phone = await phones.get()
        await phone.follow(path)
        took.append(time.perf_counter() - due)
        phones.put_nowait(phone)

    gc.collect()
    gc.disable()  # the load's own collections would count as the service's answers
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            due = started + number / rate
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            group.create_task(one(due, paths[number % len(paths)]))
    gc.enable()
    return took


async def bench(rate: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory(prefix="relais-bench-", ignore_cleanup_errors=True) as home:
        os.chmod(home, 0o711)
        async with LocalStack(Path(home), [simulated("mercure")]) as stack:
            async with (
                aiohttp.ClientSession(stack.api, headers=stack.headers) as client,
                client.post("/v1/links", json={"target": "https://shop.example/offer"}) as answer,
            ):
                url = (await answer.json())["url"]
            codes = LinkCodes(base64.b64decode(stack.secrets.master_key))
            named = codes.read(url[-16:])
            assert named is not None
            paths = [f"/l/{codes.code(named.link, recipient)}" for recipient in range(1, 5_001)]
            port, process = stack.ports["ingest"], psutil.Process(stack.pids["ingest"])
            await load(port, paths, 500, 2)
            before = process.cpu_times()
            took = sorted(await load(port, paths, rate, seconds))
            after = process.cpu_times()
            cpu = (after.user + after.system - before.user - before.system) / len(took)
            print(
                f"redirect   {len(took) / seconds:8.0f} clicks/s asked for and answered   p50 {statistics.median(took) * 1e3:.2f} ms   "
                f"p99 {took[int(len(took) * 0.99)] * 1e3:.2f} ms   ingest CPU {cpu * 1e6:.0f} us a click"
            )


if __name__ == "__main__":
    asyncio.run(
        bench(int(sys.argv[1]) if len(sys.argv) > 1 else 1_500, float(sys.argv[2]) if len(sys.argv) > 2 else 15)
    )
