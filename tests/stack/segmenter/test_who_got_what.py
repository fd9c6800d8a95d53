"""Campaigns, RFM classes, lists and snapshots as conditions; what retention lets go of."""

import time
import uuid

from segmenter.adapters.at_rest import QUARTER_MS, AtRest
from segmenter.adapters.consent_store import ConsentStore
from segmenter.adapters.contact_store import ContactStore
from segmenter.adapters.erasure import Erasure
from segmenter.adapters.held_store import HeldStore
from segmenter.adapters.later_store import LaterStore
from segmenter.adapters.reseal import reseal
from segmenter.adapters.retention import RetentionJob
from segmenter.adapters.rfm_store import classify, due
from shared.clock import now_ms
from shared.contracts.events import EventTracked, LinkClicked, MessageStatus
from shared.contracts.topics import CLICKED, STATUS
from shared.db.database import Database
from shared.db.migrate import EVERYONE
from shared.links.codes import recipient_of
from stack.segmenter.conftest import Seg

NUMBER = "+3366{:07}"
DAY_MS = 86_400_000


async def size(seg: Seg, tenant: str, text: str) -> int:
    await seg.ok("PUT", "/v1/segments/s", {"name": "s", "filter": text}, tenant=tenant)
    return int((await seg.ok("POST", "/v1/segments/s/preview", tenant=tenant))["size"])


async def both_sizes(seg: Seg, tenant: str, text: str) -> int:
    """Once nothing changes any more: of few people the sample is everybody."""
    told = await size(seg, tenant, text)
    assert (await seg.ok("POST", "/v1/segments/s/preview?fast=true", tenant=tenant))["estimate"] == told
    return told


async def test_received_delivered_clicked_and_converted_find_whom_they_describe(seg: Seg) -> None:
    tenant, now = f"t{uuid.uuid4().hex[:8]}", now_ms()
    for i, ref in enumerate(("ann", "bob", "cy", "dee")):
        await seg.contact(NUMBER.format(i), ref, tenant=tenant)
    ids = {ref: str(uuid.uuid4()) for ref in ("ann", "bob", "cy")}

    def status(ref: str, state: str) -> MessageStatus:
        return MessageStatus(
            event_id=f"{ids[ref]}:{state}", tenant_id=tenant, occurred_at=now, message_id=ids[ref], version=1, status=state, states=[],
            final=False, purpose="marketing", contact_ref=ref, campaign_id="spring", accepted_at=now,
        )  # fmt: skip

    click = LinkClicked(
        event_id=uuid.uuid4().hex, tenant_id=tenant, occurred_at=now, code="x", link_id="l", human=True, agent="ios",
        recipient=recipient_of(ids["ann"]),
    )  # fmt: skip
    told = [status("ann", "submitted"), status("ann", "delivered"), status("bob", "submitted"), status("cy", "dropped")]
    await seg.publisher.publish([seg.publisher.record(STATUS.name, e.message_id, e) for e in told])
    await seg.track(
        EventTracked(
            event_id=uuid.uuid4().hex,
            tenant_id=tenant,
            occurred_at=now + 1,
            contact_ref="bob",
            name="buy",
            value=1,
            currency="EUR",
        )
    )
    deadline = time.monotonic() + 30
    while await size(seg, tenant, "received(campaign spring)") < 2 or await size(seg, tenant, "buy.count >= 1") < 1:
        assert time.monotonic() < deadline
    await seg.publisher.publish([seg.publisher.record(CLICKED.name, click.code, click)])
    while await size(seg, tenant, "clicked(campaign spring)") < 1:
        assert time.monotonic() < deadline
    assert await both_sizes(seg, tenant, "received(campaign spring)") == 2
    assert await both_sizes(seg, tenant, "delivered(campaign spring)") == 1
    assert await both_sizes(seg, tenant, "converted(campaign spring)") == 1
    assert await both_sizes(seg, tenant, "received(campaign spring) and not clicked(campaign spring)") == 1
    assert await both_sizes(seg, tenant, "not received(campaign spring)") == 2
    assert await both_sizes(seg, tenant, "received(campaign other)") == 0


async def test_a_snapshot_keeps_its_people_and_a_list_changes(seg: Seg) -> None:
    tenant = f"t{uuid.uuid4().hex[:8]}"
    for i, ref in enumerate(("ann", "bob")):
        await seg.contact(NUMBER.format(10 + i), ref, tenant=tenant, attributes={"city": "Lyon"})
    await seg.ok("PUT", "/v1/segments/lyon", {"name": "L", "filter": "city = Lyon"}, tenant=tenant)
    taken = await seg.ok("POST", "/v1/segments/lyon/snapshot", {"list": "then"}, tenant=tenant)
    assert (taken["size"], taken["segment_version"]) == (2, 1)
    await seg.contact(NUMBER.format(12), "cy", tenant=tenant, attributes={"city": "Lyon"})
    await seg.contact(NUMBER.format(10), "ann", tenant=tenant, attributes={"city": "Paris"})
    assert await both_sizes(seg, tenant, "list(then)") == 2
    assert await both_sizes(seg, tenant, "list(then) and city = Lyon") == 1
    assert (await seg.ok("GET", "/v1/lists/then/members", tenant=tenant))["members"] == ["ann", "bob"]
    assert (await seg.call("POST", "/v1/lists/then/members", {"add": ["cy"]}, tenant=tenant))[0] == 409
    assert (await seg.call("POST", "/v1/segments/lyon/snapshot", {"list": "then"}, tenant=tenant))[0] == 409
    assert (await seg.call("GET", "/v1/lists/then", tenant="other"))[0] == 404
    await seg.ok("PUT", "/v1/lists/mine", {"name": "M"}, tenant=tenant)
    changed = await seg.ok(
        "POST", "/v1/lists/mine/members", {"add": ["ann", "cy", "nobody"], "remove": ["ann"]}, tenant=tenant
    )
    assert changed["size"] == 1
    assert await both_sizes(seg, tenant, "list(mine)") == 1
    await seg.ok("DELETE", "/v1/contacts/cy", tenant=tenant)
    assert (await seg.ok("GET", "/v1/lists/mine/members", tenant=tenant))["members"] == []


async def test_buyers_have_classes_of_the_day_and_retention_lets_go_of_the_idle(seg: Seg) -> None:
    tenant, now = f"t{uuid.uuid4().hex[:8]}", now_ms()
    for i in range(10):
        await seg.contact(NUMBER.format(20 + i), f"p{i}", tenant=tenant)
    await seg.consent("p0", "withdrawn", tenant=tenant)
    await seg.track(
        *(
            EventTracked(event_id=uuid.uuid4().hex, tenant_id=tenant, occurred_at=now - (10 - i) * 20 * DAY_MS, contact_ref=f"p{i}", name="buy", value=i, currency="EUR")
            for i in range(10) for _ in range(i + 1)
        )
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while await size(seg, tenant, "buy.count >= 1") < 10:
        assert time.monotonic() < deadline
    db = Database(seg.parts.database_url("segmenter"), "test")
    await db.open()
    try:
        async with db.hot(EVERYONE) as connection:
            assert tenant in await due(connection, now)
        async with db.hot(tenant) as connection:
            assert await classify(connection, tenant, now) == 10
        async with db.hot(EVERYONE) as connection:
            assert tenant not in await due(connection, now)
        assert await both_sizes(seg, tenant, "rfm = champions") == 4
        assert await both_sizes(seg, tenant, "rfm in (lost, champions)") == 8
        assert await both_sizes(seg, tenant, "not has rfm") == 0

        await seg.ok("PUT", "/v1/rules/retention", {"behaviour_days": 150, "idle_days": 365}, tenant=tenant)
        assert (await seg.ok("GET", "/v1/rules", tenant=tenant))["retention"]["idle_days"] == 365
        at_rest = AtRest(seg.parts.master)
        contacts = ContactStore(seg.publisher, ConsentStore(seg.publisher))
        job = RetentionJob(db, Erasure(seg.publisher, contacts, LaterStore(at_rest), HeldStore(at_rest)))
        async with db.hot(tenant) as connection:
            await connection.execute(
                "UPDATE contacts SET updated_at = 0 WHERE tenant_id = $1 AND ref IN ('p0', 'p1')", tenant
            )
        gone = await job.run_once(now)
        assert (gone["event_days"], gone["contacts"]) == (
            3,
            1,
        )  # p0 said a word lately; p1 nothing but a purchase long ago
        assert await both_sizes(seg, tenant, "buy.count >= 1") == 7
        assert (await seg.call("GET", "/v1/contacts/p1", tenant=tenant))[0] == 404
        assert (await seg.call("GET", "/v1/contacts/p0", tenant=tenant))[0] == 200
        assert (await seg.ok("GET", "/v1/contacts/p1/erasure", tenant=tenant))["erased_by"] == "retention"
        assert (await seg.ok("GET", "/v1/suppressions", tenant=tenant))["suppressions"] == []
        assert await job.run_once(now) == {"event_days": 0, "contacts": 0}

        next_quarter = AtRest(seg.parts.master, lambda: now + QUARTER_MS)
        async with db.hot(tenant) as connection:
            assert [await reseal(connection, next_quarter, 5) for _ in range(3)] == [5, 4, 0]
        assert (await seg.ok("GET", "/v1/contacts/p0", tenant=tenant))["number"] == NUMBER.format(20)
    finally:
        await db.close()
