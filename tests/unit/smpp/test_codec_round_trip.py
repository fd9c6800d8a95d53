"""What is written can be read, and what cannot be read is refused in one way only."""

import pickle
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from shared.smpp import constants as c
from shared.smpp import pdu as p
from shared.smpp.errors import PduError
from shared.smpp.pdu import decode, encode
from unit_smpp_strategies import any_pdu, c_octets, short_messages

NUMBER = "33612345678"


def frame(command_id: int, body: bytes = b"", status: int = 0, sequence_number: int = 9) -> bytes:
    return struct.pack(">LLLL", 16 + len(body), command_id, status, sequence_number) + body


def verdict(octets: bytes, strict: bool) -> p.Pdu | PduError:
    """Whatever else decode might raise fails the test that asked."""
    try:
        return decode(octets, strict=strict)
    except PduError as error:
        return error


@given(any_pdu, st.booleans())
def test_every_pdu_reads_back_as_it_was_written(pdu: p.Pdu, strict: bool) -> None:
    again = decode(encode(pdu), strict=strict)
    assert type(again) is type(pdu)
    assert again == pdu


@given(any_pdu)
def test_the_header_tells_the_length_the_command_and_the_sequence_number(pdu: p.Pdu) -> None:
    octets = encode(pdu)
    header = p.read_header(octets)
    assert header.command_length == len(octets)
    assert header.command_id == type(pdu).command_id
    assert header.sequence_number == pdu.sequence_number


KNOWN = sorted(p._READERS)


@given(st.sampled_from(KNOWN) | st.integers(0, 0xFFFFFFFF), st.binary(max_size=300), st.booleans())
def test_arbitrary_bodies_give_a_value_or_a_pdu_error(command_id: int, body: bytes, strict: bool) -> None:
    found = verdict(frame(command_id, body), strict)
    assert found.sequence_number == 9
    assert found.command_id == command_id
    if isinstance(found, PduError):
        assert found.command_status in c.STATUS_NAMES
        assert found.command_status != c.ESME_ROK


@given(st.binary(max_size=300), st.booleans())
def test_arbitrary_octets_give_a_value_or_a_pdu_error(octets: bytes, strict: bool) -> None:
    assert isinstance(verdict(octets, strict), p.Pdu | PduError)


@given(any_pdu, st.data())
def test_damaged_pdus_give_a_value_or_a_pdu_error(pdu: p.Pdu, data: st.DataObject) -> None:
    octets = bytearray(encode(pdu))
    for at in data.draw(st.lists(st.integers(16, max(16, len(octets) - 1)), max_size=4)):
        if at < len(octets):
            octets[at] = data.draw(st.integers(0, 255))
    del octets[data.draw(st.integers(16, len(octets))) :]
    octets[:4] = len(octets).to_bytes(4, "big")
    for strict in (True, False):
        assert verdict(bytes(octets), strict).sequence_number == pdu.sequence_number


@given(short_messages(p.SubmitSm) | short_messages(p.DeliverSm))
def test_a_repr_shows_neither_number_nor_text(pdu: p.ShortMessage) -> None:
    pdu.source_addr, pdu.destination_addr, pdu.short_message = NUMBER, NUMBER, b"the secret code"
    assert NUMBER not in repr(pdu)
    assert "secret" not in repr(pdu)


def test_a_binds_repr_shows_no_password() -> None:
    assert "hunter2" not in repr(p.BindTransceiver(sequence_number=1, system_id="relais", password="hunter2"))


def test_deliver_sm_resp_has_a_null_message_id() -> None:
    assert encode(p.DeliverSmResp(sequence_number=5)) == frame(c.DELIVER_SM_RESP, b"\0", sequence_number=5)


def test_a_failed_submit_sm_resp_has_no_body_unless_it_is_given_an_id() -> None:
    bare = p.SubmitSmResp(sequence_number=1, command_status=0x58)
    with_body = p.SubmitSmResp(sequence_number=1, command_status=0x58, message_id="")
    assert len(encode(bare)) == 16
    assert encode(with_body)[16:] == b"\0"


@pytest.mark.parametrize(
    ("pdu", "status"),
    [
        (p.SubmitSm(sequence_number=1, source_addr="A" * 21), 0x0A),
        (p.SubmitSm(sequence_number=1, destination_addr="1" * 21), 0x0B),
        (p.SubmitSm(sequence_number=1, destination_addr="33\x0061"), 0x0B),
        (p.SubmitSm(sequence_number=1, source_addr="Ω"), 0x0A),
        (p.SubmitSm(sequence_number=1, service_type="123456"), 0x15),
        (p.SubmitSm(sequence_number=1, validity_period="0" * 17), 0x62),
        (p.SubmitSm(sequence_number=1, schedule_delivery_time="0" * 17), 0x61),
        (p.SubmitSm(sequence_number=1, short_message=b"x" * 255), 0x01),
        (p.SubmitSm(sequence_number=1, short_message=b"x", tlvs={c.TLV_MESSAGE_PAYLOAD: b"y"}), 0x01),
        (p.SubmitSm(sequence_number=1, data_coding=256), 0x08),
        (p.SubmitSm(sequence_number=1, esm_class=-1), 0x08),
        (p.SubmitSm(sequence_number=1 << 32), 0x08),
        (p.SubmitSm(sequence_number=1, tlvs={0x10000: b""}), 0xC2),
        (p.SubmitSm(sequence_number=1, tlvs={c.TLV_MESSAGE_PAYLOAD: b"x" * 65536}), 0xC2),
        (p.SubmitSmResp(sequence_number=1, message_id="x" * 65), 0x0C),
        (p.SubmitSmResp(sequence_number=1), 0x08),
        (p.BindTransmitter(sequence_number=1, system_id="x" * 16), 0x0F),
        (p.BindTransmitter(sequence_number=1, system_id="x", password="x" * 9), 0x0E),
        (p.BindTransmitter(sequence_number=1, system_id="x", addr_ton=300), 0x08),
        (p.BindTransmitterResp(sequence_number=1), 0x08),
        (p.EnquireLink(sequence_number=-1), 0x08),
    ],
)
def test_what_a_field_cannot_hold_is_refused_and_not_shortened(pdu: p.Pdu, status: int) -> None:
    with pytest.raises(PduError) as caught:
        encode(pdu)
    assert caught.value.command_status == status


SUBMIT_BODY = b"\0\1\1%b\0\1\1%b\0\0\0\0\0\0\1\0\0\0%c%b"


def submit_body(source: bytes = b"RELAIS", to: bytes = b"33612345678", length: int = 2, text: bytes = b"hi") -> bytes:
    return SUBMIT_BODY % (source, to, length, text)


@pytest.mark.parametrize(
    ("why", "octets", "strict", "status"),
    [
        ("less than a header", b"\0\0\0\x0f", False, 0x02),
        ("command_length other than the length", frame(c.ENQUIRE_LINK)[:-1] + b"\0\0", False, 0x02),
        ("a command nobody has defined", frame(0x00000200), False, 0x03),
        ("a command that is not spoken", frame(c.QUERY_SM, b"\0" * 8), False, 0x03),
        ("no body", frame(c.SUBMIT_SM), False, 0x02),
        ("an address without its NUL", frame(c.SUBMIT_SM, b"\0\1\1336"), False, 0x02),
        ("sm_length beyond the end", frame(c.SUBMIT_SM, submit_body(length=3)), False, 0x01),
        ("a source address too long", frame(c.SUBMIT_SM, submit_body(source=b"x" * 21)), True, 0x0A),
        ("a destination address too long", frame(c.SUBMIT_SM, submit_body(to=b"1" * 21)), True, 0x0B),
        ("sm_length 255", frame(c.SUBMIT_SM, submit_body(length=255, text=b"x" * 255)), True, 0x01),
        ("a TLV that runs over the end", frame(c.SUBMIT_SM, submit_body() + b"\4\x24\0\5abc"), True, 0xC0),
        ("half a TLV header", frame(c.SUBMIT_SM, submit_body() + b"\4\x24\0"), True, 0xC0),
        ("success without an id", frame(c.SUBMIT_SM_RESP), True, 0x02),
        ("an id without its NUL", frame(c.SUBMIT_SM_RESP, b"abc"), True, 0x02),
        ("a password too long", frame(c.BIND_TRANSMITTER, b"a\x00123456789\0\0\x34\0\0\0"), True, 0x0E),
        ("a bind that stops early", frame(c.BIND_TRANSMITTER, b"a\0b\0\0\x34"), False, 0x02),
        ("a body where there is none", frame(c.ENQUIRE_LINK, b"x"), True, 0x02),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_malformed_pdus_are_refused_with_the_status_that_the_peer_is_told(
    why: str, octets: bytes, strict: bool, status: int
) -> None:
    with pytest.raises(PduError) as caught:
        decode(octets, strict=strict)
    assert caught.value.command_status == status, why


def test_a_carriers_truncated_tlv_does_not_cost_the_receipt_ahead_of_it() -> None:
    octets = frame(c.DELIVER_SM, submit_body() + b"\4\x27\0\1\2" + b"\0\x1e\0\x20id")
    pdu = decode(octets)
    assert isinstance(pdu, p.DeliverSm)
    assert pdu.short_message == b"hi"
    assert pdu.tlvs == {c.TLV_MESSAGE_STATE: b"\2"}


def test_a_carriers_id_without_its_nul_is_still_an_id() -> None:
    pdu = decode(frame(c.SUBMIT_SM_RESP, b"a1b2"))
    assert isinstance(pdu, p.SubmitSmResp)
    assert pdu.message_id == "a1b2"


def test_success_without_a_body_is_still_success() -> None:
    pdu = decode(frame(c.SUBMIT_SM_RESP))
    assert isinstance(pdu, p.SubmitSmResp)
    assert (pdu.command_status, pdu.message_id) == (0, None)


def test_unknown_tlvs_are_kept() -> None:
    octets = encode(p.DeliverSm(sequence_number=1, tlvs={0x1454: b"\0\0\0\0", 0x3FFF: b""}))
    pdu = decode(octets)
    assert isinstance(pdu, p.DeliverSm)
    assert pdu.tlvs == {0x1454: b"\0\0\0\0", 0x3FFF: b""}


def test_message_payload_is_the_content_of_a_pdu_without_short_message() -> None:
    pdu = p.SubmitSm(sequence_number=1, tlvs={c.TLV_MESSAGE_PAYLOAD: b"x" * 65535})
    again = decode(encode(pdu), strict=True)
    assert isinstance(again, p.SubmitSm)
    assert again.content == b"x" * 65535


@given(c_octets(64))
def test_errors_survive_pickling_between_processes(reason: str) -> None:
    error = pickle.loads(pickle.dumps(PduError(2, reason, 7, 4)))
    assert (error.command_status, error.reason, error.sequence_number, error.command_id) == (2, reason, 7, 4)


@given(short_messages(p.SubmitSm), c_octets(20), st.binary(max_size=254))
def test_a_template_writes_what_encode_writes(like: p.SubmitSm, destination: str, text: bytes) -> None:
    written = p.SubmitTemplate(like).frame(destination, text)
    assert written == encode(
        replace(like, sequence_number=0, destination_addr=destination, short_message=text, tlvs={})
    )
