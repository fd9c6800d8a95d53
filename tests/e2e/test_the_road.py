"""A message goes out through six services on real Kafka, and its receipt comes back."""

import asyncio
import json
import secrets
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks import Webhook
from support.history import carriers_saw, check, check_forward, until_all_final
from support.road import Road, accepted, ended, story

SIMULATED = ("mercure", "iris")


async def test_a_message_is_delivered_its_story_told_and_a_stranger_sees_nothing(
    road: Road, french: Iterator[str]
) -> None:
    number = next(french)
    body = {"to": number, "class": "transactional", "text": "Votre commande est prête.", "client_ref": "order-1"}
    async with road.client.post("/v1/messages", json=body) as answer:
        assert answer.status == 202, await answer.text()
        message_id = (await answer.json())["message_id"]
    assert (await story(road, message_id))["status"] in (
        "accepted",
        "prepared",
        "submitted",
        "delivered",
        "undelivered",
    )
    found = await ended(road, message_id)
    check_forward(found["events"])
    assert found["carrier"] == "mercure", "the cheapest for +33"
    assert found["client_ref"] == "order-1"
    assert [p["part"] for p in found["parts"]] == [1]
    assert found["parts"][0]["carrier_message_id"]
    assert float(found["cost"]) == 0.04
    assert "mercure" in found["decision"]
    async with road.other.get(f"/v1/messages/{message_id}") as answer:
        assert answer.status == 404
    async with road.other.get("/v1/messages", params={"client_ref": "order-1"}) as answer:
        assert (await answer.json())["messages"] == []
    check(
        {message_id: number}, await until_all_final(road.stack, [message_id]), await carriers_saw(road.stack, SIMULATED)
    )


async def test_an_invented_id_is_not_found(road: Road) -> None:
    async with road.client.get(f"/v1/messages/{uuid.uuid4()}") as answer:
        assert answer.status == 404
        assert answer.content_type == "application/problem+json"


async def test_a_long_text_goes_out_in_parts_each_with_its_own_receipt(road: Road, french: Iterator[str]) -> None:
    number = next(french)
    [message_id] = await accepted(
        road, [{"to": number, "class": "transactional", "text": "Ceci est un texte long. " * 15}]
    )
    found = await ended(road, message_id)
    assert len(found["parts"]) == 3
    assert len({p["carrier_message_id"] for p in found["parts"]}) == 3
    rows = await until_all_final(road.stack, [message_id])
    seen = await carriers_saw(road.stack, SIMULATED)
    check({message_id: number}, rows, seen, parts=3)
    assert float(found["cost"]) == 0.12


async def test_two_thousand_messages_arrive_once_each_and_repeats_of_the_request_add_nothing(
    road: Road, french: Iterator[str]
) -> None:
    numbers = [next(french) for _ in range(2000)]
    messages = [{"to": n, "class": "transactional", "text": f"Bonjour {i}"} for i, n in enumerate(numbers)]
    ids = await accepted(road, messages[:1000], **{"Idempotency-Key": "k-1"}) + await accepted(
        road, messages[1000:], **{"Idempotency-Key": "k-2"}
    )
    assert await accepted(road, messages[:1000], **{"Idempotency-Key": "k-1"}) == ids[:1000]
    async with road.client.post(
        "/v1/messages/batch", json={"messages": messages[1000:]}, headers={"Idempotency-Key": "k-1"}
    ) as answer:
        assert answer.status == 422
    rows = await until_all_final(road.stack, ids)
    ends = check(dict(zip(ids, numbers, strict=True)), rows, await carriers_saw(road.stack, SIMULATED))
    assert ends["delivered"] > 1800


async def test_callbacks_are_signed_and_in_order(road: Road, french: Iterator[str]) -> None:
    got: list[tuple[dict[str, str], bytes]] = []

    async def receive(request: web.Request) -> web.Response:
        got.append((dict(request.headers), await request.read()))
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/hook", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    url = f"http://127.0.0.1:{port}/hook"
    async with road.client.post(
        "/v1/callbacks", json={"url": url, "events": ["submitted", "delivered", "undelivered"]}
    ) as answer:
        assert answer.status in (200, 201), await answer.text()
        created = await answer.json()
    [message_id] = await accepted(road, [{"to": next(french), "class": "otp", "text": "Code 123456"}])
    await ended(road, message_id)
    mine: list[str] = []
    async with asyncio.timeout(15):
        while not mine or mine[-1] not in ("delivered", "undelivered"):
            await asyncio.sleep(0.2)
            bodies = [json.loads(b) for _, b in got]
            mine = [b["data"]["status"] for b in bodies if b["data"]["message_id"] == message_id]
    for headers, body in got:
        Webhook(created["secret"]).verify(body, {k.lower(): v for k, v in headers.items()})
    rank = {"accepted": 0, "prepared": 1, "deferred": 2, "submitted": 3, "delivered": 4, "undelivered": 4}
    assert [rank[s] for s in mine] == sorted(rank[s] for s in mine)
    async with road.client.delete(f"/v1/callbacks/{created['id']}") as answer:
        assert answer.status in (200, 204)
    await runner.cleanup()


BAD: list[tuple[dict[str, Any], str]] = [
    ({"to": "0612345678", "class": "otp", "text": "x"}, "to"),
    ({"to": "+33612345678", "class": "spam", "text": "x"}, "class"),
    ({"to": "+33612345678", "class": "otp"}, "text"),
    ({"to": "+33612345678", "class": "otp", "text": ""}, "text"),
    ({"to": "+33612345678", "class": "otp", "text": "x", "validity_s": 1}, "validity_s"),
    ({"to": "+33612345678", "class": "otp", "text": "x", "callback_url": "ftp://x"}, "callback_url"),
    ({"to": "+33612345678", "class": "otp", "text": "x", "colour": "red"}, "colour"),
    ({"to": 5, "class": "otp", "text": "x"}, "to"),
]


@pytest.mark.parametrize(("body", "field"), BAD, ids=[f for _, f in BAD])
async def test_a_malformed_request_names_the_field_and_leaves_nothing_behind(
    road: Road, body: dict[str, Any], field: str
) -> None:
    reference = f"bad-{secrets.token_hex(4)}"
    async with road.client.post("/v1/messages", json={**body, "client_ref": reference}) as answer:
        problem = await answer.json(content_type=None)
        assert 400 <= answer.status < 500
        assert answer.content_type == "application/problem+json"
        assert field in json.dumps(problem["errors"])
        assert str(body.get("to")) not in json.dumps(problem)
    await asyncio.sleep(0.3)
    async with road.client.get("/v1/messages", params={"client_ref": reference}) as answer:
        assert (await answer.json())["messages"] == []


async def test_a_wrong_key_is_refused_everywhere(road: Road) -> None:
    for method, path in (
        ("POST", "/v1/messages"),
        ("GET", "/v1/messages"),
        ("PUT", "/v1/contacts/a"),
        ("GET", "/v1/carriers"),
    ):
        async with road.client.request(
            method, path, json={}, headers={"Authorization": "Bearer rk_aaaaaaaa_" + "b" * 43}
        ) as answer:
            assert answer.status == 401, path


@pytest.mark.parametrize(("prefix", "carrier"), [("+491512345", "jsmpp"), ("+34612345", "node")])
async def test_the_whole_road_holds_against_an_smsc_that_others_wrote(road: Road, prefix: str, carrier: str) -> None:
    numbers = [f"{prefix}{n:04d}" if carrier == "jsmpp" else f"{prefix}{n:03d}" for n in range(100, 140)]
    texts = ["Hallo aus Berlin" if i % 3 else "Grüße, 你好 " + "x" * 80 for i in range(len(numbers))]
    ids = await accepted(
        road, [{"to": n, "class": "transactional", "text": t} for n, t in zip(numbers, texts, strict=True)]
    )
    rows = await until_all_final(road.stack, ids)
    assert {r["carrier"] for r in rows.values()} == {carrier}
    if carrier == "jsmpp":
        assert {r["status"] for r in rows.values()} == {"delivered"}
    else:
        for message_id, number in zip(ids, numbers, strict=True):
            assert rows[message_id]["status"] == ("undelivered" if number.endswith("9") else "delivered")
        submits = [s for s in await road.node.submits() if "+" + s["to"].lstrip("+") in numbers]
        assert len(submits) == sum(2 if "你" in t else 1 for t in texts), "one submit a part, none twice"
