"""A STOP reaches what waits anywhere on the road, proof can be shown afterwards, and erasure leaves no number behind."""

import asyncio
import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import asyncpg
from e2e.test_a_campaign import post, put
from segmenter.domain.page_codes import PageCodes
from support.history import carriers_saw, ledger, until_all_final
from support.road import Road, accepted

CARRIERS = ("mercure", "iris")


async def person(road: Road, ref: str, number: str) -> None:
    await put(road, f"/v1/contacts/{ref}", {"number": number, "locale": "fr"})
    await post(
        road,
        "/v1/consents",
        {"contact": ref, "purpose": "marketing", "state": "granted", "source": "form", "proof": "form 7"},
    )


async def until(road: Road, ids: list[str], states: set[str], within_s: float = 30) -> None:
    async with asyncio.timeout(within_s):
        while True:
            rows = await ledger(road.stack, ids)
            if len(rows) == len(ids) and all(row["status"] in states for row in rows.values()):
                return
            await asyncio.sleep(0.2)


async def all_carriers(road: Road, path: str, body: dict[str, Any] | None = None) -> None:
    async with aiohttp.ClientSession() as session:
        for carrier in CARRIERS:
            async with session.post(f"{road.stack.control(carrier)}{path}", json=body or {}) as answer:
                assert answer.status < 300, await answer.text()


async def test_a_stop_sent_by_the_carrier_cancels_the_same_contacts_deferred_and_queued_messages(
    road: Road, french: Iterator[str]
) -> None:
    number, neighbour = next(french), next(french)
    await person(road, "leaver", number)
    await person(road, "stayer", neighbour)
    offer = {"class": "marketing", "from": "RELAIS", "text": "Offre"}
    [first] = await accepted(road, [{**offer, "to": number}])
    await until_all_final(road.stack, [first])  # the carrier knows whom the handset answers
    await all_carriers(road, "/responses/pause")
    try:
        queued = await accepted(road, [{**offer, "to": number, "text": f"Offre {i}"} for i in range(4)])
        later = await accepted(road, [{**offer, "to": n, "send_at": in_minutes(10)} for n in (number, neighbour)])
        [code] = await accepted(road, [{"class": "otp", "to": number, "text": "Code 42"}])
        await until(road, later, {"deferred"})
        await until(road, queued, {"prepared", "submitted"})
        inbound = {"from": number.lstrip("+"), "to": "RELAIS", "text": "Stop!"}
        await all_carriers(road, "/inbound", inbound)
        await until(road, [later[0]], {"dropped"})
        await withdrawn(road, "leaver")
    finally:
        await all_carriers(road, "/responses/resume")
    rows = await until_all_final(road.stack, [*queued, code, later[0]])
    assert (rows[later[0]]["status"], rows[later[0]]["reason"]) == ("dropped", "opted_out")
    # One message of a contact is on the wire at a time: what was written before the STOP is all that went.
    stopped = [m for m in queued if rows[m]["status"] == "dropped"]
    assert len(stopped) >= len(queued) - 1, {m: rows[m]["status"] for m in queued}
    assert {rows[m]["reason"] for m in stopped} == {"opted_out"}
    assert rows[code]["status"] != "dropped"
    seen = await carriers_saw(road.stack, CARRIERS)
    assert len(seen[number].taken) == 2 + len(queued) - len(stopped)  # the first offer, the code, what was on the wire
    assert (await ledger(road.stack, [later[1]]))[later[1]]["status"] == "deferred"  # the neighbour's waits on

    async with road.client.get(f"/v1/messages/{first}/consent") as answer:
        proof = await answer.json()
    assert (answer.status, proof["verdict"], proof["contact"]) == (200, "granted", "leaver")
    assert [line["proof"] for line in proof["ledger"]] == ["form 7"]
    async with road.other.get(f"/v1/messages/{first}/consent") as answer:
        assert answer.status == 404


async def test_one_tap_on_the_preference_page_holds_for_the_next_message(road: Road, french: Iterator[str]) -> None:
    number = next(french)
    await person(road, "tapper", number)
    offer = {"class": "marketing", "to": number, "text": "Offre. Stop: https://go.example.com/p/00000000000000"}
    [first] = await accepted(road, [offer])
    await until_all_final(road.stack, [first])
    contact_id = (await ledger(road.stack, [first]))[first]["contact_id"]
    page = "/p/" + PageCodes(base64.b64decode(road.stack.secrets.master_key)).code(contact_id)
    async with aiohttp.ClientSession(road.stack.api) as visitor:
        async with visitor.get(page) as answer:
            html = await answer.text()
            assert (answer.status, 'lang="fr"' in html, number[1:] in html) == (200, True, False)
            assert "script-src" not in answer.headers["Content-Security-Policy"]
        async with visitor.head(page[:-1] + ("a" if page[-1] != "a" else "b")) as answer:
            assert answer.status in (404, 405)
        [unmoved] = await accepted(road, [offer])  # looking changed nothing
        await until_all_final(road.stack, [unmoved])
        async with visitor.post(page, data={"purpose": "marketing", "state": "withdrawn"}) as answer:
            assert "C'est fait" in (await answer.text()).replace("&#x27;", "'")
    [after] = await accepted(road, [offer])
    rows = await until_all_final(road.stack, [unmoved, after])
    assert rows[unmoved]["status"] != "dropped"
    assert (rows[after]["status"], rows[after]["reason"]) == ("dropped", "opted_out")


async def test_gdpr_17_after_an_erasure_the_number_stands_in_no_table_and_on_no_topic(
    road: Road, french: Iterator[str]
) -> None:
    number = next(french)
    await person(road, "forgotten", number)
    [sent] = await accepted(road, [{"class": "marketing", "to": number, "text": "Offre"}])
    await until_all_final(road.stack, [sent])
    contact_id = (await ledger(road.stack, [sent]))[sent]["contact_id"]
    async with road.client.delete("/v1/contacts/forgotten") as answer:
        assert answer.status == 204
    digits = number[1:]
    for form in (digits, digits[2:], digits.encode().hex(), digits[2:].encode().hex()):
        assert await tables_with(road, form) == []
    assert await tables_with(road, contact_id)  # the scan finds what is there: keyed hashes stay
    segments = [p for p in road.stack.paths.run.rglob("*.log") if p.parent.name.startswith(("sms.", "crm.", "ops."))]
    assert sum(p.stat().st_size for p in segments) > 0
    held = [p.parent.name for p in segments if digits[2:].encode() in p.read_bytes()]
    assert held == []
    assert any(sent.encode() in p.read_bytes() for p in segments)


async def tables_with(road: Road, text: str) -> list[str]:
    """Tables of all schemas with a row in which the text stands, octets as hexadecimal digits."""
    connection = await asyncpg.connect(road.stack.admin_dsn)
    try:
        tables = await connection.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        return [
            table["name"]
            for table in tables
            if await connection.fetchval(
                f"SELECT EXISTS (SELECT FROM {table['name']} AS t WHERE strpos(t::text, $1) > 0)", text
            )
        ]
    finally:
        await connection.close()


async def withdrawn(road: Road, ref: str, within_s: float = 20) -> None:
    async with asyncio.timeout(within_s):
        while True:
            async with road.client.get(f"/v1/contacts/{ref}/consents") as answer:
                if (await answer.json())["purposes"]["marketing"]["state"] == "withdrawn":
                    return
            await asyncio.sleep(0.2)


def in_minutes(minutes: int) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()
