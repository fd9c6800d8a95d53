"""What the simulator answers to octets that no well-behaved ESME sends, and to every kind of PDU."""

import asyncio
import struct

import pytest
from unit.smsc.raw_esme import (
    BIND_TRANSCEIVER,
    DELIVER_SM,
    ENQUIRE_LINK,
    RESPONSE,
    SUBMIT_SM,
    UNBIND,
    RawEsme,
    message_id,
    pdu,
    receipt_field,
    short_message,
    submit_body,
)

GENERIC_NACK = 0x80000000


@pytest.mark.parametrize("length", [0, 15, 1_000_000, 0xFFFFFFFF])
async def test_a_length_that_cannot_be_gets_rinvcmdlen_and_ends_the_link(start_smsc, length):
    smsc = await start_smsc()
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind()
        esme.send(struct.pack(">IIII", length, SUBMIT_SM, 0, 77))
        assert (await esme.read())[:3] == (GENERIC_NACK, 0x02, 77)
        with pytest.raises(asyncio.IncompleteReadError):
            await esme.read()
    assert smsc.counters.malformed == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 0x02),
        (b"\0\x05\0Relais", 0x02),
        (submit_body()[:-8], 0x02),
        (submit_body()[:-1], 0x01),
        (submit_body(text=b"x" * 255), 0x01),
        (submit_body(to="3" * 21), 0x0B),
        (submit_body(to=""), 0x0B),
        (submit_body(sender="R" * 21), 0x0A),
        (submit_body(parameters=b"\x04"), 0xC0),
        (submit_body(parameters=b"\x04\x24\x00\x05abcd"), 0xC0),
    ],
)
async def test_a_broken_submit_is_refused_and_the_link_goes_on(start_smsc, body, status):
    smsc = await start_smsc()
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind()
        esme.send(pdu(SUBMIT_SM, 5, body) + pdu(SUBMIT_SM, 6, submit_body(registered=0)))
        assert (await esme.read())[:3] == (SUBMIT_SM | RESPONSE, status, 5)
        assert (await esme.read())[:3] == (SUBMIT_SM | RESPONSE, 0, 6)
    assert len(smsc.history) == 1


@pytest.mark.parametrize("command", [0x0000000A, 0x00000003, 0x00000099, 0x00000103])
async def test_an_unknown_command_gets_a_generic_nack(start_smsc, command):
    smsc = await start_smsc()
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind()
        assert (await esme.ask(command, 9, b"abc"))[:3] == (GENERIC_NACK, 0x03, 9)


async def test_an_unknown_response_is_passed_over(start_smsc):
    smsc = await start_smsc()
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind()
        esme.send(pdu(0x80000099, 8) + pdu(DELIVER_SM | RESPONSE, 999, b"\0"))
        assert (await esme.ask(ENQUIRE_LINK, 10))[:3] == (ENQUIRE_LINK | RESPONSE, 0, 10)
    assert smsc.counters.stray_responses == 1


async def test_a_submit_before_the_bind_or_from_a_receiver_is_refused(start_smsc):
    smsc = await start_smsc()
    async with await RawEsme.connect(smsc.port) as esme:
        assert (await esme.ask(SUBMIT_SM, 1, submit_body())).status == 0x04
        assert (await esme.ask(UNBIND, 2)).status == 0x04
        assert (await esme.bind(command=1)).status == 0
        assert (await esme.ask(SUBMIT_SM, 3, submit_body())).status == 0x04
    assert smsc.counters.submits == 0


@pytest.mark.parametrize(
    ("system_id", "password", "status"),
    [("relais", "wrong", 0x0E), ("nobody", "secret", 0x0F), ("relais", "secret", 0)],
)
async def test_a_bind_needs_the_account_and_its_password(start_smsc, system_id, password, status):
    smsc = await start_smsc()
    async with await RawEsme.connect(smsc.port) as esme:
        assert (await esme.bind(system_id=system_id, password=password)).status == status


async def test_binds_are_limited_and_a_link_binds_once(start_smsc):
    smsc = await start_smsc(max_binds=2)
    async with (
        await RawEsme.connect(smsc.port) as one,
        await RawEsme.connect(smsc.port) as two,
        await RawEsme.connect(smsc.port) as three,
    ):
        answers = [await one.bind(), await two.bind(), await three.bind(), await one.bind()]
        assert [answer.status for answer in answers] == [0, 0, 0x0D, 0x05]
        assert answers[0].body.endswith(b"\x02\x10\x00\x01\x34")
        await two.ask(UNBIND, 2)
        await asyncio.sleep(0.05)
        assert (await three.bind()).status == 0


async def test_pdus_cut_at_any_octet_are_put_together(start_smsc):
    smsc = await start_smsc()
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind()
        octets = b"".join(pdu(SUBMIT_SM, i, submit_body(registered=0)) for i in range(2, 5))
        for i in range(0, len(octets), 7):
            esme.send(octets[i : i + 7])
            await asyncio.sleep(0)
        assert [(await esme.read()).sequence for _ in range(3)] == [2, 3, 4]


async def test_an_unbind_is_answered_and_ends_the_link(start_smsc):
    smsc = await start_smsc()
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind()
        assert (await esme.ask(UNBIND, 4))[:3] == (UNBIND | RESPONSE, 0, 4)
        with pytest.raises(asyncio.IncompleteReadError):
            await esme.read()


async def test_a_connection_that_does_not_bind_is_closed(start_smsc):
    smsc = await start_smsc(session_init_s=0.1)
    async with await RawEsme.connect(smsc.port) as esme:
        with pytest.raises(asyncio.IncompleteReadError):
            await esme.read()


async def test_a_silent_link_is_asked_and_then_dropped(start_smsc):
    smsc = await start_smsc(enquire_link_s=0.3)
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind()
        assert (await esme.read()).command == ENQUIRE_LINK
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await esme.read()


async def test_each_part_of_a_long_message_gets_its_own_id_and_receipt(start_smsc):
    smsc = await start_smsc()
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind()
        for part in (1, 2):
            text = bytes((5, 0, 3, 0x42, 2, part)) + b"part"
            esme.send(pdu(SUBMIT_SM, 1 + part, submit_body(text=text, esm_class=0x40)))
        received = [await esme.read() for _ in range(4)]
        ids = [message_id(answer) for answer in received if answer.command == SUBMIT_SM | RESPONSE]
        receipts = [answer for answer in received if answer.command == DELIVER_SM]
        assert len(set(ids)) == 2
        assert [receipt_field(receipt, "id") for receipt in receipts] == ids
        assert [receipt_field(receipt, "text") for receipt in receipts] == ["part", "part"]


async def test_response_in_hex_and_receipt_in_decimal_name_one_number(start_smsc):
    smsc = await start_smsc(ids={"response": "hex", "receipt": "decimal", "receipt_width": 10, "first": 0x39F99DD5})
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind()
        answer = await esme.ask(SUBMIT_SM, 2, submit_body())
        receipt = await esme.read()
        assert message_id(answer) == "39f99dd5"
        assert receipt_field(receipt, "id") == "0972660181"
        assert receipt.body.count(b"\x00\x1e\x00\x0b0972660181\0") == 1


async def test_message_payload_and_sar_are_remembered(start_smsc):
    smsc = await start_smsc()
    sar = b"\x02\x0c\x00\x02\x01\x02\x02\x0e\x00\x01\x03\x02\x0f\x00\x01\x02"
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind()
        await esme.ask(SUBMIT_SM, 2, submit_body(text=b"", parameters=b"\x04\x24\x00\x03abc" + sar))
    (row,) = smsc.history.rows()
    assert (row.submit.octets, row.submit.sar) == (b"abc", (0x0102, 3, 2))


async def test_an_inbound_message_comes_in_parts_from_the_handset(start_smsc):
    smsc = await start_smsc()
    async with await RawEsme.connect(smsc.port) as esme:
        await esme.bind()
        assert smsc.inject("33600000002", "36180", "x" * 200, reversed_parts=True) == 2
        parts = [await esme.read(), await esme.read()]
        assert [short_message(part)[:6].hex() for part in parts] == ["050003010202", "050003010201"]
        assert parts[0].body.startswith(b"\0\x01\x0133600000002\0\x03\x0036180\0\x40")
        for part in parts:
            esme.acknowledge(part)
        await esme.ask(ENQUIRE_LINK, 9)
    assert smsc.counters.inbound_acked == 2


async def test_a_bind_transceiver_while_binds_are_refused_gets_that_status(start_smsc):
    smsc = await start_smsc({"refuse_binds": 0x0D})
    async with await RawEsme.connect(smsc.port) as esme:
        assert (await esme.bind(BIND_TRANSCEIVER)).status == 0x0D
