"""The running service and receivers of every kind: batches, other forms, told again, slow, endless, dead."""

import asyncio
import json
from typing import Any
from urllib.parse import parse_qsl

import pytest
from aiohttp import web
from dlr_processor.adapters.post_callback import MOST_BYTES, CallbackPoster
from dlr_processor.adapters.secrets import new_secret
from dlr_processor.domain.shapes import Call
from relais_local.ports import free_port
from stack.dlr_processor.ledger_world import World, eventually
from standardwebhooks.webhooks import Webhook


async def endpoint(world: World, name: str, **more: Any) -> dict[str, Any]:
    body = {"url": f"{world.neighbours.url}/hook/{name}", "events": ["delivered"], **more}
    status, made = await world.call("POST", "/v1/callbacks", body)
    assert status == 201, made
    return dict(made)


async def deliver(world: World, number: int = 1, **more: Any) -> list[Any]:
    stories = [world.story() for _ in range(number)]
    await world.publish(*(e for s in stories for e in (s.prepared(**more), s.submitted(), s.receipt())))
    for story in stories:
        await world.until(story, "delivered")
    return stories


async def test_a_receiver_that_asks_for_batches_gets_each_callback_once_in_signed_batches(world: World) -> None:
    made = await endpoint(world, "batched", batch=50)
    try:
        stories = await deliver(world, 120)

        def told() -> list[str]:
            return [c["data"]["message_id"] for b in world.neighbours.calls("batched") for c in b["data"]["callbacks"]]

        async def all_told() -> bool:
            return len(told()) >= 120

        await eventually(all_told)
        assert sorted(told()) == sorted(story.message_id for story in stories)
        calls = [(h, b) for name, h, b in world.neighbours.received if name == "batched"]
        assert len(calls) < 60
        for headers, body in calls:
            Webhook(made["secret"]).verify(body, headers)
            assert len(json.loads(body)["data"]["callbacks"]) <= 50
    finally:
        await world.call("DELETE", f"/v1/callbacks/{made['id']}")


async def test_a_receiver_of_another_form_gets_it_and_is_asked_for_its_own_acknowledgement(world: World) -> None:
    made = [await endpoint(world, shape, shape=shape) for shape in ("twilio", "infobip", "jasmin")]
    try:
        [story] = await deliver(world)

        async def told() -> bool:
            return {"twilio", "infobip", "jasmin"} <= {name for name, _, _ in world.neighbours.received}

        await eventually(told)
        bodies = {name: body.decode() for name, _, body in world.neighbours.received}
        assert dict(parse_qsl(bodies["twilio"]))["MessageStatus"] == "delivered"
        assert json.loads(bodies["infobip"])["results"][0]["messageId"] == story.message_id
        assert dict(parse_qsl(bodies["jasmin"]))["message_status"] == "DELIVRD"

        async def health() -> Any:
            found = (await world.call("GET", f"/v1/callbacks/{made[2]['id']}"))[1]["health"]
            return found if found["state"] == "failing" else None

        # Our receiver answers 200 without `ACK/Jasmin`: that does not count.
        assert (await eventually(health))["waiting"] == 1
    finally:
        for each in made:
            await world.call("DELETE", f"/v1/callbacks/{each['id']}")


async def test_a_dead_endpoint_is_slowed_down_and_says_so(world: World) -> None:
    async def answer(name: str, body: bytes) -> int:
        return 500 if name == "gone" else 200

    world.neighbours.answers = answer
    made = await endpoint(world, "gone")
    try:
        await deliver(world, 20)

        async def health() -> Any:
            found = (await world.call("GET", f"/v1/callbacks/{made['id']}"))[1]["health"]
            return found if found["state"] == "slowed" else None

        found = await eventually(health)
        assert (found["delivered"], found["last_outcome"]) == (0, "retry")
        assert found["failures_in_a_row"] >= 5
        assert found["next_probe_at"] > found["last_failed_at"]
        other = await world.call("GET", f"/v1/callbacks/{made['id']}", tenant="other")
        assert other[0] == 404
    finally:
        world.neighbours.answers = None
        await world.call("DELETE", f"/v1/callbacks/{made['id']}")


async def test_states_are_told_again_by_message_by_time_and_by_status(world: World) -> None:
    [story] = await deliver(world)
    failed = world.story()
    await world.publish(failed.prepared(), failed.submitted(), failed.receipt(state="undelivered"))
    await world.until(failed, "undelivered")
    made = await endpoint(world, "again", events=["delivered", "undelivered"])
    try:

        async def told(story: Any, times: int) -> Any:
            async def found() -> bool:
                return [c["data"]["message_id"] for c in world.neighbours.calls("again")].count(
                    story.message_id
                ) >= times

            return await eventually(found)

        status, body = await world.call("POST", "/v1/callbacks/redeliver", {"message_ids": [story.message_id]})
        assert (status, body) == (202, {"messages": 1, "queued": 1})
        await told(story, 1)
        since = "1970-01-01T00:00:00Z"
        asked = {"callback": made["id"], "since": since, "status": "undelivered"}
        status, body = await world.call("POST", "/v1/callbacks/redeliver", asked)
        assert status == 202
        assert body["queued"] == body["messages"] >= 1
        await told(failed, 1)
        status, body = await world.call(
            "POST", "/v1/callbacks/redeliver", {"message_ids": [story.message_id]}, tenant="other"
        )
        assert (status, body) == (202, {"messages": 0, "queued": 0})
        ids = {headers["webhook-id"] for name, headers, b in world.neighbours.received
               if name == "again" and json.loads(b)["data"]["message_id"] == story.message_id}  # fmt: skip
        assert len(ids) == 1

        async def recorded() -> Any:
            shown = (await world.call("GET", f"/v1/messages/{story.message_id}"))[1]["callbacks"]
            return [c for c in shown if c["outcome"] == "delivered" and c["callback"] == made["id"]]

        assert await eventually(recorded)
        for body in ({}, {"message_ids": ["x"]}, {"since": "yesterday"}, {"since": since, "status": "read"}):
            assert (await world.call("POST", "/v1/callbacks/redeliver", body))[0] == 422
    finally:
        await world.call("DELETE", f"/v1/callbacks/{made['id']}")


async def test_lists_reasons_policies_and_numbers_answer(world: World) -> None:
    status, body = await world.call("GET", "/v1/reasons")
    expired = next(r for r in body["reasons"] if r["reason"] == "expired")
    assert (status, expired["temporary"], expired["fault"]) == (200, True, "recipient")
    status, body = await world.call("PUT", "/v1/retries/otp", {"reasons": ["invalid_number"]})
    assert (status, body["errors"][0]["field"]) == (422, "reasons")
    assert (await world.call("PUT", "/v1/retries/otp", {"reasons": ["expired"]}, tenant="lister"))[0] == 200
    status, body = await world.call("GET", "/v1/retries", tenant="lister")
    assert body == {"retries": [{"class": "otp", "reasons": ["expired"], "attempts": 2, "within_s": 21600}]}
    assert (await world.call("GET", "/v1/retries", tenant="other"))[1] == {"retries": []}
    assert (await world.call("DELETE", "/v1/retries/otp", tenant="lister"))[0] == 204
    assert (await world.call("GET", f"/v1/numbers/{'f' * 32}"))[1]["score"] == 100
    status, body = await world.call("GET", "/v1/inbound?limit=1&keyword=stop")
    assert status == 200
    assert all("number" not in entry and "text" not in entry for entry in body["inbound"])
    assert (await world.call("GET", "/v1/inbound?cursor=x"))[0] == 422


@pytest.mark.parametrize(
    ("kind", "outcome"), [("slow", "retry"), ("endless", "delivered"), ("redirect", "retry"), ("gone", "given_up")]
)
async def test_a_receiver_that_misbehaves_costs_a_bounded_time_and_memory(kind: str, outcome: str) -> None:
    sent = 0

    async def hook(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        match kind:
            case "slow":
                await asyncio.sleep(60)
            case "redirect":
                return web.Response(status=302, headers={"Location": "/elsewhere"})
            case "gone":
                return web.Response(status=410)
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b"x" * 65_536)
            sent += 65_536

    async def elsewhere(request: web.Request) -> web.Response:
        raise AssertionError("a redirect was followed")

    app = web.Application()
    app.router.add_post("/hook", hook)
    app.router.add_route("*", "/elsewhere", elsewhere)
    runner, port = web.AppRunner(app, shutdown_timeout=0.1), free_port([])
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    poster = CallbackPoster(allow_loopback=True, timeout_s=1.0)
    await poster.open()
    try:
        call = Call("POST", f"http://127.0.0.1:{port}/hook", "msg_1", "{}", {})
        started = asyncio.get_running_loop().time()
        assert await poster.post(call, [new_secret()], 1_760_000_000) == outcome
        assert asyncio.get_running_loop().time() - started < 3
        assert sent < 64 * MOST_BYTES * 16
    finally:
        await poster.close()
        await runner.cleanup()
