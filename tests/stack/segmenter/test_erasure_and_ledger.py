"""Erasure with its receipt, and the consent ledger against a model: whatever happens, nobody is written to against their word."""

import asyncio
import time
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
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
        "contact": 1, "attributes": 2, "event_days": 1, "later_messages": 1, "cap_claims": 0, "held_messages": 0,
    }  # fmt: skip
    assert receipt["erased_by"] == "key-1"
    assert (await seg.call("GET", f"/v1/contacts/{ref}/export", tenant=tenant))[0] == 404
    assert (await seg.call("GET", f"/v1/contacts/{ref}/erasure", tenant="other"))[0] == 404


@dataclass
class Model:
    """What people said, kept as plainly as can be. A word is (moment, 1 for no and 0 for yes): the greatest holds."""

    numbers: dict[str, str] = field(default_factory=dict)
    words: dict[str, tuple[int, int]] = field(default_factory=dict)
    stopped: dict[str, int] = field(default_factory=dict)  # numbers with an opt-out of their own, and its moment
    barred: set[str] = field(default_factory=set)  # suppressed or erased

    def says(self, ref: str, at: int, no: bool) -> None:
        word = (at, int(no))
        if ref in self.words and word <= self.words[ref]:
            return
        self.words[ref] = word
        number = self.numbers.get(ref)
        if not no and number is not None and self.stopped.get(number, at + 1) <= at:
            del self.stopped[number]

    def stops(self, number: str, at: int) -> None:
        self.stopped[number] = max(at, self.stopped.get(number, 0))

    def refuses(self, ref: str) -> bool:
        return ref in self.words and self.words[ref][1] == 1

    def behind(self, number: str) -> list[str]:
        return sorted(ref for ref, held in self.numbers.items() if held == number)

    def may_be_written_to(self, ref: str) -> bool:
        number = self.numbers.get(ref)
        if number is None or number in self.barred or number in self.stopped:
            return False
        return ref in self.words and not any(self.refuses(r) for r in {ref, *self.behind(number)})


REFS = [f"p{i}" for i in range(4)]
NUMBERS = [NUMBER.format(1000 + i) for i in range(3)]
people, handsets = st.sampled_from(REFS), st.sampled_from(NUMBERS)


class ConsentLedger(RuleBasedStateMachine):
    """Words, moves, erasures and merges in any order, told to the service and to the model. `seg` and `loop` are set by
    the test; the service runs in another thread than this machine."""

    seg: Seg
    loop: asyncio.AbstractEventLoop
    written_to = 0

    def __init__(self) -> None:
        super().__init__()
        self.tenant, self.model = f"ledger-{uuid.uuid4().hex[:10]}", Model()
        self.index = NumberIndex(self.seg.parts.master)

    def ask(self, call: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(call, self.loop).result(60)

    def moment(self) -> int:
        """Later than all that was said: two words at one moment are another rule, tested elsewhere."""
        time.sleep(0.002)
        return now_ms()

    @initialize(numbers=st.lists(handsets, min_size=4, max_size=4))
    def begin(self, numbers: list[str]) -> None:
        for ref, number in zip(REFS, numbers, strict=True):
            self.model.numbers[ref] = number
            self.ask(self.seg.contact(number, ref, tenant=self.tenant, attributes={"mark": "m"}))
        self.campaign = self.ask(self.seg.campaign(only("m"), "Hi", tenant=self.tenant))

    @rule(ref=people, no=st.booleans(), hours_ago=st.sampled_from([0, 0, 0, 1, 24]))
    def an_owner_reports_a_word(self, ref: str, no: bool, hours_ago: int) -> None:
        at = self.moment() - hours_ago * 3_600_000
        said = datetime.fromtimestamp(at / 1000, UTC).isoformat()
        self.ask(self.seg.consent(ref, "withdrawn" if no else "granted", tenant=self.tenant, at=said))
        self.model.says(ref, at, no)

    @rule(number=handsets, no=st.booleans())
    def a_handset_writes(self, number: str, no: bool) -> None:
        at = self.moment()
        self.ask(handset(self.seg, self.tenant, self.index, number, "stop" if no else "start", at))
        behind = self.model.behind(number)
        for ref in behind:
            self.model.says(ref, at, no)
        if no and not behind:
            self.model.stops(number, at)
        elif not no:
            self.model.stopped.pop(number, None)

    @rule(ref=people, number=handsets)
    def a_person_gets_another_number(self, ref: str, number: str) -> None:
        old = self.model.numbers.get(ref)
        if old not in (None, number) and self.model.refuses(ref):
            self.model.stops(old, self.model.words[ref][0])
        self.model.numbers[ref] = number
        self.ask(self.seg.contact(number, ref, tenant=self.tenant, attributes={"mark": "m"}))

    @rule(number=handsets)
    def a_number_is_suppressed(self, number: str) -> None:
        self.ask(self.seg.ok("POST", "/v1/suppressions", {"number": number}, tenant=self.tenant))
        self.model.barred.add(number)

    @rule(number=handsets)
    def a_suppression_is_lifted(self, number: str) -> None:
        self.ask(self.seg.call("DELETE", "/v1/suppressions", {"number": number}, tenant=self.tenant))
        self.model.barred.discard(number)

    @rule(ref=people)
    def a_person_is_erased(self, ref: str) -> None:
        self.ask(self.seg.call("DELETE", f"/v1/contacts/{ref}", tenant=self.tenant))
        number = self.model.numbers.pop(ref, None)
        if number is not None:
            self.model.barred.add(number)
            self.model.words.pop(ref, None)  # whoever comes under this ref must say yes anew

    @rule(keep=people, other=people)
    def two_records_become_one(self, keep: str, other: str) -> None:
        if keep == other:
            return
        self.ask(self.seg.call("POST", "/v1/contacts/merge", {"keep": keep, "merge": [other]}, tenant=self.tenant))
        if keep not in self.model.numbers or other not in self.model.numbers:
            return
        number, word = self.model.numbers.pop(other), self.model.words.pop(other, None)
        if word is not None and word[1] and number != self.model.numbers[keep]:
            self.model.stops(number, word[0])
        held = self.model.words.get(keep)
        if word is not None and (held is None or word[1] > held[1] or (word[1] == held[1] and word > held)):
            self.model.words[keep] = (max(word[0], held[0] if held else 0), word[1])
        elif word is not None and held is not None and held[1]:
            self.model.words[keep] = (max(word[0], held[0]), 1)

    @invariant()
    def nobody_is_written_to_against_their_word(self) -> None:
        if not hasattr(self, "campaign"):
            return
        dry = self.ask(self.seg.ok("POST", f"/v1/campaigns/{self.campaign}/dry-run", tenant=self.tenant))
        found = {sample["contact"] for sample in dry["samples"]}
        assert dry["would_send"] == len(found)
        against = {ref for ref in found if not self.model.may_be_written_to(ref)}
        assert not against, (against, self.model)
        type(self).written_to += len(found)


async def test_no_sequence_of_events_lets_a_marketing_message_out_after_an_opt_out(seg: Seg) -> None:
    ConsentLedger.seg, ConsentLedger.loop = seg, asyncio.get_running_loop()
    how = settings(
        max_examples=12,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    await asyncio.to_thread(run_state_machine_as_test, ConsentLedger, settings=how)
    assert ConsentLedger.written_to  # silence would prove nothing


async def test_a_merge_keeps_the_strictest_word_and_adds_up_what_was_known(seg: Seg) -> None:
    tenant = f"t{uuid.uuid4().hex[:8]}"
    ann = await seg.contact(
        NUMBER.format(2001), "ann", tenant=tenant, consent=True, attributes={"city": "Lyon", "points": 3}, locale="fr"
    )
    await seg.contact(
        NUMBER.format(2001), "anna", tenant=tenant, attributes={"city": "Paris", "vip": True}, time_zone="Europe/Paris"
    )
    await seg.consent("anna", "withdrawn", tenant=tenant)
    shared = await seg.ok("GET", "/v1/contacts/duplicates", tenant=tenant)
    assert [d["contacts"] for d in shared["duplicates"]] == [["ann", "anna"]]
    assert (await seg.call("POST", "/v1/contacts/merge", {"keep": ann, "merge": ["anna"]}, tenant="other"))[0] == 404
    await seg.ok("POST", "/v1/contacts/merge", {"keep": ann, "merge": ["anna"]}, tenant=tenant)
    assert (await seg.call("GET", "/v1/contacts/anna", tenant=tenant))[0] == 404
    found = await seg.ok("GET", f"/v1/contacts/{ann}", tenant=tenant)
    assert found["attributes"] == {"city": "Lyon", "points": 3, "vip": True}
    assert (found["locale"], found["time_zone"]) == ("fr", "Europe/Paris")
    told = await seg.ok("GET", f"/v1/contacts/{ann}/consents", tenant=tenant)
    assert told["purposes"]["marketing"]["state"] == "withdrawn"
    assert told["ledger"][0]["source"] == "merge"
    time.sleep(0.002)  # noqa: ASYNC251 - the next word is a later one
    await seg.consent(ann, "granted", tenant=tenant)
    dropped = await seg.outcome(await seg.accept(NUMBER.format(2001), {"text": "Sale"}, tenant=tenant))
    assert isinstance(dropped, MessagePrepared)  # the old record holds nobody back once the person agreed anew


async def handset(seg: Seg, tenant: str, index: NumberIndex, number: str, keyword: str, at: int) -> None:
    heard: dict[str, Any] = {
        "event_id": uuid.uuid4().hex, "tenant_id": tenant, "contact_id": index.contact_id(tenant, number),
        "number_hash": index.number_hash(number), "keyword": keyword, "carrier": "mercure", "recipient": "36180", "at": at,
    }  # fmt: skip
    await seg.ok("POST", "/internal/v1/opt-outs", {"opt_outs": [heard]}, tenant="system", scope="internal")
