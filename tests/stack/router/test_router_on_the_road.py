"""The router as a process, two replicas of it, between real topics."""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
from shared.clock import now_ms
from shared.contracts.events import MessagePrepared, MessageReturned
from shared.contracts.topics import Lane, returned

pytestmark = pytest.mark.stack
Make = Callable[..., MessagePrepared]


async def kept(road: Any, *messages: MessagePrepared) -> int:
    connection = await asyncpg.connect(road.parts.admin_url())
    try:
        ids = [message.message_id for message in messages]
        return await connection.fetchval("SELECT count(*) FROM router.deferred WHERE message_id = ANY($1::uuid[])", ids)
    finally:
        await connection.close()


async def test_a_message_goes_to_the_cheapest_carrier_with_the_reason(road: Any, make: Make) -> None:
    message = make()
    await road.prepare(message)
    event = await road.submitted(message)
    assert (event.carrier, event.price, event.currency, event.attempt) == ("mercure", 45_000, "EUR", 1)
    assert event.decision.startswith("least_cost mercure=0.045 iris=0.050 prices=")
    assert (event.number, event.text, event.not_after) == (message.number, message.text, message.not_after)
    [(topic, key, _)] = road.seen[message.message_id]
    assert topic == "sms.submit.mercure.now.v1"
    assert key == message.contact_id.encode()


async def test_marketing_takes_the_bulk_lane(road: Any, make: Make) -> None:
    message = make(purpose="marketing", prefix="4915112")
    await road.prepare(message)
    event = await road.submitted(message)
    assert event.carrier == "iris"
    assert road.seen[message.message_id][0][0] == "sms.submit.iris.bulk.v1"


async def test_a_returned_message_takes_another_way(road: Any, make: Make) -> None:
    m = make()
    back = MessageReturned(
        event_id="r", tenant_id=m.tenant_id, occurred_at=now_ms(), message_id=m.message_id, contact_id=m.contact_id,
        number_hash=m.number_hash, purpose=m.purpose, number=m.number, text=m.text, encoding=m.encoding, parts=m.parts,
        country=m.country, prefix=m.prefix, not_after=m.not_after, accepted_at=m.accepted_at, attempt=1, carrier="mercure",
        cause="carrier_down", tried=["mercure"],
    )  # fmt: skip
    await road.publish((returned(Lane.NOW).name, m.contact_id, back))
    event = await road.submitted(m)
    assert (event.carrier, event.attempt, event.tried) == ("iris", 2, ["mercure"])


async def test_a_message_for_later_is_kept_and_goes_when_its_moment_comes_not_before(road: Any, make: Make) -> None:
    due = now_ms() + 1_500
    message = make(not_before=due)
    await road.prepare(message)
    deferral = await road.deferred(message)
    assert (deferral.until, deferral.reason) == (due, "send_at")
    assert await kept(road, message) == 1
    event = await road.submitted(message)
    assert event.occurred_at >= due
    async with asyncio.timeout(10):
        while await kept(road, message):  # it is published first and let go in the commit that follows
            await asyncio.sleep(0.05)


async def test_a_stop_removes_what_waits(road: Any, make: Make) -> None:
    message = make(purpose="marketing", not_before=now_ms() + 600_000, campaign_id="stopped")
    other = make(purpose="marketing", not_before=now_ms() + 600_000, campaign_id="stopped")
    await road.prepare(message, other)
    await asyncio.gather(road.deferred(message), road.deferred(other))
    await road.consent(message, "withdrawn", 1)
    drop = await road.dropped(message, within_s=2.0)
    assert (drop.reason, drop.stage, drop.contact_ref, drop.campaign_id) == ("opted_out", "router", "ann", "stopped")
    assert await kept(road, message) == 0
    assert await kept(road, other) == 1


async def test_after_a_stop_new_marketing_is_dropped_until_a_new_grant(road: Any, make: Make) -> None:
    first = make(purpose="marketing")
    await road.consent(first, "withdrawn", 1)
    await asyncio.sleep(0.5)
    await road.prepare(first)
    assert (await road.dropped(first)).reason == "opted_out"
    await road.consent(first, "granted", 2)
    await asyncio.sleep(0.5)
    second = make(purpose="marketing", contact_id=first.contact_id)
    await road.prepare(second)
    await road.submitted(second)


async def test_a_paused_campaign_waits_and_goes_when_it_resumes(road: Any, make: Make) -> None:
    await road.campaign("slow", "paused")
    await asyncio.sleep(0.5)
    messages = [make(purpose="marketing", campaign_id="slow") for _ in range(50)]
    await road.prepare(*messages)
    deferrals = await asyncio.gather(*(road.deferred(m) for m in messages))
    assert {(d.until, d.reason) for d in deferrals} == {(None, "campaign_paused")}
    await road.campaign("slow", "running")
    await asyncio.gather(*(road.submitted(m, within_s=3.0) for m in messages))
    assert await kept(road, *messages) == 0


async def test_a_cancelled_campaign_drops_what_waits(road: Any, make: Make) -> None:
    message = make(purpose="marketing", campaign_id="gone", not_before=now_ms() + 600_000)
    await road.prepare(message)
    await road.deferred(message)
    await road.campaign("gone", "cancelled")
    assert (await road.dropped(message, within_s=3.0)).reason == "cancelled"
    assert await kept(road, message) == 0


async def test_while_every_carrier_is_down_it_waits_and_goes_when_one_is_back(road: Any, make: Make) -> None:
    road.health.update(mercure="down", iris="down")
    await asyncio.sleep(0.7)
    waits, ends = make(), make(not_after=now_ms() + 1_200)
    await road.prepare(waits, ends)
    assert (await road.deferred(waits)).reason == "no_healthy_carrier"
    drop = await road.dropped(ends)
    assert (drop.reason, drop.detail) == ("window_missed", "all carriers were down until its time was over")
    road.health["iris"] = "up"
    event = await road.submitted(waits)
    assert event.carrier == "iris"
    assert "mercure=0.045(down)" in event.decision


async def test_new_prices_are_in_force_in_every_replica_within_two_seconds(road: Any) -> None:
    body = {"tps": 1000, "binds": 1, "currency": "EUR", "prices": {"": "0.05", "999": "0.123456"}}
    status, told = await road.call("PUT", "/v1/carriers/iris", body)
    assert status == 200
    await road.tariff(told["version"])
    answers = [await road.call("GET", "/v1/prices?prefix=999", replica=number) for number in (0, 1)]
    expected = [{"carrier": "iris", "prefix": "999", "price": "0.123456", "currency": "EUR"}]
    assert [found["prices"] for _, found in answers] == [expected, expected]
    assert (await road.call("PUT", "/v1/carriers/iris", body))[1]["version"] == told["version"]


async def test_an_explanation_names_every_candidate_and_why(road: Any) -> None:
    await road.all_up()
    status, told = await road.call("POST", "/v1/routes/explain", {"to": "+33612345678", "class": "otp", "parts": 2})
    assert status == 200
    assert (told["outcome"], told["carrier"], told["prefix"], told["cost"]) == ("send", "mercure", "3361234", "0.090")
    found = [(c["carrier"], c["matched"], c["price"], c["health"], c["result"]) for c in told["candidates"]]
    assert found == [("mercure", "33", "0.045", "up", "won"), ("iris", "", "0.050", "up", "dearer")]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("PUT", "/v1/carriers/Bad", {}, 422, "id"),
        (
            "PUT",
            "/v1/carriers/iris",
            {"tps": 1, "binds": 1, "currency": "EUR", "prices": {"33": "x"}},
            422,
            "prices.33",
        ),
        ("PUT", "/v1/carriers/iris", {"tps": 1, "binds": 1, "currency": "USD", "prices": {}}, 409, "currency"),
        ("POST", "/v1/routes/explain", {"to": "0612", "class": "otp"}, 422, "to"),
        ("POST", "/v1/routes/explain", {"prefix": "33", "class": "spam"}, 422, "class"),
        ("POST", "/v1/routes/explain", [], 422, "body"),
    ],
)
async def test_a_bad_request_names_its_field_and_changes_nothing(
    road: Any, method: str, path: str, body: Any, status: int, field: str
) -> None:
    before = (await road.call("GET", "/v1/carriers"))[1]["version"]
    answered, told = await road.call(method, path, body)
    assert answered == status
    assert field in [error["field"] for error in told["errors"]]
    assert (await road.call("GET", "/v1/carriers"))[1]["version"] == before


async def test_a_carrier_without_connector_is_listed_and_never_chosen(road: Any, make: Make) -> None:
    body = {"tps": 10, "binds": 1, "currency": "EUR", "prices": {"": "0.000001"}}
    status, told = await road.call("PUT", "/v1/carriers/pluton", body)
    assert (status, told["connector"]) == (200, "no connector")
    await road.tariff(told["version"])
    message = make()
    await road.prepare(message)
    event = await road.submitted(message)
    assert event.carrier == "mercure"
    assert "pluton=0.000001(no_connector" in event.decision
    await road.call("PUT", "/v1/carriers/pluton", {**body, "prices": {}})


async def test_calls_need_their_scope(road: Any) -> None:
    assert (await road.call("GET", "/v1/carriers", scope="messages:read"))[0] == 403
    assert (await road.call("GET", "/internal/v1/credit"))[0] == 403


async def test_credit_is_fifteen_minutes_of_the_healthy_carriers_less_what_waits(road: Any, make: Make) -> None:
    async def credit() -> Any:
        status, told = await road.call("GET", "/internal/v1/credit", scope="internal")
        assert status == 200
        return told

    before = await credit()
    assert before["rate"] == 2_000
    # Nobody consumes the submit topics here, so all marketing sent so far waits there.
    assert 0 < before["messages"] < 1_800_000
    messages = [make(purpose="marketing") for _ in range(300)]
    await road.prepare(*messages)
    await asyncio.gather(*(road.submitted(m) for m in messages))
    await asyncio.sleep(1.5)
    assert before["messages"] - (await credit())["messages"] == 300
    road.health.update(mercure="down", iris="down")
    await asyncio.sleep(1)
    assert (await credit()) == {"messages": 0, "rate": 0}


async def test_no_message_is_lost_when_a_replica_is_killed(road: Any, make: Make) -> None:
    messages = [
        make(purpose="marketing" if i % 3 else "otp", not_before=None if i % 5 else now_ms() + 2_000)
        for i in range(3_000)
    ]
    for start in range(0, len(messages), 500):
        await road.prepare(*messages[start : start + 500])
        if start == 1_000:
            await road.replicas[1].kill()
    await asyncio.gather(*(road.submitted(m, within_s=60) for m in messages))
    for message in messages:
        assert {event.attempt for event in road.events(message, "SubmitRequested")} == {1}
    assert await kept(road, *messages) == 0
    await road.replicas[1].start()
    await road.ready(1)
