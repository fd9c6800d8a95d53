"""Short links on the real parts: made, followed, counted, ended, and followed while the database is away."""

import asyncio
import signal
import time
import uuid
from typing import Any

import aiohttp
import psutil
import pytest
from ingest_door import OTHER, Door, Topics
from shared.contracts.topics import CLICKED
from shared.crypto.ids import MessageIds
from shared.links.codes import LinkCodes, recipient_of
from shared.links.texts import personal
from support.parts import Parts

pytestmark = pytest.mark.stack
PHONE = {
    "User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/18.5 Mobile/15E148 Safari/604.1",
    "Accept": "text/html", "Accept-Language": "fr",
}  # fmt: skip


async def made(door: Door, **more: Any) -> dict[str, Any]:
    answer = await door.call("POST", "/v1/links", {"target": "https://shop.example/offer", **more})
    assert answer.status == 201, answer.body
    return dict(answer.body)


async def visit(door: Door, url: str, **headers: str) -> tuple[int, str | None]:
    path = url[url.index("/l/") :]
    sent = {**PHONE, **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with aiohttp.ClientSession() as client, client.get(door.url + path, headers=sent, allow_redirects=False) as answer:  # fmt: skip
        return answer.status, answer.headers.get("location")


async def clicks(topics: Topics, link_id: str, count: int) -> list[Any]:
    for _ in range(100):
        found = [event for event in await topics.events(CLICKED.name) if event.link_id == link_id]
        if len(found) >= count:
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(found)


async def test_a_messages_own_link_leads_to_the_target_and_the_click_names_the_message(
    parts: Parts, door: Door, topics: Topics
) -> None:
    link = await made(door, campaign="spring", utm={"source": "sms"})
    message_id = MessageIds(parts.master).random("demo", 1_700_000_000)
    text = personal(f"Look: {link['url']}", LinkCodes(parts.master), message_id)
    assert text != f"Look: {link['url']}"
    assert await visit(door, text) == (302, "https://shop.example/offer?utm_source=sms")
    assert await visit(door, text, User_Agent="WhatsApp/2.23.20.0 A") == (
        302,
        "https://shop.example/offer?utm_source=sms",
    )
    assert (await visit(door, link["url"]))[0] == 302
    found = await clicks(topics, link["id"], 3)
    told = sorted((c.human, c.agent, c.recipient) for c in found if c.recipient is not None)
    assert told == [(False, "preview", recipient_of(message_id)), (True, "ios", recipient_of(message_id))]
    assert [c.recipient for c in found].count(None) == 1
    assert {(c.tenant_id, c.campaign_id) for c in found} == {("demo", "spring")}
    assert len({c.event_id for c in found}) == 3


async def test_links_belong_to_their_tenant_and_can_be_listed_changed_and_ended(door: Door) -> None:
    link = await made(door, id=f"l-{uuid.uuid4().hex[:8]}", ios="shop://offer")
    path = f"/v1/links/{link['id']}"
    assert (await door.call("GET", path)).body == link
    assert (await door.call("GET", path, key=OTHER)).status == 404
    assert (await door.call("DELETE", path, key=OTHER)).status == 404
    assert link["id"] not in str((await door.call("GET", "/v1/links?limit=1000", key=OTHER)).body)
    assert link["id"] in str((await door.call("GET", "/v1/links?limit=1000")).body)
    assert (await door.call("POST", "/v1/links", {"target": "https://a.example", "id": link["id"]})).status == 409
    assert await visit(door, link["url"]) == (302, "shop://offer")
    changed = await door.call("PUT", path, {"target": "https://shop.example/other"})
    assert (changed.status, changed.body["url"], changed.body["version"]) == (200, link["url"], 2)
    assert await visit(door, link["url"]) == (302, "https://shop.example/other")
    assert (await door.call("PUT", path, {"target": "https://a.example", "expires_at": "2020-01-01T00:00:00Z"})).status == 200  # fmt: skip
    assert await visit(door, link["url"]) == (410, None)
    assert (await door.call("DELETE", path)).status == 204
    assert (await door.call("GET", path)).status == 404
    assert await visit(door, link["url"]) == (410, None)


async def test_a_tenants_domain_is_its_own(door: Door) -> None:
    domain = f"go-{uuid.uuid4().hex[:8]}.example"
    link = await made(door, domain=domain)
    assert link["url"].startswith(f"https://{domain}/l/")
    assert await visit(door, link["url"], Host=domain) == (302, "https://shop.example/offer")
    taken = await door.call("POST", "/v1/links", {"target": "https://a.example", "domain": domain}, key=OTHER)
    assert taken.status == 409
    others = (await door.call("POST", "/v1/links", {"target": "https://a.example"}, key=OTHER)).body
    assert (await visit(door, others["url"], Host=domain))[0] == 404


async def test_guesses_lead_nowhere_and_bad_links_are_refused(door: Door) -> None:
    assert (await visit(door, "/l/0123456789abcdef"))[0] == 404
    assert (await visit(door, "/l/"))[0] == 404
    answer = await door.call("POST", "/v1/links", {"target": "javascript:alert(1)"})
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, "target")
    assert (await door.call("POST", "/v1/links", {"target": "https://a.example"}, key=None)).status == 401


async def test_links_lead_on_while_the_database_is_away(parts: Parts, door: Door, topics: Topics) -> None:
    link = await made(door)
    path = link["url"][link["url"].index("/l/") :]
    server = psutil.Process(parts.postgres.process.pid)
    asleep = [server, *server.children(recursive=True)]
    for process in asleep:
        process.send_signal(signal.SIGSTOP)
    try:
        followed = 0
        async with aiohttp.ClientSession() as client:
            until = time.monotonic() + 3  # longer than any pause of the pool's
            while time.monotonic() < until:
                async with client.get(door.url + path, headers=PHONE, allow_redirects=False) as answer:
                    assert answer.status == 302
                followed += 1
    finally:
        for process in reversed(asleep):
            process.send_signal(signal.SIGCONT)
    # How fast is measured by `make bench-truth`.
    assert len(await clicks(topics, link["id"], followed)) == followed
