"""How the simulator behaves under traffic: latency, windows, throttling, lost links, silence."""

import asyncio
import time

import pytest
from unit.smsc.raw_esme import (
    DELIVER_SM,
    ENQUIRE_LINK,
    RESPONSE,
    SUBMIT_SM,
    UNBIND,
    Pdu,
    RawEsme,
    message_id,
    pdu,
    receipt_field,
    submit_body,
)

BIND_RECEIVER, BIND_TRANSMITTER = 1, 2


def submits(count: int, first: int = 2) -> bytes:
    return b"".join(
        pdu(SUBMIT_SM, first + i, submit_body(to=f"336{i:08d}", text=b"message %d" % i)) for i in range(count)
    )


async def nothing_comes(esme: RawEsme) -> None:
    with pytest.raises(TimeoutError):
        await esme.read(0.15)


async def read_all(esme: RawEsme, count: int) -> list[Pdu]:
    return [await esme.read() for _ in range(count)]


async def test_receipts_wait_for_a_receiver_and_none_is_lost(start_smsc):
    smsc = await start_smsc()
    async with await RawEsme.connect(smsc.port) as transmitter:
        await transmitter.bind(BIND_TRANSMITTER)
        transmitter.send(submits(50))
        ids = [message_id(answer) for answer in await read_all(transmitter, 50)]
        await nothing_comes(transmitter)
        assert smsc.waiting()["outbox"] == 50
        async with await RawEsme.connect(smsc.port) as receiver:
            await receiver.bind(BIND_RECEIVER)
            receipts = await read_all(receiver, 50)
    assert [receipt_field(receipt, "id") for receipt in receipts] == ids


async def test_receipts_not_acknowledged_before_the_link_breaks_come_again_after_the_next_bind(start_smsc):
    smsc = await start_smsc(deliver_window=10)
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind()
        esme.send(submits(10))
        answers = await read_all(esme, 20)
        receipts = [answer for answer in answers if answer.command == DELIVER_SM]
        for receipt in receipts[:4]:
            esme.acknowledge(receipt)
        await esme.ask(ENQUIRE_LINK, 99)
        smsc.drop_links("abort")
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind()
        again = await read_all(esme, 6)
    assert [receipt_field(one, "id") for one in again] == [receipt_field(one, "id") for one in receipts[4:]]
    assert (smsc.counters.receipts_acked, smsc.counters.delivers_repeated) == (4, 6)


async def test_no_more_receipts_are_outstanding_than_the_window_allows(start_smsc):
    smsc = await start_smsc(deliver_window=3)
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind()
        esme.send(submits(10))
        answers = await read_all(esme, 13)
        receipts = [answer for answer in answers if answer.command == DELIVER_SM]
        assert len(receipts) == 3
        await nothing_comes(esme)
        esme.acknowledge(receipts[0])
        assert (await esme.read()).command == DELIVER_SM
        await nothing_comes(esme)


async def test_a_receipt_without_an_answer_comes_again_and_a_refusal_decides_whether(start_smsc):
    smsc = await start_smsc(deliver_timeout_s=0.2, deliver_retry_s=0.1)
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind()
        _, first = [await esme.ask(SUBMIT_SM, 2, submit_body()), await esme.read()]
        second = await esme.read()
        assert second.body == first.body
        esme.acknowledge(second, status=0x64)
        third = await esme.read()
        assert third.body == first.body
        esme.acknowledge(third, status=0x66)
        await esme.ask(ENQUIRE_LINK, 9)
        assert smsc.counters.delivers_refused == 1
        assert smsc.waiting() == {"receipts_scheduled": 0, "outbox": 0, "responses_held": 0}


async def test_submits_above_the_rate_are_throttled_and_take_no_id(start_smsc):
    smsc = await start_smsc({"throttle": {"rate": 1, "burst": 5}})
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind(BIND_TRANSMITTER)
        esme.send(submits(20))
        statuses = [answer.status for answer in await read_all(esme, 20)]
    assert statuses == [0] * 5 + [0x58] * 15
    assert (smsc.counters.accepted, smsc.counters.throttled, smsc.counters.responses) == (5, 15, 20)


async def test_responses_come_after_the_latency_and_submits_above_the_window_are_throttled(start_smsc):
    smsc = await start_smsc({"latency": 0.2, "submit_window": 8})
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind(BIND_TRANSMITTER)
        began = time.monotonic()
        esme.send(submits(10))
        answers = await read_all(esme, 10)
        assert time.monotonic() - began >= 0.2
    assert sorted(answer.status for answer in answers) == [0] * 8 + [0x58] * 2
    assert smsc.counters.peak_unanswered >= 8


async def test_paused_responses_come_when_resumed_and_a_deaf_smsc_answers_nothing(start_smsc):
    smsc = await start_smsc()
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind(BIND_TRANSMITTER)
        smsc.pause_responses()
        esme.send(submits(3))
        assert (await esme.ask(ENQUIRE_LINK, 50)).command == ENQUIRE_LINK | RESPONSE
        smsc.pause_responses(deaf=True)
        esme.send(pdu(ENQUIRE_LINK, 51) + pdu(UNBIND, 52))
        await nothing_comes(esme)
        assert smsc.waiting()["responses_held"] == 3
        smsc.resume_responses()
        assert [(await esme.read()).status for _ in range(3)] == [0, 0, 0]


async def test_a_message_may_be_taken_and_reported_without_ever_being_answered(start_smsc):
    smsc = await start_smsc({"unanswered_share": 1.0})
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind()
        receipt = await esme.ask(SUBMIT_SM, 2, submit_body())
        assert receipt.command == DELIVER_SM
    assert receipt_field(receipt, "id") == smsc.history.rows()[0].message_id.decode()
    assert (smsc.counters.responses, smsc.counters.left_unanswered) == (0, 1)


async def test_a_receipt_may_come_twice(start_smsc):
    smsc = await start_smsc({"receipt_repeat_share": 1.0})
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind()
        esme.send(submits(1))
        _, one, other = await read_all(esme, 3)
    assert one.body == other.body
    assert one.sequence != other.sequence


async def test_a_receipt_may_overtake_its_response(start_smsc):
    smsc = await start_smsc({"latency": 0.1})
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind()
        esme.send(submits(1))
        assert [pdu.command for pdu in await read_all(esme, 2)] == [DELIVER_SM, SUBMIT_SM | RESPONSE]


async def test_no_receipt_comes_for_a_message_that_asked_for_none(start_smsc):
    smsc = await start_smsc()
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind()
        await esme.ask(SUBMIT_SM, 2, submit_body(registered=0))
        await nothing_comes(esme)


async def test_equal_submits_are_counted_as_duplicates(start_smsc):
    smsc = await start_smsc()
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind(BIND_TRANSMITTER)
        esme.send(submits(5) + submits(3, first=20))
        await read_all(esme, 8)
    assert smsc.counters.duplicates == 3


async def test_receipts_are_shared_among_the_receivers(start_smsc):
    smsc = await start_smsc({"outcomes": [{"stat": "DELIVRD", "delay": 0.1}]})
    async with await RawEsme.connect(smsc.port) as one, await RawEsme.connect(smsc.port) as two:
        await one.bind()
        await two.bind()
        one.send(submits(40))
        await read_all(one, 40)
        await asyncio.sleep(0.3)
        shares = [link["session"] for link in smsc.sessions()]
        assert len(shares) == 2
        own = await read_all(one, 10)
        other = await read_all(two, 10)
        assert {pdu.command for pdu in own + other} == {DELIVER_SM}


async def test_the_same_seed_brings_the_same_ids_fates_and_refusals(start_smsc):
    async def run() -> list[tuple[int, bytes, str, str]]:
        smsc = await start_smsc({"errors": [{"status": 20, "share": 0.2}], "outcomes": MIXED}, seed=11)
        async with await RawEsme.connect(smsc.port) as esme:
            await esme.bind(BIND_TRANSMITTER)
            esme.send(submits(200))
            await read_all(esme, 200)
        return [(row.status, row.message_id, row.stat, row.err) for row in smsc.history.rows()]

    first = await run()
    assert first == await run()
    assert {row[2] for row in first} == {"", "DELIVRD", "UNDELIV", "NONE"}


MIXED = [{"stat": "DELIVRD"}, {"stat": "UNDELIV", "err": ["001", "002"]}, {"stat": "NONE"}]


async def test_a_stopped_listener_refuses_connections_until_it_starts_again(start_smsc):
    smsc = await start_smsc()
    port = smsc.port
    await smsc.stop_listening()
    with pytest.raises(OSError):  # noqa: PT011 -- which error depends on the system
        await RawEsme.connect(port)
    await smsc.start_listening()
    async with await RawEsme.connect(port) as esme:
        assert (await esme.bind()).status == 0


async def test_an_unbind_from_the_smsc_ends_the_link_with_its_answer(start_smsc):
    smsc = await start_smsc()
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind()
        assert smsc.drop_links("unbind") == 1
        unbind = await esme.read()
        assert unbind.command == UNBIND
        esme.send(pdu(UNBIND | RESPONSE, unbind.sequence))
        with pytest.raises(asyncio.IncompleteReadError):
            await esme.read()
