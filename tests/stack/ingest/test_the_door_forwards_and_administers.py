"""What ingest carries to others, and its own administration."""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator

import pytest
from ingest_door import DEMO, OTHER, Door, Owners, make_key, running_door
from shared.crypto.tokens import Tokens
from support.parts import Parts

pytestmark = pytest.mark.stack
OTP = {"to": "+33612345678", "class": "otp", "text": "Your code is 493817."}


async def test_a_request_reaches_its_owner_unchanged_with_a_token_in_place_of_the_key(
    parts: Parts, door: Door, owners: Owners
) -> None:
    answer = await door.call("PUT", "/v1/contacts/a%20b?x=1&y=%2B2", {"locale": "fr"}, X_Forwarded_For="9.9.9.9")
    assert (answer.status, answer.headers["X-Owner"]) == (207, "stub")
    assert answer.body == {"seen": "/v1/contacts/a%20b?x=1&y=%2B2"}
    seen = owners.seen[-1]
    assert (seen["method"], seen["digest"]) == ("PUT", hashlib.sha256(b'{"locale": "fr"}').hexdigest())
    scheme, token = seen["headers"]["Authorization"].split()
    caller = Tokens(parts.internal_secret).verify(token)
    assert (scheme, caller.tenant_id, caller.key_id) == ("Bearer", "demo", "demokey1")
    assert DEMO not in str(seen)
    assert "9.9.9.9" not in str(seen)


async def test_an_unknown_path_a_bad_one_and_an_owner_that_is_away_are_told_apart(door: Door, owners: Owners) -> None:
    before = len(owners.seen)
    assert (await door.call("GET", "/v1/nothing")).status == 404
    assert (await door.call("GET", "/v1/contacts/%2e%2e/x")).status == 400
    away = await door.call("GET", "/v1/carriers")
    assert (away.status, away.headers["content-type"]) == (503, "application/problem+json")
    assert away.headers["Retry-After"]
    assert len(owners.seen) == before


async def test_without_a_good_key_nothing_is_forwarded(door: Door, owners: Owners) -> None:
    before = len(owners.seen)
    for key in (None, "rk_nonsense", make_key("demokey1"), make_key("nobodys1")):
        answer = await door.call("GET", "/v1/contacts/a", key=key)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert answer.headers["content-type"] == "application/problem+json"
        assert (await door.call("POST", "/v1/messages", OTP, key=key)).status == 401
    assert len(owners.seen) == before


async def test_an_upload_streams_through_while_messages_go_on(door: Door, owners: Owners) -> None:
    block, blocks = os.urandom(1024 * 1024), 24

    async def upload() -> AsyncIterator[bytes]:
        for _ in range(blocks):
            yield block
            await asyncio.sleep(0)

    async def send() -> int:
        headers = {"Authorization": f"Bearer {DEMO}", "Content-Type": "text/csv"}
        async with door._client.post(door.url + "/v1/contacts/import", data=upload(), headers=headers) as answer:
            return answer.status

    uploading = asyncio.create_task(send())
    slowest = 0.0
    while not uploading.done():
        started = time.monotonic()
        assert (await door.call("POST", "/v1/messages", OTP)).status == 202
        slowest = max(slowest, time.monotonic() - started)
    assert await uploading == 207
    assert owners.seen[-1]["size"] == blocks * len(block) or any(s["size"] == blocks * len(block) for s in owners.seen)
    assert any(s["digest"] == hashlib.sha256(block * blocks).hexdigest() for s in owners.seen)
    assert slowest < 1


async def test_a_large_answer_streams_back_whole(door: Door) -> None:
    answer = await door.call("GET", "/v1/reports/large")
    assert (answer.status, len(answer.raw)) == (200, 64 * 65_536)


async def test_a_body_beyond_the_limit_is_refused_with_413(door: Door) -> None:
    answer = await door.call("PUT", "/v1/contacts/a", b"x" * (9 * 1024 * 1024))
    assert (answer.status, answer.body["title"]) == (413, "too large")


async def test_openapi_holds_the_owners_operations_and_says_who_is_away(door: Door) -> None:
    document = (await door.call("GET", "/openapi.json", key=None)).body
    assert document["paths"]["/v1/contacts/{ref}"]["put"]["summary"] == "stub"
    assert document["x-relais-away"] == ["router"]
    for path in ("/v1/messages", "/v1/messages/batch", "/v1/events/batch"):
        operation = document["paths"][path]["post"]
        assert operation["requestBody"]["content"]["application/json"]["examples"]
        assert {"202", "401", "422", "429", "503"} <= operation["responses"].keys()
    assert {"get", "post"} <= document["paths"]["/v1/keys"].keys()
    assert "/livez" not in document["paths"]


async def test_the_documents_own_examples_are_taken(door: Door) -> None:
    document = (await door.call("GET", "/openapi.json", key=None)).body
    for path in ("/v1/messages", "/v1/messages/batch", "/v1/events/batch"):
        content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        for example in content["examples"].values():
            answer = await door.call("POST", path, example["value"])
            assert answer.status == 202
            assert "error" not in answer.raw.decode()


async def test_a_key_may_do_what_its_scopes_say_and_dies_everywhere_within_five_seconds(
    parts: Parts, owners: Owners, door: Door
) -> None:
    made = await door.call("POST", "/v1/keys", {"name": "shop", "scopes": ["messages:write"]})
    assert made.status == 201
    key, key_id = made.body["key"], made.body["id"]
    assert key not in (await door.call("GET", "/v1/keys")).raw.decode()
    async with running_door(parts, owners) as second:
        for one in (door, second):
            assert (await one.call("POST", "/v1/messages", OTP, key=key)).status == 202
            assert (await one.call("POST", "/v1/events/batch", {"events": []}, key=key)).status == 403
            assert (await one.call("GET", "/v1/keys", key=key)).status == 403
        assert (await door.call("DELETE", f"/v1/keys/{key_id}")).status == 204
        revoked = time.monotonic()
        assert (await door.call("POST", "/v1/messages", OTP, key=key)).status == 401
        while (await second.call("POST", "/v1/messages", OTP, key=key)).status != 401:
            assert time.monotonic() - revoked < 5
            await asyncio.sleep(0.1)


async def test_a_wrong_key_order_is_refused_field_by_field(door: Door) -> None:
    answer = await door.call(
        "POST", "/v1/keys", {"name": "", "scopes": ["nonsense"], "expires_at": "2001-01-01T00:00:00Z"}
    )
    assert answer.status == 422
    assert {e["field"] for e in answer.body["errors"]} == {"name", "scopes[0]", "expires_at"}


async def test_a_key_with_a_limit_gets_429_beyond_it_and_the_other_tenant_does_not(door: Door) -> None:
    made = await door.call("POST", "/v1/keys", {"name": "slow", "scopes": ["messages:write"], "messages_per_s": 1})
    key = made.body["key"]
    full = {"messages": [OTP] * 1000}
    first = await door.call("POST", "/v1/messages/batch", full, key=key)
    assert first.status == 202
    assert '"key";r=0' in first.headers["RateLimit"]
    second = await door.call("POST", "/v1/messages/batch", full, key=key)
    assert second.status == 429
    assert int(second.headers["Retry-After"]) > 900
    assert (await door.call("POST", "/v1/messages", OTP, key=OTHER)).status == 202


async def test_an_operator_makes_a_tenant_whose_first_key_works_and_does_not_operate(door: Door) -> None:
    made = await door.call("PUT", "/v1/tenants/atelier", {"name": "Atelier"})
    assert made.status == 201
    key = made.body["key"]
    assert (await door.call("POST", "/v1/messages", OTP, key=key)).status == 202
    assert (await door.call("PUT", "/v1/tenants/another", {"name": "x"}, key=key)).status == 403
    assert (await door.call("PUT", "/v1/tenants/atelier", {"messages_per_s": 9}, key=key)).status == 403
    changed = await door.call("PUT", "/v1/tenants/atelier", {"name": "Atelier 2"}, key=key)
    assert (changed.status, changed.body["name"]) == (200, "Atelier 2")
    assert (await door.call("PUT", "/v1/tenants/atelier", {"name": "x"})).status == 409
    assert (await door.call("PUT", "/v1/tenants/A,b", {"name": "x"})).status == 422
