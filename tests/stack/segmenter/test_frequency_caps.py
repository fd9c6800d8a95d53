"""Frequency caps on the real road: two campaigns at once, repeats, and places given back."""

import asyncio
import uuid

from shared.clock import now_ms
from shared.contracts.events import MessageDropped, MessagePrepared
from shared.contracts.topics import DROPPED
from stack.segmenter.conftest import Seg, eventually
from stack.segmenter.test_campaigns import audience, mobile, only

TENANT = "capped"  # a tenant of its own: a cap holds for all that a tenant sends


async def cap(seg: Seg, per_day: int, per_week: int, tenant: str) -> None:
    await seg.ok("PUT", "/v1/rules/frequency-caps/marketing", {"per_day": per_day, "per_week": per_week}, tenant=tenant)


async def test_two_campaigns_that_expand_the_same_people_at_once_never_exceed_the_cap(seg: Seg) -> None:
    mark = uuid.uuid4().hex[:8]
    refs = await audience(seg, mark, 2000, 7_000_000, tenant=TENANT)
    await cap(seg, 1, 0, TENANT)
    told = await seg.ok("GET", "/v1/rules", tenant=TENANT)
    assert told["frequency_caps"] == [{"purpose": "marketing", "per_day": 1, "per_week": 0, "version": 1}]
    campaigns = [await seg.campaign(only(mark), "Hi {{ first_name }}", tenant=TENANT) for _ in range(2)]
    await asyncio.gather(
        *(seg.ok("POST", f"/v1/campaigns/{c}/launch", tenant=TENANT, replica=i) for i, c in enumerate(campaigns))
    )
    shown = [await seg.until(c, "completed", tenant=TENANT) for c in campaigns]
    assert sum(s["run"]["prepared"] for s in shown) == 2000
    assert sum(s["run"]["dropped"].get("frequency_cap", 0) for s in shown) == 2000
    events = await eventually(
        lambda: len(found := [e for c in campaigns for e in seg.messages_of(c, TENANT)]) == 4000 and found
    )
    assert sorted(e.contact_ref for e in events if isinstance(e, MessagePrepared)) == refs
    dropped = next(e for e in events if isinstance(e, MessageDropped))
    assert dropped.detail == "marketing is capped at 1 a day for one number"
    assert "frequency_cap:marketing@1" in dropped.rules
    third = await seg.campaign(only(mark), "Hi {{ first_name }}", tenant=TENANT)
    dry = await seg.ok("POST", f"/v1/campaigns/{third}/dry-run", tenant=TENANT)
    assert (dry["would_send"], dry["dropped"]) == (0, {"frequency_cap": 2000})


async def test_a_place_is_given_back_when_a_later_stage_drops_the_message(seg: Seg) -> None:
    tenant, number = "capped-back", mobile(7_100_000)
    await cap(seg, 1, 2, tenant)
    await seg.contact(number, tenant=tenant, consent=True)
    first, second = [await seg.accept(number, {"text": f"Hi {i}"}, tenant=tenant) for i in range(2)]
    kept = await seg.outcome(first)
    assert isinstance(kept, MessagePrepared)
    refused = await seg.outcome(second)
    assert isinstance(refused, MessageDropped)
    assert refused.reason == "frequency_cap"
    assert isinstance(
        await seg.outcome(await seg.accept(number, {"text": "1234"}, "otp", tenant=tenant)), MessagePrepared
    )
    event = MessageDropped(
        event_id=f"{first}:dropped", tenant_id=tenant, occurred_at=now_ms(), message_id=first, stage="router",
        reason="no_route", contact_id=kept.contact_id, purpose="marketing", accepted_at=kept.accepted_at,
    )  # fmt: skip
    await seg.publisher.publish([seg.publisher.record(DROPPED.name, first, event)] * 2)
    deadline = asyncio.get_running_loop().time() + 15
    while True:
        again = await seg.outcome(await seg.accept(number, {"text": "Hi again"}, tenant=tenant))
        if isinstance(again, MessagePrepared):
            break
        assert asyncio.get_running_loop().time() < deadline, "the place never came back"
    last = await seg.outcome(await seg.accept(number, {"text": "And again"}, tenant=tenant))
    assert isinstance(last, MessageDropped)


async def test_one_batch_with_many_messages_for_one_handset_gets_the_cap_and_no_more(seg: Seg) -> None:
    tenant, number = "capped-batch", mobile(7_200_000)
    await cap(seg, 3, 0, tenant)
    await seg.contact(number, tenant=tenant, consent=True)
    ids = await asyncio.gather(*(seg.accept(number, {"text": f"Hi {i}"}, tenant=tenant) for i in range(9)))
    outcomes = [await seg.outcome(message_id) for message_id in ids]
    assert sum(isinstance(o, MessagePrepared) for o in outcomes) == 3
    assert {o.reason for o in outcomes if isinstance(o, MessageDropped)} == {"frequency_cap"}
