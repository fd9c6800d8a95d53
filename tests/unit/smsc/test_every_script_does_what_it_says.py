"""Each script of the library, driven by a raw client: the hostile act reaches the wire, and the SMSC owns up to it."""

import asyncio
import re
import struct
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import pytest
from console.smsc import Smsc, library, read_script
from unit.smsc.hearing_esme import HearingEsme, number, source
from unit.smsc.raw_esme import (
    DELIVER_SM,
    ENQUIRE_LINK,
    RESPONSE,
    SUBMIT_SM,
    UNBIND,
    message_id,
    pdu,
    receipt_field,
    short_message,
)

SUBMIT_SM_RESP = SUBMIT_SM | RESPONSE
GENERIC_NACK = RESPONSE
SYSERR, BIND_FAIL, QUEUE_FULL, THROTTLED = 0x08, 0x0D, 0x14, 0x58
ESM_RECEIPT = 4

F = TypeVar("F", bound=Callable[..., Any])
_shown: set[str] = set()


def shows(*names: str) -> Callable[[F], F]:
    def mark(test: F) -> F:
        _shown.update(names)
        return test

    return mark


def acts(smsc: Smsc) -> list[str]:
    return [row.act for row in smsc.acts.rows()]


def test_every_script_of_the_library_is_shown_here():
    names = {name for name, _ in library()}
    assert _shown == names
    assert len(names) >= 40


# The time of answers, and refusals.


@shows("latency_spread")
async def test_answers_take_their_time_each_its_own(start_smsc):
    smsc = await start_smsc(script="latency_spread")
    async with await HearingEsme.bound(smsc.port) as esme:
        began = time.monotonic()
        sequences = esme.submit(300, registered=0)
        await esme.hear_answers(sequences)
        assert [one.sequence for one in esme.responses] != sequences
        assert esme.times[-1] - began >= 0.2
        assert esme.times[-1] - esme.times[1] >= 0.15


@shows("latency_spikes")
async def test_some_answers_take_a_second_longer_than_the_rest(start_smsc):
    smsc = await start_smsc(script="latency_spikes")
    async with await HearingEsme.bound(smsc.port) as esme:
        began = time.monotonic()
        await esme.hear_answers(esme.submit(200, registered=0))
        late = [row.sequence for row in smsc.acts.rows()]
        assert 0 < len(late) < 20
        assert {one.sequence for one in esme.responses[-len(late) :]} == set(late)
        assert all(at - began >= 1.0 for at in esme.times[-len(late) :])


@shows("throttle_above_a_rate")
async def test_what_exceeds_the_rate_is_throttled(start_smsc):
    smsc = await start_smsc(script="throttle_above_a_rate")
    async with await HearingEsme.bound(smsc.port) as esme:
        began = time.monotonic()
        answers = await esme.hear_answers(esme.submit(300, registered=0))
        taken = [one for one in answers if one.status == 0]
        assert {one.status for one in answers} == {0, THROTTLED}
        assert 5 <= len(taken) <= 6 + 50 * (time.monotonic() - began)
        assert acts(smsc) == ["throttle above 50 a second"] * (300 - len(taken))
        assert smsc.counters.throttled == 300 - len(taken)


@shows("throttle_now_and_then", "queue_full")
@pytest.mark.parametrize(
    ("script", "status", "act"),
    [
        ("throttle_now_and_then", THROTTLED, "throttle for 300 ms"),
        ("queue_full", QUEUE_FULL, "report a full queue for 1 s"),
    ],
)
async def test_for_a_while_everything_is_refused_and_then_taken_again(start_smsc, script, status, act):
    smsc = await start_smsc(script=script)
    async with await HearingEsme.bound(smsc.port) as esme:
        statuses: list[int] = []
        while statuses[-1:] != [0] or status not in statuses:
            batch = 20 if status not in statuses else 1
            statuses += [one.status for one in await esme.hear_answers(esme.submit(batch, registered=0))]
            await asyncio.sleep(0.02)
        assert set(statuses) == {0, status}
        assert statuses[0] == 0
        assert set(acts(smsc)) == {act}
        refused = [row for row in smsc.history.rows() if row.status]
        assert refused
        assert all(row.acts == (act,) and not row.message_id for row in refused)


@shows("error_without_a_body", "error_with_a_body", "error_by_generic_nack")
@pytest.mark.parametrize(
    ("script", "command", "body"),
    [
        ("error_without_a_body", SUBMIT_SM_RESP, b""),
        ("error_with_a_body", SUBMIT_SM_RESP, b"\0"),
        ("error_by_generic_nack", GENERIC_NACK, b""),
    ],
)
async def test_a_refusal_has_its_form(start_smsc, script, command, body):
    smsc = await start_smsc(script=script)
    async with await HearingEsme.bound(smsc.port) as esme:
        *taken, refused = await esme.hear_answers(esme.submit(10, registered=0))
    assert all(one.status == 0 for one in taken)
    assert (refused.command, refused.status, refused.body) == (command, SYSERR, body)
    assert smsc.history.rows()[9].status == SYSERR


# Responses.


@shows("response_lost")
async def test_a_lost_response_is_of_a_message_that_was_taken_and_reported(start_smsc):
    smsc = await start_smsc(script="response_lost", deliver_window=300)
    async with await HearingEsme.bound(smsc.port) as esme:
        sequences = esme.submit(200)
        await esme.hear(lambda: len(esme.delivered) == 200 and len(esme.responses) >= 198)
        await esme.enquire()
        lost = {sequences[99], sequences[199]}
        assert {one.sequence for one in esme.responses} == set(sequences) - lost
        rows = {row.sequence: row for row in smsc.history.rows()}
        assert {row.sequence for row in smsc.acts.rows()} == lost
        assert {rows[one].message_id.decode() for one in lost} <= set(esme.receipt_ids)
        assert all(rows[one].status == 0 for one in lost)


@shows("response_late")
async def test_a_late_response_comes_after_all_others(start_smsc):
    smsc = await start_smsc(script="response_late")
    async with await HearingEsme.bound(smsc.port) as esme:
        began = time.monotonic()
        sequences = esme.submit(60, registered=0)
        await esme.hear_answers(sequences)
        assert esme.responses[-1].sequence == sequences[49]
        assert esme.times[-1] - began >= 2.0


@shows("response_twice")
async def test_a_response_comes_twice(start_smsc):
    smsc = await start_smsc(script="response_twice")
    async with await HearingEsme.bound(smsc.port) as esme:
        sequences = esme.submit(20, registered=0)
        await esme.hear(lambda: len(esme.responses) == 22)
        twice = [one.sequence for one in esme.responses if esme.responses.count(one) == 2]
        assert twice == [sequences[9]] * 2 + [sequences[19]] * 2
        assert len(smsc.history) == 20


@shows("response_to_another_sequence")
async def test_a_response_comes_to_no_submit(start_smsc):
    smsc = await start_smsc(script="response_to_another_sequence")
    async with await HearingEsme.bound(smsc.port) as esme:
        sequences = esme.submit(70, registered=0)
        await esme.hear(lambda: len(esme.responses) == 71)
        strays = [one for one in esme.responses if one.sequence not in sequences]
        assert len(strays) == 2
        assert esme.answer(sequences[49]) is None
        assert smsc.history.rows()[49].message_id.decode() in map(message_id, strays)


@shows("response_without_an_id")
async def test_a_message_is_taken_without_an_id_and_its_receipt_has_one(start_smsc):
    smsc = await start_smsc(script="response_without_an_id")
    async with await HearingEsme.bound(smsc.port) as esme:
        sequences = esme.submit(20)
        answers = await esme.hear_answers(sequences)
        await esme.hear(lambda: len(esme.delivered) == 20)
        assert (answers[19].status, answers[19].body) == (0, b"")
        assert smsc.history.rows()[19].message_id.decode() in esme.receipt_ids
        assert all(one.body for one in answers[:19])


@shows("responses_held")
async def test_responses_are_held_and_come_at_once(start_smsc):
    smsc = await start_smsc(script="responses_held")
    async with await HearingEsme.bound(smsc.port) as esme:
        while not acts(smsc):
            await asyncio.sleep(0.01)
        sequences = esme.submit(5, registered=0)
        await esme.enquire()
        assert esme.responses == []
        await esme.hear_answers(sequences)
        assert esme.times[-1] - esme.times[-5] < 0.2


# Links.


async def until_the_link_ends(esme: HearingEsme, submits: int) -> list[int]:
    esme.acknowledges = False  # octets on their way to a socket that closes turn its FIN into a reset
    sequences = esme.submit(submits)
    await esme.hear(lambda: esme.ended)
    assert esme.ended
    return sequences


@shows("link_dies_in_a_response")
async def test_the_link_dies_within_a_response(start_smsc):
    smsc = await start_smsc(script="link_dies_in_a_response")
    async with await HearingEsme.bound(smsc.port) as esme:
        sequences = await until_the_link_ends(esme, 50)
        row = smsc.history.rows()[49]
        whole = pdu(SUBMIT_SM_RESP, sequences[49], row.message_id + b"\0")
        assert 0 < len(esme.rest) < len(whole)
        assert whole.startswith(esme.rest)
        assert len(esme.responses) == 49
        assert (row.status, row.acts) == (0, ("cut the link in mid-response",))
    async with await HearingEsme.bound(smsc.port) as again:
        await again.enquire()
    assert acts(smsc) == ["cut the link in mid-response"]


@shows("link_dies_in_a_receipt")
async def test_the_link_dies_within_a_receipt_which_comes_again_after_the_next_bind(start_smsc):
    smsc = await start_smsc(script="link_dies_in_a_receipt", deliver_window=100)
    async with await HearingEsme.bound(smsc.port) as esme:
        await until_the_link_ends(esme, 50)
        assert esme.rest
        assert len(esme.rest) < 8 or struct.unpack_from(">I", esme.rest, 4)[0] == DELIVER_SM
        assert len(esme.rest) < 4 or struct.unpack_from(">I", esme.rest)[0] > len(esme.rest)
    async with await HearingEsme.bound(smsc.port) as again:
        await again.hear(lambda: len(again.delivered) == 50)
        assert set(again.receipt_ids) == {row.message_id.decode() for row in smsc.history.rows()}
    assert acts(smsc) == ["cut the link in mid-receipt"]


@shows("link_dies_in_any_pdu")
async def test_the_link_dies_within_the_next_pdu(start_smsc):
    smsc = await start_smsc(script="link_dies_in_any_pdu")
    async with await HearingEsme.bound(smsc.port) as esme:
        await until_the_link_ends(esme, 100)
        assert esme.rest
        assert acts(smsc) == ["cut the link in mid-PDU"]


@shows("link_dies")
async def test_one_link_at_a_time_is_reset(start_smsc):
    smsc = await start_smsc(script="link_dies")
    async with await HearingEsme.bound(smsc.port) as one, await HearingEsme.bound(smsc.port) as other:
        while not acts(smsc):
            await asyncio.sleep(0.05)
        await asyncio.wait(
            [asyncio.create_task(esme.hear(lambda: False)) for esme in (one, other)],
            return_when=asyncio.FIRST_COMPLETED,
        )
        assert one.ended + other.ended == len(acts(smsc))


@shows("link_closed")
async def test_the_link_is_closed_without_unbind(start_smsc):
    smsc = await start_smsc(script="link_closed")
    async with await HearingEsme.bound(smsc.port) as esme:
        await until_the_link_ends(esme, 50)
        assert UNBIND not in [one.command for one in esme.pdus]
        assert esme.rest == b""
        assert acts(smsc) == ["close the link"]


@shows("half_open")
async def test_a_half_open_link_stands_and_says_nothing_until_the_esme_hangs_up(start_smsc):
    smsc = await start_smsc(script="half_open")
    async with await HearingEsme.bound(smsc.port) as esme:
        esme.submit(20)
        esme.ask(ENQUIRE_LINK)
        await esme.hear_for(0.4)
        esme.submit(5)
        esme.ask(ENQUIRE_LINK)
        esme.ask(UNBIND)
        assert await esme.hear_for(0.4) == 0
        assert not esme.ended
        assert esme.responses == []
        assert len(smsc.history) == 20
        assert [link["mode"] for link in smsc.sessions()] == ["trx"]
        async with await HearingEsme.bound(smsc.port) as other:
            await other.hear(lambda: len(other.delivered) == 20)
    while smsc.sessions():
        await asyncio.sleep(0.01)
    assert acts(smsc) == ["leave the link half-open"]


@shows("unbind_at_will")
async def test_the_carrier_unbinds_while_submits_are_on_their_way(start_smsc):
    smsc = await start_smsc(script="unbind_at_will")
    async with await HearingEsme.bound(smsc.port) as esme:
        sequences = esme.submit(55, registered=0)
        await esme.hear(lambda: UNBIND in [one.command for one in esme.pdus])
        answers = await esme.hear_answers(sequences)
        assert [one.status for one in answers[50:]] == [0x04] * 5
        unbind = next(one for one in esme.pdus if one.command == UNBIND)
        esme.send(pdu(UNBIND | RESPONSE, unbind.sequence))
        await esme.hear(lambda: esme.ended)
        assert esme.ended
        assert len(smsc.history) == 50


@shows("bind_refused_for_a_while")
async def test_binds_are_refused_for_a_second(start_smsc):
    smsc = await start_smsc(script="bind_refused_for_a_while")
    began = time.monotonic()
    statuses = []
    while statuses[-1:] != [0]:
        async with await HearingEsme.connect(smsc.port) as esme:
            statuses.append(await esme.bind())
        await asyncio.sleep(0.05)
    assert set(statuses) == {BIND_FAIL, 0}
    assert statuses[0] == BIND_FAIL
    assert time.monotonic() - began >= 1.0
    assert len(acts(smsc)) == len(statuses) - 1 == smsc.counters.binds_refused


@shows("listener_gone_for_a_while")
async def test_links_break_and_no_connection_is_accepted_for_a_second(start_smsc):
    smsc = await start_smsc(script="listener_gone_for_a_while")
    async with await HearingEsme.bound(smsc.port) as esme:
        await until_the_link_ends(esme, 20)
    began = time.monotonic()
    refused = 0
    while True:
        try:
            async with await HearingEsme.bound(smsc.port):
                break
        except OSError:
            refused += 1
            await asyncio.sleep(0.05)
    assert refused
    assert time.monotonic() - began >= 0.5
    assert acts(smsc) == ["refuse connections for 1 s", "cut every link"]


@shows("enquire_link_unanswered")
async def test_enquire_link_is_left_unanswered_while_submits_are_answered(start_smsc):
    smsc = await start_smsc(script="enquire_link_unanswered")
    async with await HearingEsme.bound(smsc.port) as esme:
        began = time.monotonic()
        first = esme.ask(ENQUIRE_LINK)
        await esme.hear_answers(esme.submit(3, registered=0))
        assert esme.answer(first) is None
        answered = False
        while not answered:
            sequence = esme.ask(ENQUIRE_LINK)
            await esme.hear_for(0.1)
            answered = esme.answer(sequence) is not None
        assert time.monotonic() - began >= 1.9
        assert esme.answer(first) is None
        assert acts(smsc) == ["leave enquire_link unanswered for 2 s"]


@shows("slow_reader")
async def test_the_carrier_reads_nothing_for_a_second(start_smsc):
    smsc = await start_smsc(script="slow_reader")
    async with await HearingEsme.bound(smsc.port) as esme:
        began = time.monotonic()
        await esme.hear_answers(esme.submit(100, registered=0))
        sequence = esme.submit(1, registered=0)
        if time.monotonic() - began < 0.5:
            await esme.hear_for(0.2)
            assert len(smsc.history) == 100
        await esme.hear_answers(sequence)
        assert time.monotonic() - began >= 0.95
        assert acts(smsc) == ["stop reading from the link for 1 s"]


# PDUs that are none.


async def hostile_octets(smsc: Smsc) -> bytes:
    """What comes between the tenth submit and its response."""
    async with await HearingEsme.bound(smsc.port) as esme:
        await esme.hear_answers(esme.submit(9, registered=0))
        known = len(esme.pdus)
        (sequence,) = esme.submit(1, registered=0)
        while len(smsc.history) < 10:
            await asyncio.sleep(0.01)
        response = pdu(SUBMIT_SM_RESP, sequence, smsc.history.rows()[9].message_id + b"\0")
        octets = b""

        def whole() -> bool:
            nonlocal octets
            parsed = b"".join(pdu(one.command, one.sequence, one.body, one.status) for one in esme.pdus[known:])
            octets = parsed + esme.rest
            return octets.endswith(response)

        esme.acknowledges = False
        await esme.hear(whole)
        assert not esme.ended
        assert len(acts(smsc)) == 1
        assert smsc.acts.rows()[0].session == 1
    return octets.removesuffix(response)


@shows(
    "length_claims_too_much",
    "length_claims_too_little",
    "length_below_a_header",
    "length_of_four_gigabytes",
    "oversized_pdu",
    "unknown_command",
)
@pytest.mark.parametrize(
    ("script", "claimed", "sent", "command"),
    [
        ("length_claims_too_much", 95, 55, DELIVER_SM),
        ("length_claims_too_little", 43, 55, DELIVER_SM),
        ("length_below_a_header", 4, 16, DELIVER_SM),
        ("length_of_four_gigabytes", 0xFFFFFFFF, 16, DELIVER_SM),
        ("oversized_pdu", 200_000, 200_000, DELIVER_SM),
        ("unknown_command", 16, 16, 0xA5A5),
    ],
)
async def test_a_pdu_claims_one_length_and_has_another(start_smsc, script, claimed, sent, command):
    octets = await hostile_octets(await start_smsc(script=script))
    assert struct.unpack_from(">II", octets) == (claimed, command)
    assert len(octets) == sent


@shows("truncated_pdu")
async def test_a_deliver_sm_ends_within_its_destination(start_smsc):
    octets = await hostile_octets(await start_smsc(script="truncated_pdu"))
    assert struct.unpack_from(">II", octets) == (len(octets), DELIVER_SM)
    destination = octets[octets.index(0, 16 + 3) + 3 :]
    assert destination
    assert b"\0" not in destination


@shows("parameter_past_the_end")
async def test_a_parameter_is_longer_than_its_pdu(start_smsc):
    octets = await hostile_octets(await start_smsc(script="parameter_past_the_end"))
    assert struct.unpack_from(">II", octets) == (len(octets), DELIVER_SM)
    at = octets.index(b"hello") + 5
    tag, length = struct.unpack_from(">HH", octets, at)
    assert tag == 0x001E
    assert at + 4 + length > len(octets)


@shows("garbage")
async def test_garbage_comes_and_is_the_same_at_every_start(start_smsc):
    octets = await hostile_octets(await start_smsc(script="garbage"))
    assert len(octets) == 64
    assert struct.unpack_from(">I", octets)[0] > 70_000
    assert octets == await hostile_octets(await start_smsc(script="garbage"))


# Receipts.


@shows("receipt_before_response")
async def test_each_receipt_overtakes_its_response(start_smsc):
    smsc = await start_smsc(script="receipt_before_response")
    async with await HearingEsme.bound(smsc.port) as esme:
        for _ in range(4):
            await esme.hear_answers(esme.submit(1))
        assert [one.command for one in esme.pdus[1:]] == [DELIVER_SM, SUBMIT_SM_RESP] * 4
        assert esme.receipt_ids == [message_id(one) for one in esme.responses]


async def test_a_receipt_overtakes_its_response_on_a_receiver_of_its_own_too(start_smsc):
    script = read_script("name: x\nwhen:\n  - {from: the start, do: send the receipt 300 ms before the response}\n")
    smsc = await start_smsc(script=script)
    async with await HearingEsme.bound(smsc.port, 2) as transmitter, await HearingEsme.bound(smsc.port, 1) as receiver:
        sequences = transmitter.submit(1)
        await asyncio.gather(receiver.hear(lambda: receiver.delivered), transmitter.hear_answers(sequences))
        assert transmitter.times[-1] - receiver.times[-1] >= 0.2


@shows("receipt_twice")
async def test_every_third_receipt_comes_twice(start_smsc):
    smsc = await start_smsc(script="receipt_twice")
    async with await HearingEsme.bound(smsc.port) as esme:
        ids = [message_id(one) for one in await esme.hear_answers(esme.submit(9))]
        await esme.hear(lambda: len(esme.delivered) == 12)
        await esme.enquire()
        assert [esme.receipt_ids.count(one) for one in ids] == [1, 1, 2] * 3
        assert [row.id for row in smsc.acts.rows()] == ids[2::3]


@shows("receipts_reordered")
async def test_receipts_come_in_reverse_and_fewer_than_ten_are_not_forgotten(start_smsc):
    smsc = await start_smsc(script="receipts_reordered")
    async with await HearingEsme.bound(smsc.port) as esme:
        ids = [message_id(one) for one in await esme.hear_answers(esme.submit(24))]
        await esme.hear(lambda: len(esme.delivered) == 24)
        assert esme.receipt_ids == [*ids[9::-1], *ids[19:9:-1], *ids[:19:-1]]
        assert smsc.waiting()["outbox"] == 0


@shows("receipt_hours_late")
async def test_a_receipt_comes_hours_late_by_its_own_clock(start_smsc):
    smsc = await start_smsc(script="receipt_hours_late")
    async with await HearingEsme.bound(smsc.port) as esme:
        began = time.monotonic()
        ids = [message_id(one) for one in await esme.hear_answers(esme.submit(10))]
        await esme.hear(lambda: len(esme.delivered) == 10)
        late = esme.delivered[-2:]
        assert [receipt_field(one, "id") for one in late] == ids[4::5] == [row.id for row in smsc.acts.rows()]
        assert all(at - began >= 0.6 for at in esme.times[-2:])
        for receipt in late:
            submitted, done = (moment(receipt, label) for label in ("submit date", "done date"))
            assert (done - submitted).total_seconds() >= 179 * 60


def moment(receipt: Any, label: str) -> datetime:
    return datetime.strptime(receipt_field(receipt, label), "%y%m%d%H%M")  # noqa: DTZ007 -- receipts have no zone


@shows("receipt_on_another_bind")
async def test_receipts_come_on_the_other_bind_and_wait_until_there_is_one(start_smsc):
    smsc = await start_smsc(script="receipt_on_another_bind")
    async with await HearingEsme.bound(smsc.port) as one:
        ids = [message_id(answer) for answer in await one.hear_answers(one.submit(6))]
        assert await one.hear_for(0.3) == 0
        assert smsc.waiting()["outbox"] == 6
        async with await HearingEsme.bound(smsc.port) as other:
            await other.hear(lambda: len(other.delivered) == 6)
            assert other.receipt_ids == ids
            assert one.delivered == []
    assert acts(smsc) == ["send the receipts on another bind"] * 6


@shows("receipt_lost")
async def test_every_tenth_receipt_never_comes(start_smsc):
    smsc = await start_smsc(script="receipt_lost")
    async with await HearingEsme.bound(smsc.port) as esme:
        ids = [message_id(one) for one in await esme.hear_answers(esme.submit(30))]
        await esme.hear(lambda: len(esme.delivered) == 27)
        await esme.enquire()
        assert set(ids) - set(esme.receipt_ids) == set(ids[9::10])
        assert smsc.waiting()["receipts_scheduled"] == 0


@shows("receipt_enroute_first")
async def test_an_intermediate_receipt_comes_before_the_final_one(start_smsc):
    smsc = await start_smsc(script="receipt_enroute_first")
    async with await HearingEsme.bound(smsc.port) as esme:
        await esme.hear_answers(esme.submit(1))
        await esme.hear(lambda: len(esme.delivered) == 2)
        assert [receipt_field(one, "stat") for one in esme.delivered] == ["ENROUTE", "DELIVRD"]
        assert b"\x04\x27\x00\x01\x01" in esme.delivered[0].body
        assert len(set(esme.receipt_ids)) == 1


@shows("receipt_of_an_unknown_message")
async def test_a_receipt_comes_for_a_message_that_never_was(start_smsc):
    smsc = await start_smsc(script="receipt_of_an_unknown_message")
    async with await HearingEsme.bound(smsc.port) as esme:
        ids = [message_id(one) for one in await esme.hear_answers(esme.submit(10))]
        await esme.hear(lambda: len(esme.delivered) == 11)
        assert len(set(esme.receipt_ids) - set(ids)) == 1
        await esme.enquire()


@shows(
    "receipt_without_labels",
    "receipt_without_stat_label",
    "receipt_with_numeric_status",
    "receipt_in_few_words",
    "receipt_by_parameters_only",
)
@pytest.mark.parametrize(
    ("script", "form"),
    [
        ("receipt_without_labels", r"{id} 001 001 \d{{10}} \d{{10}} DELIVRD 000 message 3"),
        (
            "receipt_without_stat_label",
            r"id:{id} sub:001 dlvrd:001 submit date:\d{{10}} done date:\d{{10}} DELIVRD err:000 text:message 3",
        ),
        (
            "receipt_with_numeric_status",
            r"id:{id} sub:001 dlvrd:001 submit date:\d{{10}} done date:\d{{10}} stat:2 err:000 text:message 3",
        ),
        ("receipt_in_few_words", r"id:{id} submit date:\d{{12}} done date:\d{{12}} stat:DELIVRD err:000"),
        ("receipt_by_parameters_only", ""),
    ],
)
async def test_a_receipt_is_worded_as_some_carriers_do(start_smsc, script, form):
    smsc = await start_smsc(script=script)
    async with await HearingEsme.bound(smsc.port) as esme:
        (answer,) = await esme.hear_answers(esme.submit(1))
        await esme.hear(lambda: esme.delivered)
        (receipt,) = esme.delivered
        identity = message_id(answer)
    assert receipt.body[receipt.body.index(0, receipt.body.index(0, 3) + 3) + 1] == ESM_RECEIPT
    matched = re.fullmatch(form.format(id=identity), short_message(receipt).decode())
    assert matched
    by_parameters = b"\x00\x1e\x00\x09" + identity.encode() + b"\0" + b"\x04\x27\x00\x01\x02"
    assert (by_parameters in receipt.body) is (script == "receipt_by_parameters_only")


@shows("ids_hex_then_decimal", "ids_decimal_then_hex", "ids_in_other_case", "ids_without_zeros")
@pytest.mark.parametrize(
    ("script", "in_response", "in_receipt"),
    [
        ("ids_hex_then_decimal", "39f99dd5", "0972660181"),
        ("ids_decimal_then_hex", "972660181", "39F99DD5"),
        ("ids_in_other_case", "39f99dd5", "39F99DD5"),
        ("ids_without_zeros", "000039f99dd5", "39f99dd5"),
    ],
)
async def test_an_id_is_written_one_way_in_the_response_and_another_in_the_receipt(
    start_smsc, script, in_response, in_receipt
):
    smsc = await start_smsc(script=script, ids={"first": 0x39F99DD5})
    async with await HearingEsme.bound(smsc.port) as esme:
        (answer,) = await esme.hear_answers(esme.submit(1))
        await esme.hear(lambda: esme.delivered)
        assert (message_id(answer), esme.receipt_ids) == (in_response, [in_receipt])


@shows("ids_reused")
async def test_an_id_is_given_to_a_second_message(start_smsc):
    smsc = await start_smsc(script="ids_reused")
    async with await HearingEsme.bound(smsc.port) as esme:
        ids = [message_id(one) for one in await esme.hear_answers(esme.submit(40))]
        await esme.hear(lambda: len(esme.delivered) == 40)
        assert len(set(ids)) == 38
        assert ids[19] in ids[:19]
        assert ids[39] in ids[:39]
        assert sorted(esme.receipt_ids) == sorted(ids)
        assert [row.id for row in smsc.acts.rows()] == [ids[19], ids[39]]


# Handsets, and everything.


@shows("stop_storm")
async def test_those_who_got_messages_send_stop_to_their_sender(start_smsc):
    smsc = await start_smsc(script="stop_storm", deliver_window=500)
    async with await HearingEsme.bound(smsc.port) as esme:
        began = time.monotonic()
        sequences = esme.submit(200, registered=0)
        await esme.hear_answers(sequences)
        await esme.hear(lambda: len(esme.delivered) == 200)
        assert {short_message(one) for one in esme.delivered} == {b"STOP"}
        assert {source(one) for one in esme.delivered} == {number(one) for one in sequences}
        assert all(b"\x05\x00Relais\0" in one.body for one in esme.delivered)
        assert time.monotonic() - began >= 0.45
        assert acts(smsc) == ["let 200 handsets send STOP within 500 ms"]


@shows("a_bad_day")
async def test_a_bad_day_hurts_in_many_ways_and_the_history_tells_what_was_taken(start_smsc):
    smsc = await start_smsc(script="a_bad_day")
    taken: set[bytes] = set()
    statuses: set[int] = set()
    receipts: list[str] = []
    for _ in range(10):
        async with await HearingEsme.bound(smsc.port) as esme:
            for _ in range(4):
                esme.submit(50)
                await esme.hear_for(0.05)
            statuses |= {one.status for one in esme.responses}
            receipts += [short_message(one).decode() for one in esme.delivered]
            taken |= {one.body.rstrip(b"\0") for one in esme.responses if one.status == 0}
    happened = set(acts(smsc))
    assert {"lose the response", "answer with ESME_RSYSERR", "send the receipt twice"} <= happened
    rows = [row for row in smsc.history.rows() if row.status == 0]
    assert {0, SYSERR} <= statuses
    assert len(set(receipts)) < len(receipts)
    assert taken < {row.message_id for row in rows}
    assert len({row.message_id for row in rows}) == len(rows)
    assert smsc.counters.acts == len(smsc.acts)
