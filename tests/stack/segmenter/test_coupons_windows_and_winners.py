"""What a run draws on and follows: coupons, feeds, send windows, and the answers to its variants."""

import asyncio
import uuid
from collections import Counter

import asyncpg
from shared.clock import now_ms
from shared.contracts.events import EventTracked, MessagePrepared
from stack.segmenter.conftest import Seg, eventually
from stack.segmenter.test_campaigns import audience, mobile, only
from stack.segmenter.test_variants_and_schedules import split_campaign


async def test_each_gets_a_code_and_an_item_of_their_own_and_who_comes_after_the_last_code_is_told_of(seg: Seg) -> None:
    mark = uuid.uuid4().hex[:8]
    await audience(seg, mark, 7, 6_500_000)
    pool, feed = f"p{mark}", f"f{mark}"
    codes = [f"{mark}-{i}" for i in range(5)]
    assert (await seg.ok("POST", f"/v1/coupons/{pool}", {"codes": codes}))["left"] == 5
    assert (await seg.ok("POST", f"/v1/coupons/{pool}", {"codes": codes}))["added"] == 0
    await seg.ok("PUT", f"/v1/feeds/{feed}", {"items": {"N0": {"name": "boots"}}})
    body = "{{ coupon.POOL }} {{ feed.FEED[first_name].name | default: 'shoes' }}"
    campaign = await seg.campaign(only(mark), body.replace("POOL", pool).replace("FEED", feed))
    await seg.ok("POST", f"/v1/campaigns/{campaign}/launch")
    run = (await seg.until(campaign, "completed"))["run"]
    assert (run["prepared"], run["dropped"]) == (5, {"render_failed": 2})
    events = await eventually(lambda: len(found := seg.messages_of(campaign)) == 7 and found)
    texts = {e.contact_ref: (await seg.text(e))[1] for e in events if isinstance(e, MessagePrepared)}
    assert sorted(text.split()[0] for text in texts.values()) == codes
    assert texts.get(f"{mark}-00000", "x boots").endswith(" boots")
    assert (await seg.ok("GET", f"/v1/coupons/{pool}"))["left"] == 0
    assert (await seg.call("GET", f"/v1/coupons/{pool}", tenant="other"))[0] == 404


async def test_people_whose_window_is_closed_are_expanded_when_it_opens_with_the_consent_of_then(seg: Seg) -> None:
    mark, zone = uuid.uuid4().hex[:8], "Pacific/Chatham"
    for i in range(4):
        attributes = {"mark": mark, "first_name": f"N{i}"}
        more = {"time_zone": zone} if i < 3 else {}
        await seg.contact(mobile(6_600_000 + i), f"{mark}-{i}", attributes=attributes, consent=True, **more)
    seg.router.opens[zone] = now_ms() + 6000
    campaign = await seg.campaign(only(mark), "Hi {{ first_name }}")
    await seg.ok("POST", f"/v1/campaigns/{campaign}/launch")
    first = await eventually(lambda: seg.messages_of(campaign))
    assert [e.contact_ref for e in first] == [f"{mark}-3"]
    shown = await seg.ok("GET", f"/v1/campaigns/{campaign}")
    assert (shown["state"], shown["run"]["prepared"], shown["run"]["chunks"]) == ("running", 1, 2)
    await seg.consent(f"{mark}-0", "withdrawn")
    await seg.contact(mobile(6_600_001), f"{mark}-1", attributes={"mark": mark, "first_name": "Zoe"}, time_zone=zone)
    run = (await seg.until(campaign, "completed"))["run"]
    assert (run["prepared"], run["dropped"]) == (3, {"opted_out": 1})
    told = await eventually(lambda: len(found := seg.messages_of(campaign)) == 4 and found)
    events = {e.contact_ref: e for e in told}
    assert (await seg.text(events[f"{mark}-1"]))[1] == "Hi Zoe"
    assert events[f"{mark}-1"].accepted_at == first[0].accepted_at  # its id tells the launch, whenever it is made


async def test_after_the_test_the_rest_gets_the_winner(seg: Seg) -> None:
    mark = uuid.uuid4().hex[:8]
    await audience(seg, mark, 200, 6_700_000)
    campaign = await split_campaign(
        seg, mark, optimise={"kind": "winner", "by": "clicked", "test_share": 30, "after_s": 4}
    )
    seg.router.answers[campaign] = {"a": (30, 2), "b": (28, 9)}
    await seg.ok("POST", f"/v1/campaigns/{campaign}/launch")
    run = (await seg.until(campaign, "completed"))["run"]
    assert run["split"] == {"b": 10_000}
    events = await eventually(lambda: len(found := seg.messages_of(campaign)) == 200 and found)
    assert len({e.contact_ref for e in events}) == 200
    decided = max(e.accepted_at for e in events)
    rest = Counter(e.variant for e in events if e.accepted_at == decided)
    assert set(rest) <= {"b", "holdout"}
    tested = Counter(e.variant for e in events if e.accepted_at < decided)
    assert {"a", "b"} <= set(tested)
    assert 30 < sum(tested.values()) < 95


async def test_a_campaign_whose_people_are_all_chosen_is_paused_and_goes_on(seg: Seg) -> None:
    mark = uuid.uuid4().hex[:8]
    await audience(seg, mark, 3, 6_800_000)
    campaign = await seg.campaign(only(mark), "Hi {{ first_name }}")
    await seg.ok("POST", f"/v1/campaigns/{campaign}/launch")
    await seg.until(campaign, "completed")
    assert (await seg.ok("POST", f"/v1/campaigns/{campaign}/pause"))["state"] == "paused"
    told = await eventually(lambda: seg.of_kind("CampaignChanged", campaign_id=campaign, state="paused"))
    assert told[0].run == "1"
    assert (await seg.ok("POST", f"/v1/campaigns/{campaign}/resume"))["state"] == "completed"


async def test_quiet_people_are_left_out_and_new_ones_are_not(seg: Seg) -> None:
    mark = uuid.uuid4().hex[:8]
    refs = await audience(seg, mark, 3, 6_850_000)
    pool = await asyncpg.connect(seg.parts.database_url("segmenter"))
    try:
        await pool.execute("SELECT set_config('relais.tenants', 'acme', false)")
        await pool.execute("UPDATE contacts SET created_at = 0 WHERE ref = ANY($1::text[])", refs[:2])
    finally:
        await pool.close()
    event = EventTracked(event_id=mark, tenant_id="acme", occurred_at=now_ms(), contact_ref=refs[1], name="visit")
    await seg.track(event)
    campaign = await seg.campaign(only(mark), "Hi {{ first_name }}", exclude_quiet_days=30)
    await eventually_counted(seg, campaign, 2)
    await seg.ok("POST", f"/v1/campaigns/{campaign}/launch")
    await seg.until(campaign, "completed")
    events = await eventually(lambda: len(found := seg.messages_of(campaign)) == 2 and found)
    assert {e.contact_ref for e in events} == {refs[1], refs[2]}


async def eventually_counted(seg: Seg, campaign: str, size: int) -> None:
    """Until the event is counted, a dry run sees one less."""
    async with asyncio.timeout(20):
        while (await seg.ok("POST", f"/v1/campaigns/{campaign}/dry-run"))["audience"] != size:
            await asyncio.sleep(0.1)


async def test_a_template_is_checked_when_it_is_saved(seg: Seg) -> None:
    mark = uuid.uuid4().hex[:8]
    await seg.contact(mobile(6_900_000), f"{mark}-0", attributes={"first_name": "Ann" * 60}, tenant="checked")
    body = {
        "name": "t",
        "purpose": "marketing",
        "bodies": {"en": "{{ first_name }} {{ nick }}"},
        "default_locale": "en",
    }
    told = await seg.ok("PUT", "/v1/templates/t", body, tenant="checked")
    assert {(w["code"], w["variable"]) for w in told["checks"]["warnings"]} == {
        ("no_default", "first_name"), ("no_default", "nick"), ("unknown_variable", "nick"),
    }  # fmt: skip
    longest = told["checks"]["longest"]["en"]
    assert (longest["parts"], longest["costs"][0]["lowest"]) == (2, "0.084")
    assert (await seg.call("PUT", "/v1/templates/t?strict=true", body, tenant="checked"))[0] == 422
    endless = {**body, "bodies": {"en": "{% for i in (1..100000000) %}x{% endfor %}"}}
    status, told = await seg.call("PUT", "/v1/templates/t", endless, tenant="checked")
    assert (status, told["errors"][0]["field"]) == (422, "bodies.en")
