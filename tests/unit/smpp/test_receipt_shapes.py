"""Every shape of receipt that somebody has met, by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared.smpp.constants import TLV_MESSAGE_PAYLOAD, TLV_MESSAGE_STATE, TLV_NETWORK_ERROR_CODE
from shared.smpp.constants import TLV_RECEIPTED_MESSAGE_ID as TLV_ID
from shared.smpp.pdu import DeliverSm
from shared.smpp.receipt import MessageState, Receipt, is_receipt, parse_receipt

DELIVERED, UNDELIVERABLE = MessageState.DELIVERED, MessageState.UNDELIVERABLE
PLAIN = b"id:0123456789 sub:001 dlvrd:001 submit date:2401011200 done date:2401011201 stat:DELIVRD err:000 text:hello"


def receipt(
    content: bytes, tlvs: dict[int, bytes] | None = None, *, id_from_text: bool = False, **fields: int
) -> Receipt:
    pdu = DeliverSm(
        sequence_number=1, esm_class=fields.pop("esm_class", 4), short_message=content, tlvs=tlvs or {}, **fields
    )
    return parse_receipt(pdu, id_from_text=id_from_text)


# name: content, id, state, error, submit date, done date, submitted, delivered
SHAPES: dict[str, tuple] = {
    "the specification's example": (PLAIN, "0123456789", DELIVERED, "0", "2401011200", "2401011201", 1, 1),
    "the excerpt holds labels of its own": (
        b"id:1 sub:001 dlvrd:001 submit date:2401011200 done date:2401011201 stat:UNDELIV err:010 text:id:9 stat:DELIVRD",
        "1", UNDELIVERABLE, "10", "2401011200", "2401011201", 1, 1,
    ),
    "no sub and no dlvrd": (
        b"id:1526758174 submit date:1701240904 done date:1701240904 stat:DELIVRD err:000 text:hellow",
        "1526758174", DELIVERED, "0", "1701240904", "1701240904", None, None,
    ),
    "no sub, no dlvrd and no text": (
        b"id:0654354026 submit date:2302101454 done date:2302101454 stat:DELIVRD err:000",
        "0654354026", DELIVERED, "0", "2302101454", "2302101454", None, None,
    ),
    "12-digit dates and a 32-character hexadecimal id": (
        b"id:a29f6845555647139e5c8f3b817f2c9a sub:001 dlvrd:001 submit date:141023215253 done date:141023215259"
        b" stat:DELIVRD err:000 text:",
        "a29f6845555647139e5c8f3b817f2c9a", DELIVERED, "0", "141023215253", "141023215259", 1, 1,
    ),
    "12-digit dates with a four-digit year": (
        b"id:dbd1d8e8-d2a4-4efe-b508-60761b1ae484 submit date:201906190720 done date:201906190720 stat:EXPIRED err:030",
        "dbd1d8e8-d2a4-4efe-b508-60761b1ae484", MessageState.EXPIRED, "30", "201906190720", "201906190720", None, None,
    ),
    "15-digit dates with a plus and no text": (
        b"id:rdwjwxns18krxr9936ey96ymcw sub:000 dlvrd:000 submit date:180711070003912+ done date:180711070000012+"
        b" stat:UNDELIV err:000",
        "rdwjwxns18krxr9936ey96ymcw", UNDELIVERABLE, "0", "180711070003912+", "180711070000012+", 0, 0,
    ),
    "no stat label in front of DELIVRD": (
        b"id:ce5bc5a9-4f7d-4282-9244-2e1022a9335c sub:000 dlvrd:000 submit date:180903120815 done date:180903120816"
        b" DELIVRD err:000 Text:",
        "ce5bc5a9-4f7d-4282-9244-2e1022a9335c", DELIVERED, "0", "180903120815", "180903120816", 0, 0,
    ),
    "an error of four digits": (
        b"id:117062714244798261 sub:001 dlvrd:001 submit date:1706271624 done date:1706271624 stat:DELIVRD err:0000"
        b" text:H\x1bello wld",
        "117062714244798261", DELIVERED, "0", "1706271624", "1706271624", 1, 1,
    ),
    "counts and error of one digit": (
        b"id:77 sub:1 dlvrd:0 submit date:2401011200 done date:2401011201 stat:UNDELIV err:5 text:x",
        "77", UNDELIVERABLE, "5", "2401011200", "2401011201", 1, 0,
    ),
    "a space after the colons": (
        b"id: 77 sub: 001 dlvrd: 001 submit date: 2401011200 done date: 2401011201 stat: DELIVRD err: 000 text: x",
        "77", DELIVERED, "0", "2401011200", "2401011201", 1, 1,
    ),
    "a space before the text": (
        b"id:77 sub:001 dlvrd:001 submit date:2401011200 done date:2401011201 stat:DELIVRD err:000  text: x",
        "77", DELIVERED, "0", "2401011200", "2401011201", 1, 1,
    ),
    "a space before everything": (b" " + PLAIN, "0123456789", DELIVERED, "0", "2401011200", "2401011201", 1, 1),
    "Text with a capital": (
        PLAIN.replace(b"text:", b"Text:"), "0123456789", DELIVERED, "0", "2401011200", "2401011201", 1, 1,
    ),
    "labels and state in upper case": (
        b"ID:77 SUB:001 DLVRD:001 SUBMIT DATE:2401011200 DONE DATE:2401011201 STAT:DELIVRD ERR:000 TEXT:x",
        "77", DELIVERED, "0", "2401011200", "2401011201", 1, 1,
    ),
    "labels and state in lower case": (
        b"id:77 sub:001 dlvrd:001 submit date:2401011200 done date:2401011201 stat:delivrd err:000 text:x",
        "77", DELIVERED, "0", "2401011200", "2401011201", 1, 1,
    ),
    "labels with an underscore": (
        b"id:77 submit_date:2401011200 done_date:2401011201 stat:REJECTD err:1A",
        "77", MessageState.REJECTED, "1A", "2401011200", "2401011201", None, None,
    ),
    "a numeric status": (
        b"id:77 sub:001 dlvrd:001 submit date:2401011200 done date:2401011201 stat:5 err:021 text:x",
        "77", UNDELIVERABLE, "21", "2401011200", "2401011201", 1, 1,
    ),
    "a state spelled out": (b"id:77 stat:UNDELIVERABLE err:021", "77", UNDELIVERABLE, "21", "", "", None, None),
    "a null error, as jSMPP's simulator writes": (
        b"id:0972660181 sub:001 dlvrd:001 submit date:2401011200 done date:2401011201 stat:DELIVRD err:null text:x",
        "0972660181", DELIVERED, "", "2401011200", "2401011201", 1, 1,
    ),
    "commas after the values": (
        b"id:77, sub:001, dlvrd:001, submit date:2401011200, done date:2401011201, stat:DELIVRD, err:000, text:x",
        "77", DELIVERED, "0", "2401011200", "2401011201", 1, 1,
    ),
    "still on its way": (
        b"id:77 stat:ENROUTE err:000", "77", MessageState.ENROUTE, "0", "", "", None, None,
    ),
    "only a state": (b"stat:ACCEPTD", "", MessageState.ACCEPTED, "", "", "", None, None),
    "a state that nobody defined": (b"id:77 stat:WHATEVR err:000", "77", None, "0", "", "", None, None),
    "nothing that can be read": (b"thank you for your message", "", None, "", "", "", None, None),
    "nothing": (b"", "", None, "", "", "", None, None),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_receipts_of_every_known_shape_are_read(name: str) -> None:
    content, ident, state, error, submitted_at, done_at, submitted, delivered = SHAPES[name]
    assert receipt(content) == Receipt(ident, state, error, submitted_at, done_at, submitted, delivered)


WITHOUT_TEXT: dict[str, tuple] = {
    "an id with its NUL": ({TLV_ID: b"ab12\0", TLV_MESSAGE_STATE: b"\2"}, "ab12", DELIVERED, "", None),
    "an id without its NUL": ({TLV_ID: b"ab12", TLV_MESSAGE_STATE: b"\3"}, "ab12", MessageState.EXPIRED, "", None),
    "an id padded with NULs": ({TLV_ID: b"ab12\0\0\0"}, "ab12", None, "", None),
    "a network error of three octets": (
        {TLV_ID: b"1\0", TLV_MESSAGE_STATE: b"\5", TLV_NETWORK_ERROR_CODE: b"\3\0\x1b"}, "1", UNDELIVERABLE, "27", 3,
    ),
    "a network error of another length": ({TLV_ID: b"1\0", TLV_NETWORK_ERROR_CODE: b"\3\0"}, "1", None, "", None),
    "a state in four octets": ({TLV_ID: b"1\0", TLV_MESSAGE_STATE: b"\0\0\0\2"}, "1", DELIVERED, "", None),
    "a state that nobody defined": ({TLV_ID: b"1\0", TLV_MESSAGE_STATE: b"\x63"}, "1", None, "", None),
    "an empty id": ({TLV_ID: b"\0", TLV_MESSAGE_STATE: b"\2"}, "", DELIVERED, "", None),
}  # fmt: skip


@pytest.mark.parametrize("name", WITHOUT_TEXT)
def test_receipts_may_be_tlvs_alone(name: str) -> None:
    tlvs, ident, state, error, network = WITHOUT_TEXT[name]
    assert receipt(b"", tlvs) == Receipt(ident, state, error, network_type=network)


def test_tlvs_are_believed_before_the_text() -> None:
    tlvs = {TLV_ID: b"from-tlv\0", TLV_MESSAGE_STATE: b"\5", TLV_NETWORK_ERROR_CODE: b"\3\0\6"}
    found = receipt(PLAIN, tlvs)
    assert (found.carrier_message_id, found.state, found.error_code) == ("from-tlv", UNDELIVERABLE, "6")
    assert found.done_date_raw == "2401011201"


def test_a_carrier_may_be_believed_by_its_text_for_the_id() -> None:
    assert receipt(PLAIN, {TLV_ID: b"hex\0"}, id_from_text=True).carrier_message_id == "0123456789"
    assert receipt(b"stat:DELIVRD", {TLV_ID: b"hex\0"}, id_from_text=True).carrier_message_id == "hex"


def test_a_state_of_zero_in_the_tlv_leaves_the_text_its_word() -> None:
    assert receipt(PLAIN, {TLV_MESSAGE_STATE: b"\0"}).state is DELIVERED


def test_a_network_error_of_zero_does_not_hide_the_texts_error() -> None:
    content = PLAIN.replace(b"err:000", b"err:069").replace(b"DELIVRD", b"UNDELIV")
    assert receipt(content, {TLV_NETWORK_ERROR_CODE: b"\3\0\0"}).error_code == "69"


def test_a_receipt_may_travel_as_message_payload() -> None:
    assert receipt(b"", {TLV_MESSAGE_PAYLOAD: PLAIN}).carrier_message_id == "0123456789"


def test_a_receipt_may_be_written_in_ucs2() -> None:
    assert receipt(PLAIN.decode().encode("utf-16-be")[:254], data_coding=8).carrier_message_id == "0123456789"


def test_a_receipt_may_have_a_user_data_header() -> None:
    assert receipt(b"\5\0\3\1\1\1" + PLAIN, esm_class=0x44).carrier_message_id == "0123456789"


def test_an_id_longer_than_the_specification_allows_is_cut() -> None:
    assert len(receipt(b"id:" + b"9" * 200 + b" stat:DELIVRD").carrier_message_id) == 64
    assert len(receipt(b"", {TLV_ID: b"9" * 200}).carrier_message_id) == 64


@given(
    st.binary(max_size=300) | st.text("idstaerub: 0123456789DELIVR\n", max_size=120).map(str.encode),
    st.dictionaries(
        st.sampled_from([TLV_ID, TLV_MESSAGE_STATE, TLV_NETWORK_ERROR_CODE, TLV_MESSAGE_PAYLOAD])
        | st.integers(0, 65535),
        st.binary(max_size=80),
        max_size=5,
    ),
    st.integers(0, 255),
    st.sampled_from([0, 3, 8, 255]),
    st.booleans(),
)
def test_no_octets_make_it_raise(
    content: bytes, tlvs: dict[int, bytes], esm_class: int, data_coding: int, from_text: bool
) -> None:
    found = receipt(content, tlvs, esm_class=esm_class, data_coding=data_coding, id_from_text=from_text)
    assert len(found.carrier_message_id) <= 64
    assert found.final in (True, False)


@given(
    ident=st.text("0123456789abcdef-", min_size=1, max_size=36),
    state=st.sampled_from(["DELIVRD", "EXPIRED", "DELETED", "UNDELIV", "ACCEPTD", "UNKNOWN", "REJECTD", "ENROUTE"]),
    error=st.integers(0, 999),
    date=st.text("0123456789", min_size=10, max_size=12),
)
def test_the_fast_path_and_the_tolerant_one_agree(ident: str, state: str, error: int, date: str) -> None:
    fields = [f"sub:001 dlvrd:001 submit date:{date} done date:{date} stat:{state} err:{error:03} text:x"]
    fast = receipt(" ".join([f"id:{ident}", *fields]).encode())
    slow = receipt("  ".join([f"ID:{ident}", *fields]).encode())
    assert fast == slow
    assert fast.carrier_message_id == ident


def test_enroute_accepted_and_unknown_are_never_final() -> None:
    assert {state for state in MessageState if not state.final} == {
        MessageState.ENROUTE,
        MessageState.ACCEPTED,
        MessageState.UNKNOWN,
    }
    assert not Receipt().final


@pytest.mark.parametrize(
    ("esm_class", "tlvs", "expected"),
    [
        (0x04, {}, True),
        (0x20, {}, True),
        (0x44, {}, True),
        (0x00, {TLV_ID: b"1\0"}, True),
        (0x00, {}, False),
        (0x40, {}, False),
        (0x08, {}, False),
        (0x18, {}, False),
    ],
)
def test_receipts_are_told_from_handsets_messages(esm_class: int, tlvs: dict[int, bytes], expected: bool) -> None:
    assert is_receipt(DeliverSm(sequence_number=1, esm_class=esm_class, tlvs=tlvs)) is expected
