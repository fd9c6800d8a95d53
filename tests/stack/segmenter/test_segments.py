"""Segments on the real database: whom geography, behaviour, consent and other segments find, and what each condition costs."""

import asyncio
import time
import uuid
from typing import Any

from shared.clock import now_ms
from shared.contracts.events import EventTracked
from stack.segmenter.conftest import Seg, eventually

DAY_MS = 86_400_000
T = "segments"
PLACES = {"paris": (48.8566, 2.3522), "versailles": (48.8049, 2.1204), "lyon": (45.764, 4.8357)}


def bought(ref: str, days_ago: int, euros: int, event_id: str) -> EventTracked:
    return EventTracked(
        event_id=event_id, tenant_id=T, occurred_at=now_ms() - days_ago * DAY_MS, contact_ref=ref, name="purchase",
        value=euros * 1_000_000, currency="EUR",
    )  # fmt: skip


async def who(seg: Seg, filter_: Any) -> set[str]:
    name = f"s-{uuid.uuid4().hex[:8]}"
    stored = await seg.ok("PUT", f"/v1/segments/{name}", {"name": "s", "filter": filter_}, tenant=T)
    shown = await seg.ok("POST", f"/v1/segments/{name}/preview", tenant=T)
    fast = await seg.ok("POST", f"/v1/segments/{name}/preview?fast=true", tenant=T)
    assert fast["low"] == fast["estimate"] == fast["high"] == shown["size"]  # few people: all are the sample
    again = await seg.ok("PUT", f"/v1/segments/{name}-2", {"name": "s", "filter": stored["text"]}, tenant=T)
    assert again["text"] == stored["text"]
    return {sample["contact"] for sample in shown["samples"]}


async def test_each_kind_of_condition_finds_whom_it_describes(seg: Seg) -> None:
    for i, (name, (lat, lon)) in enumerate(PLACES.items()):
        attributes = {"home": {"lat": lat, "lon": lon}, "name": {"first": name}, "tags": ["vip"] if i else "vip"}
        await seg.contact(f"+3368000{i:04d}", name, tenant=T, consent=i == 0, attributes=attributes)
    await seg.contact("+33680009999", "nowhere", tenant=T, attributes={"home": "Paris", "tags": []})
    await seg.consent("lyon", "withdrawn", tenant=T)
    await seg.ok("POST", "/v1/suppressions", {"contact": "versailles"}, tenant=T)
    run = uuid.uuid4().hex
    await seg.track(
        bought("paris", 5, 30, f"{run}1"), bought("paris", 50, 90, f"{run}2"), bought("lyon", 100, 10, f"{run}3")
    )

    buyers = {"name": "b", "filter": "purchase.count >= 1 and purchase.sum(EUR) != 30"}  # not while one of two is told
    await seg.ok("PUT", "/v1/segments/buyers", buyers, tenant=T)
    deadline = time.monotonic() + 20
    while (await seg.ok("POST", "/v1/segments/buyers/preview", tenant=T))["size"] != 2:
        assert time.monotonic() < deadline, "the purchases were never counted"
        await asyncio.sleep(0.1)
    everyone = {*PLACES, "nowhere"}
    expected: dict[str, set[str]] = {
        "near(home, 48.8566, 2.3522, 25 km)": {"paris", "versailles"},
        "near(home, 48.8566, 2.3522, 15 km)": {"paris"},
        "not near(home, 48.8566, 2.3522, 25 km)": {"lyon", "nowhere"},
        "inside(home, 48.7 2.0, 49 2.0, 49 2.2, 48.7 2.2)": {"versailles"},
        "purchase(30d).count >= 1": {"paris"},
        "purchase(30d).count = 0": everyone - {"paris"},
        "purchase.sum(EUR) > 100": {"paris"},
        "purchase.sum(USD) < 1": everyone,
        "purchase.last < 10": {"paris"},
        "purchase.first > 40": {"paris", "lyon"},
        "not purchase.first > 60": everyone - {"lyon"},
        "consent(marketing) = granted": {"paris"},
        "consent(marketing) = withdrawn": {"lyon"},
        "consent(marketing) = suppressed": {"versailles"},
        "consent(marketing) = none": {"versailles", "nowhere"},
        '"name.first" = lyon': {"lyon"},
        "tags = vip": {"paris"},
        "tags contains vip": {"paris", "versailles", "lyon"},
    }
    for text, refs in expected.items():
        assert await who(seg, text) == refs, text
    await seg.ok("PUT", "/v1/segments/near-paris", {"name": "n", "filter": "near(home, 48.85, 2.35, 30km)"}, tenant=T)
    assert await who(seg, "segment(near-paris) and not purchase.count > 0") == {"versailles"}
    circular = {"name": "n", "filter": "not segment(near-paris)"}
    status, told = await seg.call("PUT", "/v1/segments/near-paris", circular, tenant=T)
    assert (status, told["errors"][0]["code"]) == (422, "circular")

    text = "near(home, 48.85, 2.35, 30km) and purchase.count > 0 and has home"
    await seg.ok("PUT", "/v1/segments/effects", {"name": "e", "filter": text}, tenant=T)
    shown = await seg.ok("POST", "/v1/segments/effects/preview", tenant=T)
    assert shown["size"] == 1
    assert [(c["fulfil"], c["removes"]) for c in shown["conditions"]] == [(2, 1), (2, 1), (4, 0)]
    assert shown["conditions"][1]["condition"] == "purchase.count > 0"
    assert (await seg.call("POST", "/v1/segments/effects/preview", tenant="other"))[0] == 404


async def test_a_text_that_cannot_be_read_is_answered_with_its_column(seg: Seg) -> None:
    status, told = await seg.call("PUT", "/v1/segments/x", {"name": "x", "filter": "country = FR and"}, tenant=T)
    assert status == 422
    assert told["errors"] == [
        {"field": "filter", "code": "invalid_filter", "detail": "column 17: a name is expected here, not the end", "column": 17}
    ]  # fmt: skip


async def test_a_campaign_goes_to_a_segment_made_of_another(seg: Seg) -> None:
    mark = uuid.uuid4().hex[:8]
    ref = await seg.contact("+33680020001", tenant=T, consent=True, attributes={"mark": mark})
    await seg.ok("PUT", f"/v1/segments/base-{mark}", {"name": "b", "filter": f'mark = "{mark}"'}, tenant=T)
    campaign = await seg.campaign({"segment": f"base-{mark}"}, "Hi", tenant=T)
    await seg.ok("POST", f"/v1/campaigns/{campaign}/launch", tenant=T)
    events = await eventually(lambda: seg.messages_of(campaign, T))
    assert [e.contact_ref for e in events] == [ref]
