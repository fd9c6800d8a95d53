"""One carrier is lost in the middle of a campaign: everything goes over the other one, nobody gets it twice."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from e2e.test_a_campaign import audience, campaign, post
from support.history import FINAL, carriers_saw, ledger, without_answer
from support.road import Road

COUNT = 2_000
TAKEN = 200  # by the carrier that dies, before it does; all but a window of them answered
WINDOW, BINDS = 50, 1  # what the connector may have on its way to a carrier that dies


async def told(road: Road, path: str, body: dict[str, Any] | None = None, method: str = "POST") -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"{road.stack.control('mercure')}{path}", json=body or {}) as answer,
    ):
        assert answer.status < 300, await answer.text()


async def answers_after(road: Road, seconds: float) -> None:
    await told(road, "/behaviour", {"latency": {"constant": seconds}}, "PATCH")


async def nowhere(road: Road, number_of: dict[str, str]) -> set[str]:
    """Messages of the campaign that no carrier has taken, less those that were on the wire when the link broke: they
    wait for a receipt that may never come, and go to nobody else."""
    seen = await carriers_saw(road.stack, ["mercure", "iris"])
    mine = {ref: number for ref, number in number_of.items() if number not in seen}
    rows = {m: r for m, r in (await ledger(road.stack)).items() if r["contact_ref"] in mine}
    unanswered = await without_answer(road.stack, rows)
    return mine.keys() - {rows[message_id]["contact_ref"] for message_id in unanswered}


@pytest.mark.timeout(300)
async def test_a_carrier_lost_in_mid_campaign_costs_no_message_and_doubles_none(
    road: Road, french: Iterator[str]
) -> None:
    numbers = [next(french) for _ in range(COUNT)]
    mine = set(numbers)
    refs = await audience(road, "outage", numbers)
    number_of = dict(zip(refs, numbers, strict=True))
    await campaign(road, "outage")
    await answers_after(road, 0.5)  # a hundred a second: it dies long before it could have taken all
    await post(road, "/v1/campaigns/outage/launch")
    async with asyncio.timeout(60):
        while len(mine & (await carriers_saw(road.stack, ["mercure"])).keys()) < TAKEN:
            await asyncio.sleep(0.05)
    try:
        await told(road, "/listener/stop")
        await told(road, "/links/drop", {"how": "abort"})
        async with asyncio.timeout(90):  # all that it had not taken is taken by the other, but what was on its way
            while await nowhere(road, number_of):
                await asyncio.sleep(0.5)
    finally:
        await answers_after(road, 0.005)
        await told(road, "/listener/start")
    async with asyncio.timeout(90):  # the receipts of what it took come when it is back
        while True:
            rows = {k: r for k, r in (await ledger(road.stack)).items() if r["campaign_id"] == "outage"}
            unanswered = [r for r in rows.values() if r["status"] not in FINAL]
            # What was on the wire when the link broke is given to its receipt after a minute: nobody sends it again.
            if len(rows) == COUNT and len(unanswered) <= WINDOW * BINDS:
                break
            await asyncio.sleep(0.5)
    seen = await carriers_saw(road.stack, ["mercure", "iris"])
    by = Counter(seen[n].taken[0]["carrier"] for n in numbers if n in seen)
    assert all(len(seen[n].taken) == 1 for n in numbers if n in seen)
    assert len(mine - seen.keys()) <= WINDOW * BINDS
    assert by["mercure"] >= TAKEN
    assert by["iris"] > 0
    assert not [r for r in rows.values() if r["status"] == "dropped"]
    for row in rows.values():
        if row["status"] in ("delivered", "undelivered"):
            assert row["carrier"] == seen[number_of[row["contact_ref"]]].taken[0]["carrier"]
    async with asyncio.timeout(90):
        while True:
            async with road.client.get("/v1/campaigns/outage/report") as answer:
                found = await answer.json()
            delivered = {carrier: sums["delivered"] for carrier, sums in found["by_carrier"].items()}
            if found["pending"] <= WINDOW * BINDS and delivered.get("mercure") and delivered.get("iris"):
                break
            await asyncio.sleep(0.5)
    assert found["accepted"] == COUNT
