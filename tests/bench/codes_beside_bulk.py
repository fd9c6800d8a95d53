"""`make bench-codes`: how long a one-time code takes to its carrier while bulk messages wait everywhere before it.

Marketing is posted until `--bulk` messages wait on the road for a carrier that takes `--tps` of them a second. Then codes are
posted one by one. A code's time is from before its POST to the moment at which the simulated carrier took it: the same
machine's clock. The machine is shared by all services, the broker, the database and the carriers.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.history import carriers_saw
from support.stack import LocalStack, simulated

BATCH = 1000
PAUSE_S = 0.05
SETTLED_S = 4
QUICK = {
    "behaviour": {"errors": [], "outcomes": [{"stat": "DELIVRD", "weight": 1, "delay": {"low": 0.05, "high": 0.5}}]}
}


def number(place: int) -> str:
    return f"+336{12_000_000 + place}"


async def grant(client: aiohttp.ClientSession, first: int, count: int) -> None:
    for start in range(first, first + count, BATCH):
        places = range(start, min(start + BATCH, first + count))
        contacts = [{"ref": f"c-{n}", "number": number(n)} for n in places]
        async with client.post("/v1/contacts/batch", json={"contacts": contacts}) as answer:
            assert answer.status < 300, await answer.text()
        consents = [
            {"contact": f"c-{n}", "purpose": "marketing", "state": "granted", "source": "bench"} for n in places
        ]
        async with client.post("/v1/consents/batch", json={"consents": consents}) as answer:
            assert answer.status < 300, await answer.text()


async def post(client: aiohttp.ClientSession, messages: list[dict[str, Any]]) -> None:
    while True:
        async with client.post("/v1/messages/batch", json={"messages": messages}) as answer:
            if answer.status not in (429, 503):
                assert answer.status == 202, await answer.text()
                return
            await asyncio.sleep(float(answer.headers.get("Retry-After", "1")))


async def bulk(client: aiohttp.ClientSession, count: int) -> None:
    for start in range(0, count, BATCH):
        await post(
            client,
            [
                {"to": number(n), "class": "marketing", "text": "20% off this weekend. Reply STOP"}
                for n in range(start, min(start + BATCH, count))
            ],
        )


async def codes(client: aiohttp.ClientSession, first: int, count: int) -> dict[str, float]:
    """Number to the moment before its POST."""
    asked = {}
    for place in range(first, first + count):
        asked[number(place)] = time.time()
        async with client.post(
            "/v1/messages", json={"to": number(place), "class": "otp", "text": f"Code {place}", "validity_s": 300}
        ) as answer:
            assert answer.status == 202, await answer.text()
        await asyncio.sleep(PAUSE_S)
    return asked


async def until_settled(stack: LocalStack) -> None:
    """Until no more bulk messages get ready: what has room waits for the carrier, the others wait in segmenter."""
    connection = await asyncpg.connect(stack.admin_dsn)
    try:
        before, since = -1, time.monotonic()
        while time.monotonic() - since < SETTLED_S:
            await asyncio.sleep(0.5)
            found = await connection.fetchval("SELECT count(*) FROM dlr_processor.messages WHERE status <> 'accepted'")
            if found > before + SETTLED_S * 150:
                before, since = found, time.monotonic()
    finally:
        await connection.close()


def share(sorted_ms: list[float], part: float) -> float:
    return round(sorted_ms[min(len(sorted_ms) - 1, int(len(sorted_ms) * part))], 1)


async def bench(count: int, asked_codes: int, tps: int) -> dict[str, Any]:
    fields = {"tps": tps, "window": 50, "binds": 1, "simulator": QUICK}
    with tempfile.TemporaryDirectory(prefix="relais-codes-", ignore_cleanup_errors=True) as home:
        os.chmod(home, 0o711)
        async with (
            LocalStack(Path(home), [simulated("mercure", prefixes={"": "0.04"}, **fields)]) as stack,
            aiohttp.ClientSession(stack.api, headers=stack.headers) as client,
        ):
            await grant(client, 0, count)
            warm = await codes(client, count, 20)
            await bulk(client, count)
            arriving = await codes(client, count + len(warm), asked_codes)
            await until_settled(stack)
            asked = await codes(client, count + len(warm) + len(arriving), asked_codes)
            waiting = count - sum(
                n in {number(i) for i in range(count)} for n in await carriers_saw(stack, ["mercure"])
            )
            deadline = time.monotonic() + 60
            while not arriving.keys() | asked.keys() <= (seen := await carriers_saw(stack, ["mercure"])).keys():
                assert time.monotonic() < deadline, "codes do not arrive"
                await asyncio.sleep(0.5)

    def took(some: dict[str, float]) -> dict[str, float]:
        ms = sorted((seen[n].taken[0]["time"] - at) * 1000 for n, at in some.items() if seen[n].taken)
        return {"p50": share(ms, 0.5), "p95": share(ms, 0.95), "p99": share(ms, 0.99), "max": round(ms[-1], 1)}

    return {
        "bulk": count, "bulk_waiting_at_the_end": waiting, "codes": asked_codes, "tps": tps,
        "accept_to_carrier_ms": {"while_bulk_is_taken_in": took(arriving), "while_bulk_waits": took(asked)},
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bulk", type=int, default=20_000)
    parser.add_argument("--codes", type=int, default=400)
    parser.add_argument("--tps", type=int, default=100)
    given = parser.parse_args()
    print(json.dumps(asyncio.run(bench(given.bulk, given.codes, given.tps)), indent=2))
