"""Variants, holdouts, schedules and approvals on the real road."""

import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.contracts.events import MessagePrepared
from stack.segmenter.conftest import Seg, eventually
from stack.segmenter.test_campaigns import audience, mobile, only


async def split_campaign(seg: Seg, mark: str, **more: Any) -> str:
    """A campaign with variants a and b, half each unless `more` says otherwise."""
    name = await seg.campaign(only(mark), "A {{ first_name }}")
    template = {"name": "b", "purpose": "marketing", "bodies": {"en": "B {{ first_name }}"}, "default_locale": "en"}
    await seg.ok("PUT", f"/v1/templates/{name}-b", template)
    variants = [{"id": "a", "template": name, "share": 50}, {"id": "b", "template": f"{name}-b", "share": 40}]
    body = {"name": "c", "segment": name, "purpose": "marketing", "variants": variants, "holdout": 10, **more}
    await seg.ok("PUT", f"/v1/campaigns/{name}", body)
    return name


async def test_each_variant_gets_its_share_and_the_held_out_get_nothing(seg: Seg) -> None:
    mark = uuid.uuid4().hex[:8]
    refs = await audience(seg, mark, 1000, 8_000_000)
    campaign = await split_campaign(seg, mark)
    dry = await seg.ok("POST", f"/v1/campaigns/{campaign}/dry-run")
    assert dry["variants"]["a"] + dry["variants"]["b"] == dry["would_send"] == 1000 - dry["dropped"]["holdout"]
    assert float(dry["lowest_cost"]["EUR"]) == round(0.042 * dry["would_send"], 3)
    assert dry["costs"] == [
        {
            "country": "FR",
            "carrier": "mercure",
            "messages": dry["would_send"],
            "cost": dry["lowest_cost"]["EUR"],
            "currency": "EUR",
        }
    ]
    assert 0 < datetime.fromisoformat(dry["finish_at"]).timestamp() - datetime.now(UTC).timestamp() < 60
    await seg.ok("POST", f"/v1/campaigns/{campaign}/launch")
    shown = await seg.until(campaign, "completed")
    assert shown["run"]["dropped"] == dry["dropped"]
    events = await eventually(lambda: len(found := seg.messages_of(campaign)) == 1000 and found)
    assert sorted(e.contact_ref for e in events) == refs
    by_variant = Counter(e.variant for e in events)
    assert 440 < by_variant["a"] < 560
    assert 60 < by_variant["holdout"] < 140
    assert {type(e) is MessagePrepared for e in events if e.variant == "holdout"} == {False}
    assert {e.reason for e in events if e.variant == "holdout"} == {"holdout"}
    for variant, first in (("a", "A"), ("b", "B")):
        event = next(e for e in events if e.variant == variant)
        assert (await seg.text(event))[1].startswith(f"{first} N")


async def test_a_scheduled_campaign_waits_can_be_cancelled_and_starts_by_itself(seg: Seg) -> None:
    mark = uuid.uuid4().hex[:8]
    await audience(seg, mark, 3, 8_100_000)
    soon = (datetime.now(UTC) + timedelta(seconds=4)).isoformat()
    campaign = await split_campaign(seg, mark, schedule={"at": soon}, holdout=10)
    told = await seg.ok("POST", f"/v1/campaigns/{campaign}/launch")
    assert told["state"] == "scheduled"
    assert (await seg.call("POST", f"/v1/campaigns/{campaign}/launch"))[0] == 409
    far = await split_campaign(seg, mark, schedule={"at": soon})
    await seg.ok("POST", f"/v1/campaigns/{far}/launch")
    assert (await seg.ok("POST", f"/v1/campaigns/{far}/cancel"))["state"] == "cancelled"
    assert (await seg.until(campaign, "completed"))["run"]["audience"] == 3
    assert (await seg.ok("GET", f"/v1/campaigns/{far}"))["state"] == "cancelled"
    assert seg.messages_of(far) == []
    listed = await seg.ok("GET", f"/v1/campaigns?limit=2&after={min(campaign, far)}")
    assert len(listed["campaigns"]) <= 2
    assert all(c["id"] > min(campaign, far) for c in listed["campaigns"])


async def test_a_recurring_campaign_waits_for_its_next_start_when_a_run_is_through(seg: Seg) -> None:
    mark = uuid.uuid4().hex[:8]
    await audience(seg, mark, 2, 8_200_000)
    started = datetime.now(UTC) - timedelta(minutes=1)
    campaign = await split_campaign(seg, mark, schedule={"at": started.isoformat(), "every": "day", "zone": "UTC"})
    await seg.ok("POST", f"/v1/campaigns/{campaign}/launch")
    shown = await seg.until(campaign, "scheduled")
    next_start = datetime.fromisoformat(shown["launch_at"])
    assert abs(next_start - started - timedelta(days=1)) < timedelta(seconds=1)
    assert (shown["run"]["state"], shown["run"]["audience"]) == ("completed", 2)


async def test_at_local_time_each_zone_is_written_to_when_its_hour_has_come(seg: Seg) -> None:
    mark = uuid.uuid4().hex[:8]
    now = datetime.now(UTC)
    zones = {"Pacific/Kiritimati": 0, "Etc/GMT+12": 1}  # UTC+14 and UTC-12
    for zone, i in zones.items():
        attributes = {"mark": mark, "first_name": "x"}
        await seg.contact(mobile(8_300_000 + i), f"{mark}-{i}", attributes=attributes, time_zone=zone, consent=True)
    hour = (now + timedelta(hours=13)).strftime("%Y-%m-%dT%H:%M")  # passed an hour ago at UTC+14
    campaign = await seg.campaign(only(mark), "Hi {{ first_name }}", schedule={"local_time": hour, "zone": "UTC"})
    told = await seg.ok("POST", f"/v1/campaigns/{campaign}/launch")
    assert (told["state"], told["audience"]) == ("running", 2)
    first = (await eventually(lambda: seg.messages_of(campaign)))[0]
    assert first.contact_ref == f"{mark}-0"
    shown = await seg.ok("GET", f"/v1/campaigns/{campaign}")
    assert (shown["state"], shown["run"]["chunks"]) == ("running", 2)
    await seg.ok("POST", f"/v1/campaigns/{campaign}/cancel")


async def test_spread_over_an_hour_the_chunks_fall_due_one_after_the_other(seg: Seg) -> None:
    mark = uuid.uuid4().hex[:8]
    await audience(seg, mark, 1100, 8_400_000)
    campaign = await seg.campaign(only(mark), "Hi {{ first_name }}", schedule={"spread_s": 3600})
    await seg.ok("POST", f"/v1/campaigns/{campaign}/launch")
    await eventually(lambda: len(seg.messages_of(campaign)) == 500)
    shown = await seg.ok("GET", f"/v1/campaigns/{campaign}")
    assert (shown["state"], shown["run"]["chunks"]) == ("running", 3)
    await seg.ok("POST", f"/v1/campaigns/{campaign}/pause")
    await seg.ok("POST", f"/v1/campaigns/{campaign}/resume")
    await seg.ok("POST", f"/v1/campaigns/{campaign}/cancel")
    assert len(seg.messages_of(campaign)) == 500


async def test_above_a_cost_a_campaign_is_launched_only_after_another_key_approved_it(seg: Seg) -> None:
    tenant, mark = "approving", uuid.uuid4().hex[:8]
    await audience(seg, mark, 30, 8_500_000, tenant=tenant)
    rule = {"above": "1.00", "currency": "EUR"}
    assert (await seg.call("PUT", "/v1/rules/approval", rule, tenant=tenant, scope="campaigns:write"))[0] == 403
    await seg.ok("PUT", "/v1/rules/approval", rule, tenant=tenant)
    campaign = await seg.campaign(only(mark), "Hi {{ first_name }}", tenant=tenant)
    status, told = await seg.call("POST", f"/v1/campaigns/{campaign}/launch", tenant=tenant)
    assert (status, told["code"] if "code" in told else told["title"]) in (
        (409, "needs_approval"),
        (409, "needs approval"),
    )
    assert "1.26" in told["detail"]
    assert (await seg.call("POST", f"/v1/campaigns/{campaign}/approve", tenant=tenant))[0] == 403
    told = await seg.ok("POST", f"/v1/campaigns/{campaign}/approve", tenant=tenant, key="key-2")
    assert told == {"id": campaign, "approved_cost": "1.2600", "currency": "EUR"}
    await seg.ok("POST", f"/v1/campaigns/{campaign}/launch", tenant=tenant)
    assert (await seg.until(campaign, "completed", tenant=tenant))["run"]["prepared"] == 30
