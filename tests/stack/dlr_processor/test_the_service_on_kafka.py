"""Two replicas of dlr-processor on real Kafka, PostgreSQL and registry, over HTTP as callers meet it."""

import asyncio
import base64
import contextlib
import json
from typing import Any

import aiohttp
import pytest
from shared.clock import now_ms
from shared.contracts.events import InboundReceived
from shared.contracts.topics import STATUS
from stack.dlr_processor.ledger_world import World, eventually
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from unit.dlr_processor import ledger_events as e


async def test_a_message_is_followed_from_acceptance_to_delivery_and_its_story_is_told(world: World) -> None:
    story = world.story()
    await world.publish(story.receipt(), story.submitted(), story.prepared(), story.accepted())
    await world.until(story, "delivered")

    async def complete() -> Any:
        _, body = await world.call("GET", f"/v1/messages/{story.message_id}")
        return body if len(body["events"]) == 4 and "campaign" in body else None

    body = await eventually(complete)
    assert body["carrier"] == "mercure"
    [part] = body["parts"]
    assert (part["part"], part["carrier_message_id"], part["status"]) == (1, story.carrier_id, "delivered")
    assert (body["cost"], body["currency"], body["campaign"]) == ("0.045", "EUR", "spring")
    assert [event["status"] for event in body["events"]] == ["accepted", "prepared", "submitted", "delivered"]
    assert body["decision"] == "least_cost mercure=0.045"
    assert [attempt["outcome"] for attempt in body["attempts"]] == ["submitted"]


async def test_each_status_is_published_once_with_rising_versions_keyed_by_the_message(world: World) -> None:
    story = world.story()
    await world.publish(story.accepted(), story.prepared())
    await world.until(story, "prepared")
    await world.publish(story.submitted(), story.submitted())
    await world.until(story, "submitted")
    await world.publish(story.receipt(), story.receipt(state="undelivered"))
    await world.until(story, "delivered")

    async def final() -> Any:
        return any(status.final for status in world.told(story))

    await eventually(final)
    told = world.told(story)
    assert [status.version for status in told] == list(range(1, len(told) + 1))
    assert [s.state for status in told for s in status.states] == ["accepted", "prepared", "submitted", "delivered"]


async def test_an_id_that_the_ledger_has_not_heard_of_is_accepted_when_it_is_ours_and_unknown_when_not(
    world: World,
) -> None:
    story = world.story()
    assert await world.call("GET", f"/v1/messages/{story.message_id}") == (
        200,
        {"message_id": story.message_id, "status": "accepted"},
    )
    for stranger in (story.message_id[:-1] + ("0" if story.message_id[-1] != "0" else "1"), "nonsense", "0" * 36):
        status, body = await world.call("GET", f"/v1/messages/{stranger}")
        assert (status, body["title"]) == (404, "not found")
    assert (await world.call("GET", f"/v1/messages/{story.message_id}", tenant="other"))[0] == 404


async def test_another_tenant_sees_neither_the_message_nor_the_list_nor_the_endpoints(world: World) -> None:
    story = world.story()
    await world.publish(story.prepared(client_ref="only-mine"))
    await world.until(story, "prepared")
    status, endpoint = await world.call("POST", "/v1/callbacks", {"url": f"{world.neighbours.url}/hook/apart"})
    assert status == 201
    assert (await world.call("GET", f"/v1/messages/{story.message_id}", tenant="other"))[0] == 404
    assert (await world.call("GET", "/v1/messages?client_ref=only-mine", tenant="other"))[1] == {"messages": []}
    listed = await world.call("GET", "/v1/callbacks", tenant="other")
    assert endpoint["id"] not in json.dumps(listed[1])
    assert (await world.call("DELETE", f"/v1/callbacks/{endpoint['id']}", tenant="other"))[0] == 404
    assert (await world.call("DELETE", f"/v1/callbacks/{endpoint['id']}"))[0] == 204


async def test_a_key_without_the_scope_is_refused(world: World) -> None:
    assert (await world.call("GET", "/v1/messages", scope="contacts:read"))[0] == 403
    assert (await world.call("GET", "/v1/callbacks", scope="messages:read"))[0] == 403


async def test_lists_are_filtered_and_paged_newest_first(world: World) -> None:
    stories = [world.story() for _ in range(7)]
    await world.publish(*(s.prepared(campaign_id="paged", client_ref=f"ref-{n}") for n, s in enumerate(stories)))
    await world.publish(stories[3].submitted(), stories[3].receipt())
    for story in stories:
        await world.until(story, "delivered" if story is stories[3] else "prepared")
    found: list[str] = []
    cursor = ""
    while True:
        status, page = await world.call("GET", f"/v1/messages?campaign=paged&limit=3{cursor}")
        assert status == 200
        found += [message["message_id"] for message in page["messages"]]
        if "next_cursor" not in page:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == sorted((story.message_id for story in stories), reverse=True)
    _, page = await world.call("GET", "/v1/messages?campaign=paged&status=delivered")
    assert [message["message_id"] for message in page["messages"]] == [stories[3].message_id]
    _, page = await world.call("GET", "/v1/messages?client_ref=ref-5")
    assert stories[5].message_id in [message["message_id"] for message in page["messages"]]
    _, page = await world.call("GET", "/v1/messages?campaign=paged&until=2020-01-01T00:00:00Z")
    assert page["messages"] == []
    for wrong in ("status=lost", "since=yesterday", "cursor=x", "limit=0"):
        assert (await world.call("GET", f"/v1/messages?{wrong}"))[0] == 422


async def test_a_drop_shows_its_reason_and_what_decided(world: World) -> None:
    story = world.story()
    drop = e.dropped(
        story.message_id, story.now, "opted_out", detail="STOP of last week", rules="fr-4", accepted_at=story.now
    )
    await world.publish(drop)
    body = await world.until(story, "dropped")
    assert (body["reason"], body["detail"], body["parts"]) == ("opted_out", "segmenter: STOP of last week (fr-4)", [])


async def test_a_bad_record_goes_to_the_dead_letters_and_the_next_one_is_handled(world: World) -> None:
    bad, good = world.story(), world.story()
    forged = bad.submitted()
    forged.message_id = "no-uuid"
    await world.publish(forged, good.submitted(), good.prepared())
    await world.until(good, "submitted")


async def test_callbacks_are_signed_and_arrive_in_order_for_one_message(world: World) -> None:
    near = world.neighbours
    status, endpoint = await world.call("POST", "/v1/callbacks", {"url": f"{near.url}/hook/signed"})
    assert status == 201
    assert endpoint["secret"].startswith("whsec_")
    assert "secret" not in json.dumps((await world.call("GET", "/v1/callbacks"))[1])
    story, other = world.story(), world.story("other")
    await world.publish(story.prepared(), story.submitted(), other.prepared(), other.submitted())
    await world.until(story, "submitted")
    await world.publish(story.receipt(state="undelivered", reason="invalid_number"), other.receipt())
    await world.until(other, "delivered")

    async def both() -> Any:
        return [c["data"] for c in near.calls("signed") if c["data"]["message_id"] == story.message_id][1:]

    await eventually(both)
    calls = [call for call in near.calls("signed") if call["data"]["message_id"] == story.message_id]
    assert [call["data"]["status"] for call in calls] == ["submitted", "undelivered"]
    assert [call["data"]["version"] for call in calls] == sorted(call["data"]["version"] for call in calls)
    data = calls[1]["data"]
    assert (calls[1]["type"], data["reason"], data["carrier"], data["client_ref"]) == (
        "message.status", "invalid_number", "mercure", "order-7",
    )  # fmt: skip
    assert (data["parts"], data["cost"], data["currency"]) == (1, "0.045", "EUR")
    assert other.message_id not in json.dumps(near.calls("signed")), "the other tenant's message went to this endpoint"
    for name, headers, body in near.received:
        if name == "signed":
            Webhook(endpoint["secret"]).verify(body, headers)
            with pytest.raises(WebhookVerificationError):
                Webhook(endpoint["secret"]).verify(body.replace(b"submitted", b"delivered") + b" ", headers)
    assert (await world.call("DELETE", f"/v1/callbacks/{endpoint['id']}"))[0] == 204


async def test_a_messages_own_callback_url_is_signed_with_the_tenants_secret_and_both_secrets_after_a_change(
    world: World,
) -> None:
    first = (await world.call("POST", "/v1/callbacks/secret"))[1]["secret"]
    second = (await world.call("POST", "/v1/callbacks/secret"))[1]["secret"]
    story = world.story()
    await world.publish(story.prepared(callback_url=f"{world.neighbours.url}/hook/own"), story.submitted())

    async def called() -> Any:
        return world.neighbours.calls("own")

    await eventually(called)
    for name, headers, body in world.neighbours.received:
        if name == "own":
            Webhook(first).verify(body, headers)
            Webhook(second).verify(body, headers)


async def test_a_failed_callback_comes_again_with_the_same_id_and_holds_back_the_later_one(world: World) -> None:
    near, story = world.neighbours, world.story()
    answers = [500, 302, 200, 200]

    async def answer(name: str, body: bytes) -> int:
        return answers.pop(0) if name == "stumbles" else 200

    near.answers = answer
    try:
        await world.publish(story.prepared(callback_url=f"{near.url}/hook/stumbles"), story.submitted())
        await world.until(story, "submitted")
        await world.publish(story.receipt())
        await world.until(story, "delivered")

        async def tried(times: int) -> bool:
            # The second pause of the schedule, five minutes, is cut short here; leases last half a minute.
            await world.admin.execute(
                "UPDATE dlr_processor.callback_queue SET due_at = 0 WHERE message_id = $1 AND due_at > $2",
                story.message_id,
                now_ms() + 60_000,
            )
            return len(near.calls("stumbles")) >= times

        await eventually(lambda: tried(4), 40)
    finally:
        near.answers = None
    calls = [
        (headers["webhook-id"], json.loads(body)["data"]) for name, headers, body in near.received if name == "stumbles"
    ]
    assert [data["status"] for _, data in calls] == ["submitted", "submitted", "submitted", "delivered"]
    assert len({webhook_id for webhook_id, _ in calls}) == 2
    assert not near.calls("elsewhere"), "a redirect was followed"


async def test_a_dead_receiver_delays_no_other(world: World) -> None:
    near = world.neighbours

    async def answer(name: str, body: bytes) -> int:
        if name == "dead":
            await asyncio.sleep(5)
            return 500
        return 200

    near.answers = answer
    endpoints = []
    try:
        for name in ("dead", "alive"):
            status, endpoint = await world.call(
                "POST", "/v1/callbacks", {"url": f"{near.url}/hook/{name}", "events": ["delivered"]}
            )
            assert status == 201
            endpoints.append(endpoint)
        stories = [world.story() for _ in range(300)]
        await world.publish(*(event for s in stories for event in (s.prepared(), s.submitted(), s.receipt())))

        async def all_told() -> bool:
            return len({call["data"]["message_id"] for call in near.calls("alive")}) >= 300

        await eventually(all_told)
        assert len(near.calls("dead")) < 300, "the living one was done before the dead one had been tried through"
    finally:
        near.answers = None
        for endpoint in endpoints:
            await world.call("DELETE", f"/v1/callbacks/{endpoint['id']}")


async def test_an_endpoint_with_a_bad_url_or_event_is_refused_with_the_field(world: World) -> None:
    for body, field in (
        ({"url": "ftp://shop.example/"}, "url"),
        ({"url": "https://10.0.0.1/hook"}, "url"),
        ({"url": "https://[::ffff:169.254.169.254]/"}, "url"),
        ({"url": "https://user:secret@shop.example/"}, "url"),
        ({"url": "https://shop.example/", "events": ["read"]}, "events"),
        ({"url": "https://shop.example/", "colour": "red"}, "colour"),
        ({}, "url"),
    ):
        status, problem = await world.call("POST", "/v1/callbacks", body)
        assert status == 422
        assert problem["errors"][0]["field"] == field


async def test_a_stop_reaches_the_segmenter_after_it_was_away_and_the_ledger_goes_on_meanwhile(world: World) -> None:
    near, story, later = world.neighbours, world.story(), world.story()
    near.segmenter_answers = 503
    await world.publish(story.prepared(), story.submitted())
    await world.until(story, "submitted")
    stop = InboundReceived(
        event_id=f"stop:{story.message_id}", tenant_id="system", occurred_at=story.now + 10, carrier="mercure",
        number=b"sealed", number_hash=story.number_hash, recipient="SHOP", text=b"sealed", keyword="stop",
    )  # fmt: skip
    await world.publish(stop)
    await world.publish(later.prepared(), later.submitted(), later.receipt())
    await world.until(later, "delivered")
    assert not [o for o in near.opt_outs if o["event_id"] == stop.event_id]
    near.segmenter_answers = 204

    async def told() -> Any:
        return [o for o in near.opt_outs if o["event_id"] == stop.event_id]

    assert await eventually(told) == [
        {
            "event_id": stop.event_id, "tenant_id": "acme", "contact_id": "c" * 32, "number_hash": story.number_hash,
            "keyword": "stop", "carrier": "mercure", "recipient": "SHOP", "at": stop.occurred_at,
            "number": base64.b64encode(stop.number).decode(),
        }
    ]  # fmt: skip


async def test_a_replica_killed_in_the_middle_loses_and_doubles_nothing(world: World) -> None:
    stories = [world.story() for _ in range(400)]
    await world.publish(*(story.prepared() for story in stories))
    await world.publish(*(story.submitted() for story in stories))
    victim = world.replicas[1]
    assert victim.process is not None
    victim.process.kill()
    await victim.process.wait()
    await world.publish(*(story.receipt() for story in stories))
    await victim.start()

    async def all_delivered() -> bool:
        return bool(
            await world.admin.fetchval(
                "SELECT count(*) = 400 FROM dlr_processor.messages WHERE status = 'delivered' AND message_id = ANY($1::uuid[])",
                [story.message_id for story in stories],
            )
        )

    await eventually(all_delivered, 60)

    async def all_told() -> bool:
        mine = {story.message_id for story in stories}
        return len({status.message_id for status in world.seen if status.final and status.message_id in mine}) == 400

    await eventually(all_told)
    for story in stories:
        versions = {status.version for status in world.told(story)}
        # The first is missing where a submission was read before the preparation that names the campaign.
        assert sorted(versions) == list(range(min(versions), max(versions) + 1))
    async with aiohttp.ClientSession() as http:

        async def back() -> bool:
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(f"{victim.url}/readyz") as answer:
                    return answer.status == 200
            return False

        await eventually(back, 40)


async def test_the_metrics_name_what_was_published(world: World) -> None:
    async with world.http.get(f"{world.replicas[0].url}/metrics") as answer:
        text = await answer.text()
    assert "relais_status_published" in text
    assert "relais_receipts_unmatched" in text
    assert STATUS.name in text
