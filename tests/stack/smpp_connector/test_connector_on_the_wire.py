"""The connector on real Kafka and PostgreSQL, against the simulated SMSC."""

import asyncio
import signal
import time

import aiohttp
import pytest
from console.smsc import Outcome, SubmitError, Throttle
from shared.clock import now_ms
from shared.contracts.topics import lane_of, submit
from shared.crypto.sealing import Kind
from stack.smpp_connector.conftest import QUICK, MakeWire, eventually, numbers

pytestmark = pytest.mark.stack


async def test_messages_reach_the_carrier_once_and_their_answers_and_receipts_the_topics(make_wire: MakeWire) -> None:
    wire = await make_wire()
    process = await wire.running()
    requests = await wire.flood(300)
    await wire.all_ended(requests)
    assert set(wire.taken()) == numbers(wire, requests)
    assert not wire.twice()
    ends = wire.submitted()
    assert {ends[r.message_id].outcome for r in requests} == {"submitted"}
    ids = {ends[r.message_id].parts[0].carrier_message_id for r in requests}
    await eventually(lambda: ids <= {e.carrier_message_id for e in wire.seen["ReceiptReceived"]})
    assert {e.state for e in wire.seen["ReceiptReceived"]} == {"delivered"}
    hashes = {r.number_hash for r in requests}
    assert {e.number_hash for e in wire.seen["ReceiptReceived"]} == hashes
    assert {row["outcome"] for row in (await wire.claims()).values()} == {"submitted"}
    assert await process.stop() == 0
    assert await wire.lag() == 0
    log = process.log.read_text()
    assert not any(number[1:] in log for number in numbers(wire, requests))


async def test_the_same_attempt_published_twice_reaches_the_handset_once(make_wire: MakeWire) -> None:
    wire = await make_wire()
    await wire.running()
    request = await wire.message()
    await wire.submit(request, request)
    await wire.all_ended([request])
    await wire.submit(request)
    other = await wire.message(number=wire.number_of[request.message_id])  # behind it, on the same contact
    await wire.submit(other)
    await wire.all_ended([other])
    assert wire.taken()[wire.number_of[request.message_id]] == 2  # the request and the other
    assert len(wire.events(request, "MessageSubmitted")) == 1  # the same event, however often


async def test_a_long_message_goes_out_in_parts_on_one_link_and_each_part_has_its_id(make_wire: MakeWire) -> None:
    wire = await make_wire(binds=2, smsc={"max_binds": 2})
    await wire.running()
    request = await wire.message("x" * 400, parts=3)
    understated = await wire.message("y" * 400, parts=1)
    await wire.submit(request, understated)
    await wire.all_ended([request, understated])
    for each in (request, understated):
        event = wire.submitted()[each.message_id]
        assert event.outcome == "submitted"
        assert [part.part for part in event.parts] == [1, 2, 3]
        assert len({part.carrier_message_id for part in event.parts}) == 3
        number = wire.number_of[each.message_id][1:].encode()
        rows = [row for row in wire.smsc.history.rows() if row.submit.destination[2:-1] == number]
        assert [row.submit.octets[:6] for row in rows] == [
            bytes((5, 0, 3, rows[0].submit.octets[3], 3, part)) for part in (1, 2, 3)
        ]
        assert len({row.session for row in rows}) == 1


async def test_what_must_not_go_any_more_is_stopped_at_the_wire(make_wire: MakeWire) -> None:
    wire = await make_wire()
    out, late, cancelled, paused, code, good = [
        await wire.message(),
        await wire.message(not_after=now_ms() - 1),
        await wire.message(campaign_id="spring"),
        await wire.message(campaign_id="summer"),
        await wire.message(purpose="otp"),
        await wire.message(campaign_id="autumn"),
    ]
    await wire.consent(out, "withdrawn")
    await wire.consent(code, "withdrawn")  # a marketing STOP does not stop a one-time code
    await wire.campaign("spring", "cancelled")
    await wire.campaign("summer", "paused")
    await wire.running()
    requests = [out, late, cancelled, paused, code, good]
    await wire.submit(*requests)
    await wire.all_ended(requests)
    reasons = {r.message_id: [e.reason for e in wire.events(r, "MessageDropped")] for r in requests}
    assert reasons[out.message_id] == ["opted_out"]
    assert reasons[late.message_id] == ["window_missed"]
    assert reasons[cancelled.message_id] == ["cancelled"]
    returned = wire.events(paused, "MessageReturned")
    assert [(e.cause, e.attempt, e.tried) for e in returned] == [("campaign_paused", 1, [wire.carrier])]
    assert set(wire.taken()) == {wire.number_of[code.message_id], wire.number_of[good.message_id]}


async def test_a_stop_on_our_own_bind_stops_marketing_and_only_that(make_wire: MakeWire) -> None:
    wire = await make_wire()
    await wire.running()
    requests = [await wire.message(), await wire.message(purpose="transactional")]
    number = wire.number_of[requests[0].message_id]
    requests[1] = await wire.message(purpose="transactional", number=number)
    wire.smsc.inject(number[1:], "36123", "Arrêt !")
    inbound = (await eventually(lambda: wire.seen["InboundReceived"]))[0]
    assert (inbound.keyword, inbound.number_hash, inbound.recipient) == ("stop", requests[0].number_hash, "36123")
    await wire.submit(*requests)
    await wire.all_ended(requests)
    assert [e.reason for e in wire.events(requests[0], "MessageDropped")] == ["opted_out"]
    assert wire.submitted()[requests[1].message_id].outcome == "submitted"
    wire.smsc.inject(number[1:], "36123", "START")
    await eventually(lambda: len(wire.seen["InboundReceived"]) == 2)
    again = await wire.message(number=number)
    await wire.submit(again)
    await wire.all_ended([again])
    assert wire.submitted()[again.message_id].outcome == "submitted"


@pytest.mark.parametrize(("profile", "bind"), [("smpp33", "transmitter_receiver"), ("smpp50", "transceiver")])
async def test_older_and_newer_versions_of_the_protocol_carry_messages_and_receipts(
    make_wire: MakeWire, profile: str, bind: str
) -> None:
    wire = await make_wire(profile=profile, bind=bind, smsc={"max_binds": 2})
    await wire.running()
    request = await wire.message("x" * 400, parts=3)
    await wire.submit(request)
    await wire.all_ended([request])
    ids = {part.carrier_message_id for part in wire.submitted()[request.message_id].parts}
    assert len(ids) == 3
    await eventually(lambda: ids <= {e.carrier_message_id for e in wire.seen["ReceiptReceived"]})


async def test_a_handsets_long_message_is_put_together_across_binds_and_a_kill_and_its_stop_waits_for_nothing(
    make_wire: MakeWire,
) -> None:
    wire = await make_wire(binds=2, smsc={"max_binds": 2})
    process = await wire.running()
    await eventually(lambda: len(wire.smsc.sessions()) == 2)
    text = "Bonjour " + "é€" * 200
    assert wire.smsc.inject("33600000901", "36123", text, parts=[4, 1], reference=7) == 4
    await eventually(lambda: wire.smsc.counters.inbound_acked == 2)
    await process.kill()  # the carrier has its acknowledgement and will not send them again
    await wire.running()
    wire.smsc.inject("33600000901", "36123", text, parts=[2, 1, 3], reference=7)
    (whole,) = await eventually(lambda: wire.seen["InboundReceived"])
    await wire.vault.load([whole.text])
    assert wire.vault.open(whole.tenant_id, Kind.TEXT, whole.text) == text
    wire.smsc.inject("33600000901", "36123", text, parts=[3], reference=7)  # it did not hear our answer
    wire.smsc.inject("33600000902", "36123", "Stop, " + "s'il vous plaît " * 20, parts=[1], reference=8)
    second = (await eventually(lambda: wire.seen["InboundReceived"][1:]))[0]
    assert (whole.keyword, second.keyword) == (None, "stop")
    await eventually(lambda: wire.smsc.counters.inbound_acked == 7)
    rows = await wire.admin.fetch(
        "SELECT content, told_at FROM smpp_connector.inbound_parts WHERE carrier = $1", wire.carrier
    )
    assert {(bytes(row["content"]), row["told_at"] is None) for row in rows} == {(b"", False)}
    assert len(wire.seen["InboundReceived"]) == 2


async def test_ids_are_learnt_and_a_rule_that_was_applied_makes_receipts_match(make_wire: MakeWire) -> None:
    wire = await make_wire(id_rule="learn", script="ids_hex_then_decimal")
    process = await wire.running()
    await wire.flood(1100)

    async def in_force() -> str:
        async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{process.port}/id-rule") as answer:
            return str((await answer.json())["in_force"])

    deadline = time.monotonic() + 40
    while not (await in_force()).startswith("response hexadecimal, receipt decimal"):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)
    request = await wire.message()
    await wire.submit(request)
    await wire.all_ended([request])
    carrier_id = wire.submitted()[request.message_id].parts[0].carrier_message_id
    await eventually(lambda: carrier_id in {e.carrier_message_id for e in wire.seen["ReceiptReceived"]})


async def test_a_carrier_that_is_down_gives_its_queue_back_and_never_sends_it_later(make_wire: MakeWire) -> None:
    wire = await make_wire()
    await wire.smsc.stop_listening()
    await wire.running(RELAIS_DOWN_LIMIT_S="1")
    requests = await wire.flood(700)
    await wire.all_ended(requests)
    assert {e.cause for e in wire.seen["MessageReturned"]} == {"carrier_down"}
    assert len({e.message_id for e in wire.seen["MessageReturned"]}) == 700
    assert not wire.submitted()
    await wire.smsc.start_listening()
    await eventually(wire.smsc.sessions, 40)
    later = await wire.message()
    await wire.submit(*requests[:50], later)  # a repeat of what was given back
    await eventually(lambda: wire.number_of[later.message_id] in wire.taken())
    await asyncio.sleep(1)
    assert set(wire.taken()) == {wire.number_of[later.message_id]}


async def test_a_wrong_password_alarms_and_is_not_tried_again_and_again(make_wire: MakeWire) -> None:
    wire = await make_wire(password="wrong")
    await wire.running(RELAIS_DOWN_LIMIT_S="1")
    health = await eventually(lambda: [e for e in wire.seen["CarrierHealth"] if e.alarm])
    assert health[0].state == "down"
    assert "ESME_RINVPASWD" in health[0].alarm
    await asyncio.sleep(3)
    assert wire.smsc.counters.connections == 1


async def test_permanent_errors_reject_and_ambiguous_ones_look_for_another_way(make_wire: MakeWire) -> None:
    errors = (
        SubmitError(status=0x0B, destination_ends="1111"),
        SubmitError(status=0x45, destination_ends="2222"),
        SubmitError(status=0x08, destination_ends="3333"),
    )
    wire = await make_wire(behaviour=QUICK.changed({"errors": errors}))
    await wire.running()
    bad, ambiguous, temporary = [await wire.message(number=f"+3361234{end}") for end in ("1111", "2222", "3333")]
    short = await wire.message(number="+33612343333", not_after=now_ms() + 3000)
    await wire.submit(bad, ambiguous, short)
    await wire.all_ended([bad, ambiguous, short])
    ends = wire.submitted()
    assert (ends[bad.message_id].outcome, ends[bad.message_id].reason) == ("rejected", "invalid_number")
    assert not wire.events(bad, "MessageReturned")
    assert ends[ambiguous.message_id].outcome == "failed"
    assert [e.cause for e in wire.events(ambiguous, "MessageReturned")] == ["carrier_error"]
    tries = [row for row in wire.smsc.history.rows() if row.submit.destination.endswith(b"3333\0")]
    assert ends[short.message_id].outcome == "failed"
    assert len(tries) == 2  # at once and after a second; a third would miss its time
    assert [e.cause for e in wire.events(short, "MessageReturned")] == ["carrier_error"]
    assert temporary.message_id not in ends


async def test_throttle_answers_slow_the_bind_and_lose_nothing_nor_change_a_contacts_order(make_wire: MakeWire) -> None:
    wire = await make_wire(behaviour=QUICK.changed({"throttle": Throttle(rate=150)}), window=20)
    await wire.running()
    people = [await wire.message() for _ in range(20)]
    requests = [
        await wire.message(f"{turn}", number=wire.number_of[person.message_id])
        for turn in range(30)
        for person in people
    ]
    await wire.submit(*requests)
    await wire.all_ended(requests, 60)
    assert {wire.submitted()[r.message_id].outcome for r in requests} == {"submitted"}
    texts: dict[bytes, list[int]] = {}
    for row in wire.smsc.history.rows():
        if row.status == 0:
            texts.setdefault(row.submit.destination, []).append(int(row.submit.octets))
    assert len(texts) == 20
    assert all(found == list(range(30)) for found in texts.values())
    assert wire.smsc.counters.throttled > 0


async def test_messages_without_an_answer_are_unknown_and_only_a_code_gets_one_more_attempt(
    make_wire: MakeWire,
) -> None:
    behaviour = QUICK.changed({"unanswered_share": 1.0, "outcomes": (Outcome(stat="NONE"),)})
    wire = await make_wire(behaviour=behaviour)
    process = await wire.running(RELAIS_RESPONSE_TIMEOUT_S="1")
    offer, code = await wire.message(), await wire.message(purpose="otp")
    await wire.submit(offer, code)
    await wire.all_ended([offer, code])
    ends = wire.submitted()
    assert {ends[r.message_id].outcome for r in (offer, code)} == {"unknown"}
    returned = (await eventually(lambda: wire.events(code, "MessageReturned")))[0]
    assert (returned.cause, returned.attempt) == ("no_answer", 1)
    second = await wire.message(
        purpose="otp", message_id=code.message_id, number=wire.number_of[code.message_id], attempt=2
    )
    await wire.submit(second)
    await eventually(lambda: [e for e in wire.events(code, "MessageSubmitted") if e.attempt == 2])
    assert not wire.events(offer, "MessageReturned")
    assert [e.attempt for e in wire.events(code, "MessageReturned")] == [1]
    assert await process.metric("relais_smpp_unknown") == 3


async def test_stopping_in_good_order_leaves_nothing_unknown_and_nothing_uncommitted(make_wire: MakeWire) -> None:
    wire = await make_wire(behaviour=QUICK.changed({"latency": {"constant": 0.05}}), window=20)
    first = await wire.running()
    requests = await wire.flood(600)
    await eventually(lambda: len(wire.submitted()) > 100)
    assert await first.stop() == 0
    assert not [row for row in (await wire.claims()).values() if row["outcome"] is None]
    assert 0 < await wire.lag() < 600
    assert wire.smsc.sessions() == []
    await wire.running()
    await wire.all_ended(requests)
    assert {e.outcome for e in wire.submitted().values()} == {"submitted"}
    assert not wire.twice()
    assert set(wire.taken()) == numbers(wire, requests)


async def test_records_that_cannot_be_read_or_opened_go_to_the_dead_letters_and_stop_nothing(
    make_wire: MakeWire,
) -> None:
    wire = await make_wire()
    await wire.running()
    sealed_wrong = await wire.message()
    sealed_wrong.text = sealed_wrong.text[:-1] + bytes((sealed_wrong.text[-1] ^ 1,))
    no_uuid = await wire.message(message_id="12345678-not-a-uuid")
    unsendable = await wire.message("\ud7ff" * 40_000)
    good = await wire.message()
    await wire.submit(sealed_wrong, no_uuid, unsendable, good)
    topic = submit(lane_of("marketing")).named(wire.carrier)
    producer = wire.publisher._producer
    assert producer is not None
    await producer.send_and_wait(topic, b"not avro", partition=0)
    await wire.all_ended([good, unsendable])
    assert [e.reason for e in wire.events(unsendable, "MessageDropped")] == ["unencodable"]
    assert set(wire.taken()) == {wire.number_of[good.message_id]}
    deadline = asyncio.get_running_loop().time() + 10
    while await wire.lag():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.2)


async def test_one_time_codes_pass_a_campaign_that_fills_the_window(make_wire: MakeWire) -> None:
    wire = await make_wire(behaviour=QUICK.changed({"latency": {"constant": 0.1}}), window=10)
    await wire.running()
    campaign = await wire.flood(600)
    await eventually(lambda: len(wire.taken()) > 50)
    codes = await wire.flood(5, "otp")
    await wire.all_ended(codes, 10)
    assert len(wire.taken()) < 400
    assert len(campaign) == 600


async def test_two_processes_share_the_binds_of_the_contract(make_wire: MakeWire) -> None:
    wire = await make_wire(binds=2, smsc={"max_binds": 2}, behaviour=QUICK.changed({"latency": {"constant": 0.02}}))
    await wire.running(RELAIS_BIND_SLOTS="1")
    await wire.running(RELAIS_BIND_SLOTS="1")
    third = await wire.running(RELAIS_BIND_SLOTS="1")  # stands by: no slot is left
    await eventually(lambda: len(wire.smsc.sessions()) == 2)
    requests = await wire.flood(800)
    await wire.all_ended(requests)
    assert not wire.twice()
    assert set(wire.taken()) == numbers(wire, requests)
    assert len({row.session for row in wire.smsc.history.rows()}) == 2
    assert wire.smsc.counters.connections == 2
    assert '"bound"' not in third.log.read_text()


async def test_a_process_that_slept_past_its_lease_writes_nothing_more(make_wire: MakeWire) -> None:
    behaviour = QUICK.changed({"latency": {"constant": 0.03}})
    wire = await make_wire(window=10, behaviour=behaviour, smsc={"max_binds": 1, "enquire_link_s": 1.0})
    sleeper = await wire.running()
    await eventually(lambda: wire.smsc.sessions())
    requests = await wire.flood(1500)
    await eventually(lambda: len(wire.taken()) > 200)
    sleeper.send(signal.SIGSTOP)
    await wire.running()
    await eventually(lambda: len(wire.taken()) > 600, 40)
    sleeper.send(signal.SIGCONT)
    await wire.all_ended(requests, 60)
    assert not wire.twice()
    unknown = {m for m, e in wire.submitted().items() if e.outcome == "unknown"}
    assert len(unknown) <= 10
    assert {e.outcome for e in wire.submitted().values()} <= {"submitted", "unknown"}


async def test_a_transmitter_and_its_receiver_are_one_bind(make_wire: MakeWire) -> None:
    wire = await make_wire(bind="transmitter_receiver", smsc={"max_binds": 2})
    process = await wire.running()
    await eventually(lambda: sorted(str(s["mode"]) for s in wire.smsc.sessions()) == ["rx", "tx"])
    requests = await wire.flood(50)
    await wire.all_ended(requests)
    await eventually(lambda: len(wire.seen["ReceiptReceived"]) >= 50)
    assert {e.outcome for e in wire.submitted().values()} == {"submitted"}
    assert await process.stop() == 0
    assert wire.smsc.sessions() == []


async def test_a_dropped_link_comes_back_and_what_had_no_answer_is_unknown(make_wire: MakeWire) -> None:
    wire = await make_wire(window=10, behaviour=QUICK.changed({"latency": {"constant": 0.05}}))
    await wire.running()
    requests = await wire.flood(300)
    for _ in range(3):
        before = len(wire.taken())
        await eventually(lambda before=before: len(wire.taken()) > before + 30)  # type: ignore[misc]
        wire.smsc.drop_links("abort")
    await wire.all_ended(requests)
    assert not wire.twice()
    told = {m: e.outcome for m, e in wire.submitted().items()}
    assert set(told.values()) == {"submitted", "unknown"}
    assert sum(outcome == "unknown" for outcome in told.values()) <= 30
    assert all(wire.taken()[wire.number_of[m]] == 1 for m, outcome in told.items() if outcome == "submitted")
