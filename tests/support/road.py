"""One running Relais for the end-to-end tests: two simulated carriers, and the two SMSCs that others wrote."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest_asyncio

from support.http import short_lived
from support.peers.jsmpp import JsmppSmsc, jsmpp_smsc
from support.peers.node_smpp import NodeSmsc, node_smpp_smsc
from support.stack import LocalStack, simulated

# Quick and mostly good: a test wants an end within seconds. Numbers ending in 7777 are never delivered.
QUICK = {
    "behaviour": {
        "latency": {"constant": 0.005},
        "errors": [],
        "outcomes": [
            {"stat": "DELIVRD", "weight": 95, "delay": {"low": 0.05, "high": 0.6}},
            {"stat": "UNDELIV", "weight": 5, "err": ["001", "011"], "delay": {"low": 0.05, "high": 0.6}},
            {
                "stat": "UNDELIV",
                "weight": 0,
                "err": ["034"],
                "delay": {"low": 0.05, "high": 0.1},
                "destination_ends": "7777",
            },
        ],
    }
}


@dataclass
class Road:
    """The stack and those it talks to."""

    stack: LocalStack
    jsmpp: JsmppSmsc
    node: NodeSmsc
    client: aiohttp.ClientSession
    other: aiohttp.ClientSession


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def road() -> AsyncIterator[Road]:
    home = Path(tempfile.mkdtemp(prefix="relais-e2e-"))
    async with jsmpp_smsc() as jsmpp, node_smpp_smsc() as node:
        peer = {"host": "127.0.0.1", "binds": 1, "window": 10, "tps": 200}
        carriers = [
            simulated("mercure", prefixes={"33": "0.04", "": "0.05"}, simulator={**QUICK, "ids": {"response": "hex"}}),
            simulated("iris", prefixes={"33": "0.045", "44": "0.03", "": "0.06"}, simulator={**QUICK, "ids": {"response": "decimal", "response_width": 10, "receipt": "decimal"}}),
            {"id": "jsmpp", "port": jsmpp.port, "system_id": jsmpp.system_id, "password": jsmpp.password, "profile": "jsmpp", "prefixes": {"49": "0.01"}, **peer},
            {"id": "node", "port": node.port, "system_id": node.system_id, "password": node.password, "profile": "node_smpp", "prefixes": {"34": "0.01"}, **peer},
        ]  # fmt: skip
        async with (
            LocalStack(home, carriers) as stack,
            aiohttp.ClientSession(stack.api, headers=stack.headers, connector=short_lived()) as client,
            aiohttp.ClientSession(stack.api, headers=stack.other_headers, connector=short_lived()) as other,
        ):
            yield Road(stack, jsmpp, node, client, other)
    shutil.rmtree(home, ignore_errors=True)


async def accepted(road: Road, messages: list[dict[str, Any]], **headers: str) -> list[str]:
    ids: list[str] = []
    for start in range(0, len(messages), 1000):
        async with road.client.post(
            "/v1/messages/batch", json={"messages": messages[start : start + 1000]}, headers=headers
        ) as answer:
            assert answer.status == 202, await answer.text()
            results = (await answer.json())["results"]
        assert all(r.get("status") == "accepted" for r in results), results[:3]
        ids += [r["message_id"] for r in results]
    return ids


async def story(road: Road, message_id: str) -> dict[str, Any]:
    async with road.client.get(f"/v1/messages/{message_id}") as answer:
        assert answer.status == 200, await answer.text()
        return dict(await answer.json())


async def ended(road: Road, message_id: str, within_s: float = 30) -> dict[str, Any]:
    async with asyncio.timeout(within_s):
        while (found := await story(road, message_id))["status"] not in (
            "delivered",
            "undelivered",
            "expired",
            "rejected",
            "unknown",
            "dropped",
        ):
            await asyncio.sleep(0.2)
    return found
