"""Promises 1, 2, 5 and 12 at the door."""

import asyncio
import time
import uuid
from typing import Any

import asyncpg
import msgspec
import pytest
from ingest_door import DEMO, OTHER, Door, Owners, Topics, looks_like_a_number, running_door, silent_brokers
from shared.contracts.topics import TRACKED, Lane, accepted
from shared.crypto.ids import MessageIds, NumberIndex
from shared.crypto.sealing import Kind
from shared.crypto.vault import Vault
from support.parts import Parts

pytestmark = pytest.mark.stack
NOW, BULK = accepted(Lane.NOW).name, accepted(Lane.BULK).name
NUMBER = "+33612345678"
OTP = {"to": NUMBER, "class": "otp", "text": "Your code is 493817."}


async def rows(parts: Parts, query: str, *args: object) -> list[Any]:
    """As the superuser, whom no row-level security binds."""
    connection = await asyncpg.connect(parts.admin_url())
    try:
        return list(await connection.fetch(query, *args))
    finally:
        await connection.close()


async def with_id(topics: Topics, topic: str, message_id: str) -> list[Any]:
    return [event for event in await topics.events(topic) if event.message_id == message_id]


async def test_a_message_is_on_its_lane_sealed_when_its_caller_hears_of_it(
    parts: Parts, door: Door, topics: Topics
) -> None:
    message = {
        **OTP, "from": "MERCURE", "client_ref": "r-1", "callback_url": "https://example.com/cb", "validity_s": 300,
        "send_at": "2020-01-01T00:00:00Z",
    }  # fmt: skip
    answer = await door.call("POST", "/v1/messages", message)
    assert (answer.status, answer.body["status"]) == (202, "accepted")
    [event] = await with_id(topics, NOW, answer.body["message_id"])
    index = NumberIndex(parts.master)
    assert event.tenant_id == "demo"
    assert event.event_id == f"{event.message_id}:accepted"
    assert (event.contact_id, event.number_hash) == (index.contact_id("demo", NUMBER), index.number_hash(NUMBER))
    assert (event.sender, event.client_ref, event.validity_s, event.send_at) == ("MERCURE", "r-1", 300, 1577836800000)
    assert MessageIds(parts.master).is_ours("demo", event.message_id)
    pool = await asyncpg.create_pool(parts.database_url("ingest"), min_size=1, max_size=1)
    vault = Vault(pool, parts.master)
    await vault.load([event.number, event.content])
    assert vault.open("demo", Kind.NUMBER, event.number) == NUMBER
    assert msgspec.json.decode(vault.open("demo", Kind.TEXT, event.content)) == {"text": OTP["text"]}
    await pool.close()


async def test_a_batch_takes_what_is_good_and_says_in_order_what_is_not(door: Door, topics: Topics) -> None:
    ref = uuid.uuid4().hex
    template = {"to": NUMBER, "class": "marketing", "template": "spring", "variables": {"name": "Ada"}}
    sent = [
        {**template, "client_ref": ref},
        {**OTP, "to": "0612345678"},
        {**OTP, "class": "transactional", "client_ref": ref},
        7,
        {**OTP, "colour": 1},
    ]
    answer = await door.call("POST", "/v1/messages/batch", {"messages": sent})
    assert answer.status == 202
    results = answer.body["results"]
    assert ["message_id" in result for result in results] == [True, False, True, False, False]
    assert [r["error"]["errors"][0]["field"] for r in results if "error" in r] == ["to", "body", "colour"]
    assert "0612345678" not in answer.raw.decode()
    assert [e.message_id for e in await topics.events(BULK) if e.client_ref == ref] == [results[0]["message_id"]]
    assert [e.message_id for e in await topics.events(NOW) if e.client_ref == ref] == [results[2]["message_id"]]


async def test_a_full_batch_arrives_whole(door: Door, topics: Topics) -> None:
    ref = uuid.uuid4().hex
    sent = [{"to": f"+336{n:08d}", "class": "marketing", "text": "x", "client_ref": ref} for n in range(1000)]
    answer = await door.call("POST", "/v1/messages/batch", {"messages": sent})
    ids = [result["message_id"] for result in answer.body["results"]]
    assert len(set(ids)) == 1000
    assert {e.message_id for e in await topics.events(BULK) if e.client_ref == ref} == set(ids)


async def test_while_the_brokers_are_silent_nobody_hears_202(parts: Parts, door: Door) -> None:
    async with silent_brokers(parts):
        answer = await door.call("POST", "/v1/messages", OTP)
    assert answer.status == 503
    assert answer.headers["Retry-After"]
    assert answer.headers["content-type"] == "application/problem+json"
    again = await door.call("POST", "/v1/messages", OTP)
    assert again.status == 202


async def test_a_repeated_request_gets_the_first_answer_and_nothing_is_sent_again(door: Door, topics: Topics) -> None:
    key = uuid.uuid4().hex
    first = await door.call("POST", "/v1/messages", OTP, Idempotency_Key=key)
    again = await door.call("POST", "/v1/messages", OTP, Idempotency_Key=f'"{key}"')
    assert (first.status, again.status) == (202, 202)
    assert first.body == again.body
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Idempotency-Key-Expires"] == first.headers["Idempotency-Key-Expires"]
    assert len(await with_id(topics, NOW, first.body["message_id"])) == 1


async def test_a_key_used_with_another_request_is_refused(door: Door) -> None:
    key = uuid.uuid4().hex
    await door.call("POST", "/v1/messages", OTP, Idempotency_Key=key)
    other = await door.call("POST", "/v1/messages", {**OTP, "text": "Another."}, Idempotency_Key=key)
    batch = await door.call("POST", "/v1/messages/batch", {"messages": [OTP]}, Idempotency_Key=key)
    assert (other.status, batch.status) == (422, 422)
    assert other.body["errors"][0]["field"] == "Idempotency-Key"


async def test_of_many_at_once_under_one_key_one_is_sent(door: Door, topics: Topics) -> None:
    key = uuid.uuid4().hex
    answers = await asyncio.gather(*(door.call("POST", "/v1/messages", OTP, Idempotency_Key=key) for _ in range(20)))
    statuses = {answer.status for answer in answers}
    assert statuses <= {202, 409}
    [message_id] = {answer.body["message_id"] for answer in answers if answer.status == 202}
    assert len(await with_id(topics, NOW, message_id)) == 1
    assert all(a.headers["Retry-After"] for a in answers if a.status == 409)


async def test_a_request_of_a_killed_process_is_taken_over_within_two_seconds_under_the_same_id(
    parts: Parts, owners: Owners, door: Door, topics: Topics
) -> None:
    key = uuid.uuid4().hex
    born = "SELECT born_ms FROM ingest.idempotency WHERE tenant_id = 'demo' AND key = $1"
    async with running_door(parts, owners) as doomed:
        async with silent_brokers(parts):
            hanging = asyncio.create_task(doomed.call("POST", "/v1/messages", OTP, Idempotency_Key=key))
            while not (found := await rows(parts, born, key)):
                await asyncio.sleep(0.02)
            doomed.process.kill_group()
            killed = time.monotonic()
            with pytest.raises(Exception):  # noqa: B017, PT011 - whatever a broken connection is called today
                await hanging
            running = await door.call("POST", "/v1/messages", OTP, Idempotency_Key=key)
            assert running.status == 409
        while (answer := await door.call("POST", "/v1/messages", OTP, Idempotency_Key=key)).status == 409:
            await asyncio.sleep(0.05)
        assert answer.status == 202
        assert time.monotonic() - killed < 2.5  # 2 s, and the brokers' awakening
    expected = MessageIds(parts.master).derive("demo", found[0]["born_ms"] // 1000, "api", key, "0")
    assert answer.body["message_id"] == expected
    again = await door.call("POST", "/v1/messages", OTP, Idempotency_Key=key)
    assert again.body == answer.body
    assert 1 <= len(await with_id(topics, NOW, expected)) <= 2  # the dead one's record may have been on its way


async def test_a_request_that_ran_out_of_patience_is_done_under_the_same_id_when_repeated(
    parts: Parts, door: Door, topics: Topics
) -> None:
    key = uuid.uuid4().hex
    async with silent_brokers(parts):
        assert (await door.call("POST", "/v1/messages", OTP, Idempotency_Key=key)).status == 503
    deadline = time.monotonic() + 30
    while (answer := await door.call("POST", "/v1/messages", OTP, Idempotency_Key=key)).status == 409:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    assert answer.status == 202
    assert len(await with_id(topics, NOW, answer.body["message_id"])) == 1


MALFORMED = [
    ("no JSON", "/v1/messages", b"{", 400, "body"),
    ("not UTF-8", "/v1/messages", b'{"to":"\xff"}', 400, "body"),
    ("a bad number", "/v1/messages", msgspec.json.encode({**OTP, "to": "+33"}), 422, "to"),
    ("an unknown field", "/v1/messages", msgspec.json.encode({**OTP, "zz": 1}), 422, "zz"),
    ("far ahead", "/v1/messages", msgspec.json.encode({**OTP, "send_at": "2999-01-01T00:00:00Z"}), 422, "send_at"),
    ("too large", "/v1/messages", b" " * 70_000, 413, None),
    ("a batch without messages", "/v1/messages/batch", b"{}", 422, "messages"),
    ("an empty batch", "/v1/messages/batch", b'{"messages":[]}', 422, "messages"),
    ("1,001 messages", "/v1/messages/batch", msgspec.json.encode({"messages": [OTP] * 1001}), 422, "messages"),
    ("a batch that breaks off", "/v1/messages/batch", b'{"messages":[{}', 400, "body"),
    ("a batch of events elsewhere", "/v1/events/batch", msgspec.json.encode({"messages": [OTP]}), 422, "events"),
]


async def test_malformed_requests_name_the_field_and_leave_nothing_behind(
    parts: Parts, door: Door, topics: Topics
) -> None:
    count = "SELECT count(*) FROM ingest.idempotency"
    before = [len(await topics.raw(name)) for name in (NOW, BULK, TRACKED.name)], await rows(parts, count)
    for name, path, body, status, field in MALFORMED:
        answer = await door.call("POST", path, body, Idempotency_Key=uuid.uuid4().hex)
        assert (name, answer.status) == (name, status)
        assert answer.headers["content-type"] == "application/problem+json"
        assert {"type", "title", "status", "detail"} <= answer.body.keys()
        if field is not None:
            assert (name, answer.body["errors"][0]["field"]) == (name, field)
    bad_key = await door.call("POST", "/v1/messages", OTP, Idempotency_Key="two words")
    assert (bad_key.status, bad_key.body["errors"][0]["field"]) == (400, "Idempotency-Key")
    after = [len(await topics.raw(name)) for name in (NOW, BULK, TRACKED.name)], await rows(parts, count)
    assert before == after


async def test_two_tenants_never_meet(parts: Parts, door: Door, topics: Topics) -> None:
    key = uuid.uuid4().hex
    ours = await door.call("POST", "/v1/messages", OTP, Idempotency_Key=key)
    theirs = await door.call("POST", "/v1/messages", OTP, key=OTHER, Idempotency_Key=key)
    assert "Idempotent-Replayed" not in theirs.headers
    [one] = await with_id(topics, NOW, ours.body["message_id"])
    [two] = await with_id(topics, NOW, theirs.body["message_id"])
    assert (one.tenant_id, two.tenant_id) == ("demo", "other")
    assert one.message_id != two.message_id
    assert one.contact_id != two.contact_id
    assert {k["id"] for k in (await door.call("GET", "/v1/keys", key=OTHER)).body["keys"]} == {"otherke2"}
    assert [t["tenant_id"] for t in (await door.call("GET", "/v1/tenants", key=OTHER)).body["tenants"]] == ["other"]
    assert (await door.call("GET", "/v1/tenants/demo", key=OTHER)).status == 404
    assert (await door.call("DELETE", "/v1/keys/demokey1", key=OTHER)).status == 404
    assert (await door.call("GET", "/v1/keys", key=DEMO)).status == 200
    assert (await door.call("PUT", "/v1/tenants/demo", {"name": "theirs"}, key=OTHER)).status == 409
    assert (await door.call("GET", "/v1/tenants/demo", key=DEMO)).body["name"] == "demo"


async def test_the_database_itself_keeps_tenants_apart(parts: Parts, door: Door) -> None:
    await door.call("POST", "/v1/messages", OTP, Idempotency_Key=uuid.uuid4().hex)
    connection = await asyncpg.connect(parts.database_url("ingest"))
    try:
        for table in ("tenants", "keys", "idempotency"):
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0
            async with connection.transaction():
                await connection.execute("SELECT set_config('relais.tenants', 'demo', true)")
                assert await connection.fetchval(f"SELECT count(*) FROM {table} WHERE tenant_id <> 'demo'") == 0
                assert await connection.fetchval(f"SELECT count(*) FROM {table}") > 0
    finally:
        await connection.close()


async def test_events_are_on_kafka_and_one_told_twice_has_one_id(parts: Parts, door: Door, topics: Topics) -> None:
    order = uuid.uuid4().hex
    event = {
        "id": order, "contact": "c-1", "name": "purchase", "value": "59.90", "currency": "EUR", "at": "2025-01-01T00:00:00Z",
        "properties": {"sku": "A-17"},
    }  # fmt: skip
    first = await door.call("POST", "/v1/events/batch", {"events": [event, {"contact": "c-1"}]})
    assert first.status == 202
    made, refused = first.body["results"]
    assert refused["error"]["errors"][0]["field"] == "name"
    again = await door.call("POST", "/v1/events/batch", {"events": [event]})
    assert again.body["results"][0]["event_id"] == made["event_id"]
    theirs = await door.call("POST", "/v1/events/batch", {"events": [event]}, key=OTHER)
    assert theirs.body["results"][0]["event_id"] != made["event_id"]
    found = [e for e in await topics.events(TRACKED.name) if e.event_id == made["event_id"]]
    assert len(found) == 2
    assert (found[0].value, found[0].currency, found[0].occurred_at) == (59_900_000, "EUR", 1735689600000)
    assert b"A-17" not in found[0].properties


async def test_neither_logs_nor_metrics_nor_records_hold_numbers_texts_or_keys(door: Door, topics: Topics) -> None:
    await door.call("POST", "/v1/messages", {**OTP, "to": "bad +33612345678"})
    await door.call("GET", f"/v1/messages?to=%2B{NUMBER[1:]}")
    metrics = (await door.call("GET", "/metrics", key=None)).raw.decode()
    log = door.process.log.read_text()
    for said in (metrics, log):
        assert not looks_like_a_number(said)
        assert NUMBER[1:] not in said
        assert "493817" not in said
        assert DEMO[12:] not in said
    assert 'relais_messages_accepted_total{lane="bulk"' in metrics
    assert 'route="/v1/messages"' in metrics
    for record in await topics.raw(NOW):
        assert NUMBER.encode() not in record.value
        assert b"493817" not in record.value
