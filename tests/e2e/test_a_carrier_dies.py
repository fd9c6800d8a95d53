"""One carrier is lost in the middle of a campaign: everything goes over the other one, nobody gets it twice."""

import asyncio
from collections import Counter
from collections.abc import Iterator

import aiohttp
import pytest
from e2e.test_a_campaign import audience, campaign, post
from support.history import FINAL, carriers_saw, ledger
from support.road import Road

COUNT = 2_000
WINDOW, BINDS = 50, 1  # what the connector may have on its way to a carrier that dies


async def told(road: Road, path: str, body: dict[str, str] | None = None) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{road.stack.control('mercure')}{path}", json=body or {}) as answer,
    ):
        assert answer.status < 300, await answer.text()


@pytest.mark.timeout(200)
async def test_a_carrier_lost_in_mid_campaign_costs_no_message_and_doubles_none(
    road: Road, french: Iterator[str]
) -> None:
    numbers = [next(french) for _ in range(COUNT)]
    mine = set(numbers)
    refs = await audience(road, "outage", numbers)
    number_of = dict(zip(refs, numbers, strict=True))
    await campaign(road, "outage")
    await post(road, "/v1/campaigns/outage/launch")
    async with asyncio.timeout(60):
        while len(mine & (await carriers_saw(road.stack, ["mercure"])).keys()) < 200:
            await asyncio.sleep(0.05)
    try:
        await told(road, "/listener/stop")
        await told(road, "/links/drop", {"how": "abort"})
        async with asyncio.timeout(90):  # all that it had not taken is taken by the other
            while len(mine & (await carriers_saw(road.stack, ["mercure", "iris"])).keys()) < COUNT:
                await asyncio.sleep(0.3)
    finally:
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
    by = Counter(seen[n].taken[0]["carrier"] for n in numbers)
    assert all(len(seen[n].taken) == 1 for n in numbers)
    assert by["mercure"] >= 200
    assert by["iris"] >= 500
    assert not [r for r in rows.values() if r["status"] == "dropped"]
    for row in rows.values():
        if row["status"] in ("delivered", "undelivered"):
            assert row["carrier"] == seen[number_of[row["contact_ref"]]].taken[0]["carrier"]
    async with asyncio.timeout(60):
        while True:
            async with road.client.get("/v1/campaigns/outage/report") as answer:
                found = await answer.json()
            if found["pending"] <= WINDOW * BINDS and set(found["by_carrier"]) == {"mercure", "iris"}:
                break
            await asyncio.sleep(0.5)
    for carrier in ("mercure", "iris"):
        assert found["by_carrier"][carrier]["delivered"] > 0
    assert found["accepted"] == COUNT
