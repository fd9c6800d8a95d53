"""A campaign reaches those who agreed, each with their own text, and its report adds up."""

import asyncio
from collections.abc import Iterator
from typing import Any

from support.history import FINAL, carriers_saw, check, ledger, until_all_final
from support.road import Road


async def put(road: Road, path: str, body: dict[str, Any]) -> None:
    async with road.client.put(path, json=body) as answer:
        assert answer.status in (200, 201), (path, await answer.text())


async def post(road: Road, path: str, body: dict[str, Any] | None = None) -> Any:
    async with road.client.post(path, json=body or {}) as answer:
        assert answer.status < 300, (path, await answer.text())
        return await answer.json(content_type=None) if answer.content_length else None


async def audience(
    road: Road, name: str, numbers: list[str], *, withdrawn: set[int] = frozenset(), without: set[int] = frozenset()
) -> list[str]:  # type: ignore[assignment]
    refs = [f"{name}-{i}" for i in range(len(numbers))]
    for start in range(0, len(refs), 1000):
        some = range(start, min(start + 1000, len(refs)))
        contacts = [
            {
                "ref": refs[i],
                "number": numbers[i],
                "locale": "fr" if i % 2 else "en",
                "attributes": {"first_name": f"Anne{i}", "club": name},
            }
            for i in some
        ]
        await post(road, "/v1/contacts/batch", {"contacts": contacts})
        consents = [
            {"contact": refs[i], "purpose": "marketing", "state": "granted", "source": "form"}
            for i in some
            if i not in without
        ]
        consents += [
            {"contact": refs[i], "purpose": "marketing", "state": "withdrawn", "source": "page"}
            for i in some
            if i in withdrawn
        ]
        await post(road, "/v1/consents/batch", {"consents": consents})
    return refs


async def campaign(road: Road, name: str) -> None:
    await put(
        road, f"/v1/segments/{name}", {"name": name, "filter": {"all": [{"attr": "club", "op": "eq", "value": name}]}}
    )
    bodies = {
        "fr": "Bonjour {{ first_name }}, -20% ce week-end. STOP au 36111",
        "en": "Hello {{ first_name }}, 20% off. Reply STOP",
    }
    await put(
        road, f"/v1/templates/{name}", {"name": name, "purpose": "marketing", "bodies": bodies, "default_locale": "en"}
    )
    await put(
        road,
        f"/v1/campaigns/{name}",
        {"name": name, "segment": name, "template": name, "purpose": "marketing", "sender": "RELAIS"},
    )


async def report(road: Road, name: str, complete: int, within_s: float = 60) -> dict[str, Any]:
    async with asyncio.timeout(within_s):
        while True:
            async with road.client.get(f"/v1/campaigns/{name}/report") as answer:
                if answer.status == 200:
                    found: dict[str, Any] = await answer.json()
                    if found["accepted"] == complete and found["pending"] == 0:
                        return found
            await asyncio.sleep(0.5)


async def of_campaign(road: Road, name: str, count: int, within_s: float = 60) -> dict[str, dict[str, Any]]:
    async with asyncio.timeout(within_s):
        while True:
            rows = {k: r for k, r in (await ledger(road.stack)).items() if r["campaign_id"] == name}
            if len(rows) >= count and all(r["status"] in FINAL for r in rows.values()):
                return rows
            await asyncio.sleep(0.5)


async def test_only_those_who_agreed_get_it_in_their_language_and_the_sums_agree(
    road: Road, french: Iterator[str]
) -> None:
    numbers = [next(french) for _ in range(600)]
    withdrawn, without = set(range(0, 600, 20)), set(range(7, 600, 50))
    refs = await audience(road, "spring", numbers, withdrawn=withdrawn, without=without)
    await campaign(road, "spring")
    await post(road, "/v1/campaigns/spring/launch")
    rows = await of_campaign(road, "spring", 600)
    number_of = dict(zip(refs, numbers, strict=True))
    seen = await carriers_saw(road.stack, ("mercure", "iris"))
    ends = check({m: number_of[r["contact_ref"]] for m, r in rows.items()}, rows, seen)
    silent = {refs[i] for i in withdrawn | without}
    assert {r["contact_ref"] for r in rows.values() if r["status"] == "dropped"} == silent
    assert {r["reason"] for r in rows.values() if r["status"] == "dropped"} <= {"no_consent", "opted_out"}
    for i, number in enumerate(numbers):
        if refs[i] not in silent:
            text = bytes.fromhex(seen[number].taken[0]["octets"]).decode("latin-1")
            assert ("Bonjour" if i % 2 else "Hello") in text
            assert f"Anne{i}," in text
    found = await report(road, "spring", 600)
    assert sum(found["dropped"].values()) == len(silent)
    assert found["delivered"] == ends["delivered"]
    assert sum(found["failed"].values()) == ends["undelivered"]
    assert (
        found["accepted"]
        == sum(found["dropped"].values()) + found["delivered"] + sum(found["failed"].values()) + found["unknown"]
    )
    assert float(found["cost"]) == round(0.04 * (600 - len(silent)), 6)
    async with road.other.get("/v1/campaigns/spring/report") as answer:
        assert answer.status == 404 or (await answer.json())["accepted"] == 0
    async with road.other.get("/v1/contacts/spring-1") as answer:
        assert answer.status == 404


async def test_two_segmenters_and_two_routers_share_a_campaign_and_one_of_each_stops_in_the_middle(
    road: Road, french: Iterator[str]
) -> None:
    numbers = [next(french) for _ in range(6000)]
    refs = await audience(road, "relay", numbers)
    await campaign(road, "relay")
    segmenter = await road.stack.start_service("segmenter", replica=2)
    router = await road.stack.start_service("router", replica=2)
    try:
        await post(road, "/v1/campaigns/relay/launch")
        async with asyncio.timeout(60):
            while sum(r["campaign_id"] == "relay" for r in (await ledger(road.stack)).values()) < 1000:
                await asyncio.sleep(0.2)
    finally:
        await asyncio.gather(road.stack.stop_service(segmenter), road.stack.stop_service(router))
    rows = await of_campaign(road, "relay", 6000, within_s=120)
    number_of = dict(zip(refs, numbers, strict=True))
    ends = check(
        {m: number_of[r["contact_ref"]] for m, r in rows.items()},
        rows,
        await carriers_saw(road.stack, ("mercure", "iris")),
    )
    assert len(rows) == 6000
    assert ends["dropped"] == 0
    found = await report(road, "relay", 6000)
    assert found["delivered"] == ends["delivered"]


async def test_a_stop_from_a_handset_holds_for_the_next_marketing_message_and_not_for_a_code(
    road: Road, french: Iterator[str]
) -> None:
    numbers = [next(french) for _ in range(3)]
    await audience(road, "stop", numbers)
    await campaign(road, "stop")
    await post(road, "/v1/campaigns/stop/launch")
    await of_campaign(road, "stop", 3)
    import aiohttp

    async with aiohttp.ClientSession() as session:
        body = {"from": numbers[0].lstrip("+"), "to": "RELAIS", "text": "Stop svp"}
        async with session.post(f"{road.stack.control('mercure')}/inbound", json=body) as answer:
            assert answer.status < 300, await answer.text()
    async with asyncio.timeout(15):
        while True:
            async with road.client.get("/v1/contacts/stop-0/consents") as answer:
                if '"withdrawn"' in (await answer.text()).replace(" ", ""):
                    break
            await asyncio.sleep(0.2)
    async with road.client.post(
        "/v1/messages/batch",
        json={
            "messages": [{"to": n, "class": "marketing", "text": "Encore une offre"} for n in numbers]
            + [{"to": numbers[0], "class": "otp", "text": "Code 42"}]
        },
    ) as answer:
        ids = [r["message_id"] for r in (await answer.json())["results"]]
    rows = await until_all_final(road.stack, ids)
    assert (rows[ids[0]]["status"], rows[ids[0]]["reason"]) == ("dropped", "opted_out")
    assert all(rows[i]["status"] != "dropped" for i in ids[1:])


async def test_a_cancelled_campaign_sends_nothing_more(road: Road, french: Iterator[str]) -> None:
    numbers = [next(french) for _ in range(3000)]
    await audience(road, "cancel", numbers)
    await campaign(road, "cancel")
    await post(road, "/v1/campaigns/cancel/launch")
    await asyncio.sleep(0.4)
    await post(road, "/v1/campaigns/cancel/cancel")
    await asyncio.sleep(3)
    before = sum(
        len(s.taken) for n, s in (await carriers_saw(road.stack, ("mercure", "iris"))).items() if n in set(numbers)
    )
    await asyncio.sleep(3)
    after = sum(
        len(s.taken) for n, s in (await carriers_saw(road.stack, ("mercure", "iris"))).items() if n in set(numbers)
    )
    assert before == after, "sent on after the cancel"
    assert after < len(numbers)
    rows = {k: r for k, r in (await ledger(road.stack)).items() if r["campaign_id"] == "cancel"}
    assert all(r["reason"] == "cancelled" for r in rows.values() if r["status"] == "dropped")
