"""Content rules on the real road: blocked, held, released with the consent of then, and cancelled."""

import asyncio
import uuid
from typing import Any

from shared.contracts.events import MessageDropped, MessagePrepared
from stack.segmenter.conftest import Seg, eventually
from stack.segmenter.test_campaigns import audience, mobile, only

SUSPECT = "Bonjour {{ first_name }}, votre compte Paypa1"


async def settled(seg: Seg, campaign: str) -> Any:
    """The run, once nothing of it is held: what became of held messages is told before it is counted."""
    async with asyncio.timeout(20):
        while (run := (await seg.ok("GET", f"/v1/campaigns/{campaign}"))["run"])["held"]:
            await asyncio.sleep(0.05)
    return run


async def test_a_held_campaign_waits_for_a_person_and_goes_on_with_the_consent_of_then(seg: Seg) -> None:
    mark = uuid.uuid4().hex[:8]
    refs = await audience(seg, mark, 4, 6_000_000)
    campaign = await seg.campaign(only(mark), SUSPECT)
    dry = await seg.ok("POST", f"/v1/campaigns/{campaign}/dry-run")
    assert dry["held"] == {"protected_names": 4}
    await seg.ok("POST", f"/v1/campaigns/{campaign}/launch")
    shown = await seg.until(campaign, "completed")
    assert (shown["run"]["prepared"], shown["run"]["held"]) == (0, 4)
    told = await eventually(lambda: len(found := seg.messages_of(campaign)) == 4 and found)
    assert {(e.verdict, e.text, e.number, e.features) for e in told} == {("hold", b"", b"", "protected_names")}
    assert (await seg.call("GET", "/v1/held", scope="campaigns:write"))[0] == 403
    assert (await seg.ok("GET", f"/v1/held?campaign={campaign}", tenant="other"))["held"] == []
    held = (await seg.ok("GET", f"/v1/held?campaign={campaign}"))["held"]
    assert {h["text"] for h in held} == {f"Bonjour N{i}, votre compte Paypa1" for i in range(4)}
    of = {h["contact"]: h["message_id"] for h in held}
    await seg.consent(refs[0], "withdrawn")
    await seg.ok("POST", "/v1/held/block", {"message_ids": [of[refs[1]]]}, key="key-2")
    told = await seg.ok("POST", "/v1/held/release", {"campaign": campaign, "run": "1", "rule": "protected_names"})
    assert told["messages"] == 3
    await eventually(lambda: len(seg.messages_of(campaign)) == 8)
    after = {e.contact_ref: e for e in seg.messages_of(campaign) if getattr(e, "verdict", "") != "hold"}
    assert {r: getattr(e, "reason", None) for r, e in after.items()} == {
        refs[0]: "opted_out",
        refs[1]: "blocked",
        refs[2]: None,
        refs[3]: None,
    }
    released = after[refs[2]]
    assert released.message_id == of[refs[2]]
    assert await seg.text(released) == (mobile(6_000_002), "Bonjour N2, votre compte Paypa1")
    run = await settled(seg, campaign)
    assert (run["prepared"], run["held"], run["dropped"]) == (2, 0, {"blocked": 1, "opted_out": 1})
    decisions = (await seg.ok("GET", "/v1/held/decisions"))["decisions"]
    mine = [d for d in decisions if d["campaign_id"] == campaign or d["message_ids"] == [of[refs[1]]]]
    assert [(d["decision"], d["decided_by"]) for d in mine] == [("release", "key-1"), ("block", "key-2")]


async def test_cancelling_drops_what_is_held_and_the_counts_stay_whole(seg: Seg) -> None:
    mark = uuid.uuid4().hex[:8]
    await audience(seg, mark, 600, 6_100_000)
    campaign = await seg.campaign(only(mark), SUSPECT, schedule={"spread_s": 3600})
    await seg.ok("POST", f"/v1/campaigns/{campaign}/launch")
    await eventually(lambda: len(seg.messages_of(campaign)) == 500)
    await seg.ok("POST", f"/v1/campaigns/{campaign}/cancel")
    await eventually(lambda: len(seg.of_kind("MessageDropped", campaign_id=campaign, reason="cancelled")) == 500)
    run = await settled(seg, campaign)
    assert (run["prepared"], run["held"], run["dropped"]) == (0, 0, {"cancelled": 600})


async def test_a_public_shortener_is_blocked_and_the_fourth_copy_of_a_text_to_one_number_is_held(seg: Seg) -> None:
    await seg.contact(mobile(6_200_000), consent=True)
    blocked = await seg.outcome(await seg.accept(mobile(6_200_000), {"text": "Offre: bit.ly/a"}))
    assert isinstance(blocked, MessageDropped)
    assert (blocked.reason, blocked.detail) == ("blocked", "content rule public_shortener")
    verdicts = []
    for _ in range(4):
        event = await seg.outcome(await seg.accept(mobile(6_200_000), {"text": "Une offre"}))
        assert isinstance(event, MessagePrepared)
        verdicts.append(event.verdict)
    assert verdicts == ["pass", "pass", "pass", "hold"]
    other = await seg.outcome(await seg.accept(mobile(6_200_000), {"text": "Une autre offre"}))
    assert isinstance(other, MessagePrepared)
    assert other.verdict == "pass"


async def test_more_codes_to_one_prefix_than_the_tenant_allows_are_held_and_other_prefixes_are_not(seg: Seg) -> None:
    tenant = f"pumped-{uuid.uuid4().hex[:6]}"
    rule = {"id": "pump", "kind": "velocity", "verdict": "hold", "purposes": ["otp"], "most": 2, "within_s": 3600}
    assert (await seg.call("PUT", "/v1/rules/content", {"rules": [rule]}, tenant=tenant, scope="campaigns:write"))[
        0
    ] == 403
    await seg.ok("PUT", "/v1/rules/content", {"rules": [rule]}, tenant=tenant)
    events = [
        await seg.outcome(await seg.accept(mobile(number), {"text": f"Code {number}"}, "otp", tenant=tenant))
        for number in (6_300_000, 6_300_001, 6_300_002, 6_400_000)
    ]
    assert [e.verdict for e in events if isinstance(e, MessagePrepared)] == ["pass", "pass", "hold", "pass"]
    assert "own@1" in events[0].rules


async def test_an_operators_rules_replace_those_that_came_with_the_service_and_bad_ones_name_their_field(
    seg: Seg,
) -> None:
    bad = {"rules": [{"id": "x", "kind": "domains", "verdict": "block", "domains": ["https://a.example"]}]}
    status, told = await seg.call("PUT", "/v1/rules/content", bad)
    assert (status, told["errors"][0]["field"]) == (422, "rules.0.domains")
    assert (await seg.call("PUT", "/v1/rules/content/operator", bad, scope="admin"))[0] == 403
    told = await seg.ok("GET", "/v1/rules/content", tenant="never-put")
    assert told["in_force"].startswith("content:seed@")
