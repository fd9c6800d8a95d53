"""Campaigns from launch to completion: everyone once, nobody against their word, stoppable, and unbroken by a crash."""

import asyncio
import uuid
from collections import Counter
from typing import Any

from shared.contracts.events import MessagePrepared
from stack.segmenter.conftest import Seg, eventually


def mobile(number: int) -> str:
    return f"+3361{number:07d}"


def only(mark: str) -> dict[str, Any]:
    return {"attr": "mark", "op": "eq", "value": mark}


async def audience(
    seg: Seg, mark: str, size: int, first: int, *, tenant: str = "acme", grant: bool = True
) -> list[str]:
    """`size` people with mobile numbers of their own from `first` on, all with consent."""
    refs = [f"{mark}-{i:05}" for i in range(size)]
    for start in range(0, size, 1000):
        some = list(enumerate(refs))[start : start + 1000]
        contacts = [
            {
                "ref": ref,
                "number": mobile(first + i),
                "attributes": {"mark": mark, "first_name": f"N{i}"},
                "locale": "fr" if i % 2 else "en",
            }
            for i, ref in some
        ]
        told = await seg.ok("POST", "/v1/contacts/batch", {"contacts": contacts}, tenant=tenant)
        assert all(r["status"] == "stored" for r in told["results"])
        if grant:
            consents = [
                {"contact": ref, "purpose": "marketing", "state": "granted", "source": "test"} for _, ref in some
            ]
            told = await seg.ok("POST", "/v1/consents/batch", {"consents": consents}, tenant=tenant)
            assert all(r["status"] == "recorded" for r in told["results"])
    return refs


async def test_everyone_gets_their_own_text_or_is_dropped_for_a_reason_that_is_named(seg: Seg) -> None:
    mark = uuid.uuid4().hex[:8]
    refs = await audience(seg, mark, 8, 1_000_000)
    await seg.consent(refs[1], "withdrawn")
    await seg.contact("+33142685300", refs[2], attributes={"mark": mark, "first_name": "x"})
    await seg.contact(mobile(1_000_003), refs[3], attributes={"mark": mark})  # nothing to call them by
    await seg.contact(mobile(1_000_005), refs[4], attributes={"mark": mark, "first_name": "N5"})  # shares 5's number
    await seg.contact(mobile(1_000_006), refs[6], attributes={"mark": mark, "first_name": "ok" * 900})
    await seg.ok("POST", "/v1/suppressions", {"contact": refs[7]})
    stranger = await seg.contact(mobile(1_000_008), f"{mark}-new", attributes={"mark": mark, "first_name": "x"})
    campaign = await seg.campaign(only(mark), "Hi {{ first_name }}", bodies={"fr": "Salut {{ first_name }}"})

    dry = await seg.ok("POST", f"/v1/campaigns/{campaign}/dry-run")
    assert dry["audience"] == 9
    assert dry["would_send"] == 2
    assert {s["contact"]: s["text"] for s in dry["samples"]} == {refs[0]: "Hi N0", refs[4]: "Hi N5"}

    told = await seg.ok("POST", f"/v1/campaigns/{campaign}/launch")
    assert (told["run"], told["audience"]) == ("1", 9)
    shown = await seg.until(campaign, "completed")
    events = await eventually(lambda: len(found := seg.messages_of(campaign)) == 9 and found)
    by_ref = {e.contact_ref: e for e in events}
    reasons = {ref: e.reason for ref, e in by_ref.items() if not isinstance(e, MessagePrepared)}
    assert reasons == {
        refs[1]: "opted_out", refs[2]: "invalid_number", refs[3]: "render_failed", refs[5]: "duplicate",
        refs[6]: "unencodable", refs[7]: "suppressed", stranger: "no_consent",
    }  # fmt: skip
    assert dry["dropped"] == shown["run"]["dropped"] == dict(Counter(reasons.values()))
    assert shown["run"] | {"audience": 9, "prepared": 2, "chunks": 1, "chunks_done": 1} == shown["run"]
    assert await seg.text(by_ref[refs[0]]) == (mobile(1_000_000), "Hi N0")
    assert (by_ref[refs[0]].run, by_ref[refs[0]].segment, by_ref[refs[0]].sender) == ("1", campaign, "RELAIS")
    changes = await eventually(
        lambda: len(found := seg.of_kind("CampaignChanged", campaign_id=campaign)) == 3 and found
    )
    states = [(e.version, e.state) for e in changes]
    assert states == [(1, "draft"), (2, "running"), (3, "completed")]


async def test_a_second_tenant_with_the_same_refs_numbers_and_ids_sees_and_reaches_nobody(seg: Seg) -> None:
    mark = uuid.uuid4().hex[:8]
    refs = await audience(seg, mark, 3, 2_000_000)
    campaign = await seg.campaign(only(mark), "Hi {{ first_name }}")
    assert (await seg.call("GET", f"/v1/contacts/{refs[0]}", tenant="other"))[0] == 404
    assert (await seg.call("GET", f"/v1/contacts/{refs[0]}/consents", tenant="other"))[0] == 404
    for path in (f"/v1/campaigns/{campaign}", f"/v1/segments/{campaign}", f"/v1/templates/{campaign}"):
        assert (await seg.call("GET", path, tenant="other"))[0] == 404
    assert (await seg.call("POST", f"/v1/campaigns/{campaign}/launch", tenant="other"))[0] == 404
    # The other tenant has people of the same names and numbers, without a grant.
    await audience(seg, mark, 3, 2_000_000, tenant="other", grant=False)
    theirs = await seg.campaign(only(mark), "Hi {{ first_name }}", tenant="other")
    await seg.ok("POST", f"/v1/campaigns/{theirs}/launch", tenant="other")
    shown = await seg.until(theirs, "completed", tenant="other")
    assert shown["run"]["dropped"] == {"no_consent": 3}
    await seg.ok("POST", f"/v1/campaigns/{campaign}/launch")
    assert (await seg.until(campaign, "completed"))["run"]["prepared"] == 3


async def test_a_paused_campaign_stops_and_resumes_with_no_gap_and_no_double(seg: Seg) -> None:
    mark = uuid.uuid4().hex[:8]
    refs = await audience(seg, mark, 3000, 3_000_000)
    campaign = await seg.campaign(only(mark), "Hi {{ first_name }}")
    seg.router.messages = 0
    await asyncio.sleep(1.2)
    await seg.ok("POST", f"/v1/campaigns/{campaign}/launch")
    assert (await seg.call("POST", f"/v1/campaigns/{campaign}/launch"))[0] == 409
    await seg.ok("POST", f"/v1/campaigns/{campaign}/pause")
    seg.router.messages = 100_000
    await asyncio.sleep(3)
    assert seg.messages_of(campaign) == []
    shown = await seg.ok("GET", f"/v1/campaigns/{campaign}")
    assert (shown["state"], shown["run"]["chunks"], shown["run"]["chunks_done"]) == ("paused", 6, 0)
    await seg.ok("POST", f"/v1/campaigns/{campaign}/resume")
    await seg.until(campaign, "completed")
    events = await eventually(lambda: len(found := seg.messages_of(campaign)) >= 3000 and found)
    assert sorted(e.contact_ref for e in events) == refs


async def test_a_cancelled_campaign_sends_no_more(seg: Seg) -> None:
    mark = uuid.uuid4().hex[:8]
    await audience(seg, mark, 20, 4_000_000)
    campaign = await seg.campaign(only(mark), "Hi {{ first_name }}")
    seg.router.messages = None  # the router is away: nothing is released either
    await asyncio.sleep(1.2)
    await seg.ok("POST", f"/v1/campaigns/{campaign}/launch")
    await seg.ok("POST", f"/v1/campaigns/{campaign}/cancel")
    seg.router.messages = 100_000
    other = await seg.campaign(only(mark), "Hi {{ first_name }}")
    await seg.ok("POST", f"/v1/campaigns/{other}/launch")
    await seg.until(other, "completed")
    assert seg.messages_of(campaign) == []
    assert (await seg.call("POST", f"/v1/campaigns/{campaign}/resume"))[0] == 409


async def test_a_replica_killed_in_the_middle_leaves_no_gap_and_its_repeats_have_the_same_ids(seg: Seg) -> None:
    mark = uuid.uuid4().hex[:8]
    refs = await audience(seg, mark, 12_000, 5_000_000)
    campaign = await seg.campaign(only(mark), "Hi {{ first_name }}")
    await seg.ok("POST", f"/v1/campaigns/{campaign}/launch")
    await eventually(lambda: len(seg.messages_of(campaign)) > 1500)
    await seg.replicas[1].kill()
    try:
        await seg.until(campaign, "completed", within_s=60)
    finally:
        await seg.replicas[1].start()
        await seg.ready(seg.replicas[1])
    events = await eventually(
        lambda: len({e.contact_ref for e in seg.messages_of(campaign)}) == 12_000 and seg.messages_of(campaign)
    )
    ids: dict[str, set[str]] = {}
    for event in events:
        ids.setdefault(event.contact_ref, set()).add(event.message_id)
    assert sorted(ids) == refs
    assert all(len(found) == 1 for found in ids.values())
    run = (await seg.ok("GET", f"/v1/campaigns/{campaign}"))["run"]
    assert (run["prepared"], run["chunks_done"]) == (12_000, run["chunks"])


async def test_a_campaign_for_nobody_is_completed_at_once(seg: Seg) -> None:
    campaign = await seg.campaign(only("nobody-has-this-mark"), "Hi")
    told = await seg.ok("POST", f"/v1/campaigns/{campaign}/launch")
    assert told == {"run": "1", "state": "completed", "audience": 0}


async def test_a_campaign_is_launched_again_only_after_an_edit_and_then_with_other_message_ids(seg: Seg) -> None:
    mark = uuid.uuid4().hex[:8]
    refs = await audience(seg, mark, 1, 6_000_000)
    campaign = await seg.campaign(only(mark), "Hi {{ first_name }}")
    await seg.ok("POST", f"/v1/campaigns/{campaign}/launch")
    await seg.until(campaign, "completed")
    status, told = await seg.call("POST", f"/v1/campaigns/{campaign}/launch")
    assert (status, told["title"]) == (409, "wrong state")
    draft = {"name": "again", "segment": campaign, "template": campaign, "purpose": "marketing"}
    await seg.ok("PUT", f"/v1/campaigns/{campaign}", draft)
    assert (await seg.ok("POST", f"/v1/campaigns/{campaign}/launch"))["run"] == "2"
    await seg.until(campaign, "completed")
    events = await eventually(lambda: len(found := seg.messages_of(campaign)) == 2 and found)
    assert len({e.message_id for e in events}) == 2
    assert {e.contact_ref for e in events} == set(refs)


async def test_a_tenant_without_room_at_the_carriers_holds_no_other_tenant_up(seg: Seg) -> None:
    held, free = uuid.uuid4().hex[:8], uuid.uuid4().hex[:8]
    await audience(seg, held, 1_200, 8_100_000)
    await audience(seg, free, 20, 8_200_000, tenant="other")
    first = await seg.campaign(only(held), "Hi")
    second = await seg.campaign(only(free), "Hi", tenant="other")
    seg.router.full.add("acme")
    try:
        await asyncio.sleep(1.2)  # longer than an answer of the router serves
        await seg.ok("POST", f"/v1/campaigns/{first}/launch")
        waiting = await seg.accept(mobile(8_100_001), {"text": "Soldes"})
        await seg.ok("POST", f"/v1/campaigns/{second}/launch", tenant="other")
        message = await seg.accept(mobile(8_200_001), {"text": "Soldes"}, tenant="other")
        await seg.until(second, "completed", tenant="other")
        assert isinstance(await seg.outcome(message), MessagePrepared)
        assert not seg.messages_of(first)
        assert not [r for r in seg.seen if getattr(r.event, "message_id", "") == waiting]
    finally:
        seg.router.full.clear()
    await seg.until(first, "completed")
    events = await eventually(lambda: len(found := seg.messages_of(first)) == 1_200 and found)
    assert len({e.message_id for e in events}) == 1_200
    assert isinstance(await seg.outcome(waiting), MessagePrepared)
