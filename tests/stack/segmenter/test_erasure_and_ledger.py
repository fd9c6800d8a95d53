"""Erasure with its receipt, and the consent ledger against a model: whatever happens, nobody is written to against their word."""

import random
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest
from shared.clock import now_ms
from shared.contracts.events import EventTracked, MessageDropped, MessagePrepared
from shared.crypto.ids import NumberIndex
from stack.segmenter.conftest import Seg
from stack.segmenter.test_campaigns import only

NUMBER = "+3367{:07}"


async def test_erasure_drops_what_was_kept_for_later_and_leaves_a_receipt(seg: Seg) -> None:
    tenant, number = "erasing", NUMBER.format(1)
    ref = await seg.contact(number, tenant=tenant, consent=True, attributes={"a": 1, "b": 2})
    event_id = uuid.uuid4().hex
    await seg.track(
        EventTracked(event_id=event_id, tenant_id=tenant, occurred_at=now_ms(), contact_ref=ref, name="buy")
    )
    later = await seg.accept(
        number, {"text": "Later"}, "transactional", tenant=tenant, send_at=now_ms() + 3 * 86_400_000
    )
    assert isinstance(
        await seg.outcome(await seg.accept(number, {"text": "Now"}, "otp", tenant=tenant)), MessagePrepared
    )
    deadline = time.monotonic() + 15
    while not (exported := await seg.ok("GET", f"/v1/contacts/{ref}/export", tenant=tenant))["behaviour"]:
        assert time.monotonic() < deadline
    assert (exported["number"], exported["attributes"]) == (number, {"a": 1, "b": 2})
    assert [(c["purpose"], c["state"]) for c in exported["consents"]] == [("marketing", "granted")]
    assert (exported["behaviour"][0]["event"], exported["behaviour"][0]["count"]) == ("buy", 1)
    assert (await seg.call("GET", f"/v1/contacts/{ref}/export", tenant="other"))[0] == 404

    assert (await seg.call("DELETE", f"/v1/contacts/{ref}", tenant=tenant))[0] == 204
    dropped = await seg.outcome(later)
    assert isinstance(dropped, MessageDropped)
    assert (dropped.reason, dropped.contact_ref) == ("suppressed", ref)
    receipt = await seg.ok("GET", f"/v1/contacts/{ref}/erasure", tenant=tenant)
    assert receipt["erased"] == {
        "contact": 1, "attributes": 2, "event_days": 1, "later_messages": 1, "cap_claims": 0,
    }  # fmt: skip
    assert receipt["erased_by"] == "key-1"
    assert (await seg.call("GET", f"/v1/contacts/{ref}/export", tenant=tenant))[0] == 404
    assert (await seg.call("GET", f"/v1/contacts/{ref}/erasure", tenant="other"))[0] == 404


@dataclass
class Model:
    """What people said, kept as plainly as can be. Moments are the order of the sequence."""

    numbers: dict[str, str] = field(default_factory=dict)
    word_of: dict[str, str] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)  # numbers whose last word from a handset or an owner was no
    barred: set[str] = field(default_factory=set)  # suppressed or erased

    def may_be_written_to(self, ref: str) -> bool:
        number = self.numbers.get(ref)
        if number is None or number in self.barred or number in self.stopped:
            return False
        everyone = [r for r, n in self.numbers.items() if n == number]
        return self.word_of.get(ref) == "granted" and all(self.word_of.get(r) != "withdrawn" for r in everyone)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_no_sequence_of_events_lets_a_marketing_message_out_after_an_opt_out(seg: Seg, seed: int) -> None:
    tenant, dice, model = f"ledger-{seed}", random.Random(seed), Model()
    refs, numbers = [f"p{i}" for i in range(4)], [NUMBER.format(1000 + i) for i in range(3)]
    index = NumberIndex(seg.parts.master)
    for ref in refs:
        model.numbers[ref] = dice.choice(numbers)
        await seg.contact(model.numbers[ref], ref, tenant=tenant, attributes={"mark": "m"})
    campaign = await seg.campaign(only("m"), "Hi", tenant=tenant)
    written_to = 0
    for _ in range(60):
        ref, number = dice.choice(refs), dice.choice(numbers)
        move = dice.choice(["grant", "grant", "withdraw", "stop", "start", "change number", "suppress", "lift"])
        time.sleep(0.002)  # noqa: ASYNC251 - two words at one moment are another rule, tested elsewhere
        if move in ("grant", "withdraw"):
            word = {"grant": "granted", "withdraw": "withdrawn"}[move]
            await seg.consent(ref, word, tenant=tenant)
            model.word_of[ref] = word
            if word == "granted":
                model.stopped.discard(model.numbers[ref])
        elif move in ("stop", "start"):
            await handset(seg, tenant, index, number, move)
            everyone = [r for r, n in model.numbers.items() if n == number]
            for other in everyone:
                model.word_of[other] = "withdrawn" if move == "stop" else "granted"
            if not everyone and move == "stop":
                model.stopped.add(number)
            elif move == "start":
                model.stopped.discard(number)
        elif move == "change number":
            if model.word_of.get(ref) == "withdrawn" and number != model.numbers[ref]:
                model.stopped.add(model.numbers[ref])  # an opt-out stays with the number that is left behind
            model.numbers[ref] = number
            await seg.contact(number, ref, tenant=tenant, attributes={"mark": "m"})
        elif move == "suppress":
            await seg.ok("POST", "/v1/suppressions", {"number": number}, tenant=tenant)
            model.barred.add(number)
        else:
            await seg.call("DELETE", "/v1/suppressions", {"number": number}, tenant=tenant)
            model.barred.discard(number)
        dry = await seg.ok("POST", f"/v1/campaigns/{campaign}/dry-run", tenant=tenant)
        found = {sample["contact"] for sample in dry["samples"]}
        assert dry["would_send"] == len(found)
        assert all(model.may_be_written_to(r) for r in found), (move, ref, number[-2:], found, model)
        written_to += len(found)
    assert written_to  # silence would prove nothing


async def handset(seg: Seg, tenant: str, index: NumberIndex, number: str, keyword: str) -> None:
    heard: dict[str, Any] = {
        "event_id": uuid.uuid4().hex, "tenant_id": tenant, "contact_id": index.contact_id(tenant, number),
        "number_hash": index.number_hash(number), "keyword": keyword, "carrier": "mercure", "recipient": "36180", "at": now_ms(),
    }  # fmt: skip
    await seg.ok("POST", "/internal/v1/opt-outs", {"opt_outs": [heard]}, tenant="system", scope="internal")
