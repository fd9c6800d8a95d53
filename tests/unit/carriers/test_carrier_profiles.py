"""What carriers did, each incident a row by name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared.carriers.plain import PROFILE as PLAIN
from shared.carriers.profile import CarrierProfile, Dialect, IdRule, Status, StatusClass
from shared.carriers.reasons import Reason
from shared.carriers.registry import load_profile, profile_names
from shared.smpp.constants import STATUS_NAMES, TLV_RECEIPTED_MESSAGE_ID
from shared.smpp.pdu import DeliverSm
from shared.smpp.receipt import MessageState
from shared.text.encoding import Encoding
from shared.text.received import decode
from shared.text.udh import LongMessage

# The reference table of command_status by class
CLASSES = {
    StatusClass.THROTTLE: {0x58, 0x14},
    StatusClass.TEMPORARY: {0x08, 0x64, 0xFE, 0xFF, 0x102},
    StatusClass.PERMANENT: {0x0A, 0x0B, 0x66, 0x01, 0x43, 0x61, 0x62, 0x65}
    | {0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0x101, 0x103, 0x104},
    StatusClass.SESSION: {0x04, 0x05, 0x0D, 0x0E, 0x0F},
}


@pytest.mark.parametrize("status", [*STATUS_NAMES, 0x400, 0x40B, 0x4FF, 0xFFFFFFFF])
def test_plain_classifies_every_status_as_the_reference_table_does(status: int) -> None:
    expected = next((kind for kind, codes in CLASSES.items() if status in codes), StatusClass.AMBIGUOUS)
    assert PLAIN.classify(status) is (StatusClass.OK if status == 0 else expected)


def test_only_a_bad_destination_address_speaks_of_an_invalid_number() -> None:
    assert [code for code in STATUS_NAMES if PLAIN.reason(code) is Reason.INVALID_NUMBER] == [0x0B]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (0x00, None),
        (0x0A, "invalid_sender"),
        (0x0B, "invalid_number"),
        (0x14, "throttled"),
        (0x58, "throttled"),
        (0x08, "carrier_error"),
        (0x0E, "session_error"),
        (0x101, "blocked_by_carrier"),
        (0x45, "carrier_error"),
        (0x40B, "carrier_error"),
    ],
)
def test_a_status_has_a_catalogue_reason(status: int, reason: str | None) -> None:
    assert PLAIN.reason(status) == reason


def permanent(reason: Reason) -> Status:
    return Status(StatusClass.PERMANENT, reason)


# Incident: what the carrier deviates in, the call, its arguments, the answer
INCIDENTS: dict[str, tuple[CarrierProfile, str, tuple[Any, ...], Any]] = {
    "0x45 means that the number is blocked": (
        PLAIN.deviating("a", statuses={0x45: permanent(Reason.BLOCKED_BY_CARRIER)}),
        "reason",
        (0x45,),
        "blocked_by_carrier",
    ),
    "0x67 means add credit": (
        PLAIN.deviating("b", statuses={0x67: Status(StatusClass.SESSION, Reason.CREDIT_EXHAUSTED)}),
        "classify",
        (0x67,),
        StatusClass.SESSION,
    ),
    "0x4A stands for a bad destination TON": (
        PLAIN.deviating("c", statuses={0x4A: permanent(Reason.INVALID_NUMBER)}),
        "classify",
        (0x4A,),
        StatusClass.PERMANENT,
    ),
    "0x40B means no balance": (
        PLAIN.deviating("d", statuses={0x40B: Status(StatusClass.SESSION, Reason.CREDIT_EXHAUSTED)}),
        "reason",
        (0x40B,),
        "credit_exhausted",
    ),
    "a deviation leaves the rest of the table alone": (
        PLAIN.deviating("e", statuses={0x45: permanent(Reason.BLOCKED_BY_CARRIER)}),
        "classify",
        (0x58,),
        StatusClass.THROTTLE,
    ),
    "error 5 in a receipt means a blocked number": (
        PLAIN.deviating("f", receipt_reasons={"5": Reason.BLOCKED_BY_CARRIER}),
        "receipt_reason",
        ("5", MessageState.UNDELIVERABLE),
        "blocked_by_carrier",
    ),
    "an error code in a delivered receipt means nothing": (
        PLAIN.deviating("g", receipt_reasons={"5": Reason.BLOCKED_BY_CARRIER}),
        "receipt_reason",
        ("5", MessageState.DELIVERED),
        None,
    ),
}


@pytest.mark.parametrize("name", INCIDENTS)
def test_a_carrier_that_reuses_a_code_is_understood(name: str) -> None:
    profile, call, arguments, answer = INCIDENTS[name]
    assert getattr(profile, call)(*arguments) == answer


LOWER = IdRule(case="lower")
UPPER_HEX = IdRule(Dialect.DECIMAL_TO_HEX, case="upper")
# Incident: profile, id in the response, id in the receipt, canonical id
IDS: dict[str, tuple[CarrierProfile, bytes | str, bytes | str, str]] = {
    "the same id both times": (PLAIN, b"0123456789", "0123456789", "0123456789"),
    "a UUID": (PLAIN, "ce5bc5a9-4f7d-4282", "ce5bc5a9-4f7d-4282", "ce5bc5a9-4f7d-4282"),
    "a NUL and spaces around the receipt's id": (PLAIN, "ab12", b" ab12\0\0", "ab12"),
    "hexadecimal in the response, padded decimal in the receipt": (
        load_profile("jsmpp"),
        "39f99dd5",
        "0972660181",
        "972660181",
    ),
    "upper-case hexadecimal in the response": (load_profile("jsmpp"), "39F99DD5", "972660181", "972660181"),
    "jsmpp with an id that is no number": (load_profile("jsmpp"), "msg-7", "msg-7", "msg-7"),
    "node-smpp keeps leading zeros": (load_profile("node_smpp"), "0000029095", "0000029095", "0000029095"),
    "zeros stripped in the receipt": (
        PLAIN.deviating("z", response_id=IdRule(strip_zeros=True), receipt_id=IdRule(strip_zeros=True)),
        "00B8BE19",
        "B8BE19",
        "B8BE19",
    ),
    "letters' case changed in the receipt": (
        PLAIN.deviating("c", response_id=LOWER, receipt_id=LOWER),
        "A29F6845",
        "a29f6845",
        "a29f6845",
    ),
    "decimal in the response, hexadecimal in the receipt": (
        PLAIN.deviating("h", response_id=UPPER_HEX, receipt_id=IdRule(strip_zeros=True, case="upper")),
        "972660181",
        "039f99dd5",
        "39F99DD5",
    ),
    "an id of zeros alone": (
        PLAIN.deviating("z", response_id=IdRule(strip_zeros=True), receipt_id=IdRule(strip_zeros=True)),
        "0000",
        "0",
        "0",
    ),
    "no id": (load_profile("jsmpp"), "", b"\0", ""),
}


@pytest.mark.parametrize("name", IDS)
def test_both_forms_of_an_id_have_one_canonical_form(name: str) -> None:
    profile, response, receipt, canonical = IDS[name]
    assert profile.canonical_id_from_response(response) == canonical
    assert profile.canonical_id_from_receipt(receipt) == canonical


@given(st.integers(0, 2**31))
def test_jsmpps_hexadecimal_and_padded_decimal_always_meet(number: int) -> None:
    profile = load_profile("jsmpp")
    assert profile.canonical_id_from_response(f"{number:x}") == profile.canonical_id_from_receipt(f"{number:010d}")


@given(
    st.sampled_from(list(Dialect)), st.booleans(), st.sampled_from(["keep", "lower", "upper"]), st.binary(max_size=100)
)
def test_no_octets_make_an_id_rule_raise(dialect: Dialect, strip: bool, case: Any, octets: bytes) -> None:
    assert isinstance(IdRule(dialect, strip, case)(octets), str)


def test_jsmpp_matches_by_the_text_although_a_tlv_is_there() -> None:
    pdu = DeliverSm(
        sequence_number=1,
        esm_class=4,
        short_message=b"id:0972660181 stat:DELIVRD err:null",
        tlvs={TLV_RECEIPTED_MESSAGE_ID: b"39f99dd5\0"},
    )
    profile = load_profile("jsmpp")
    assert profile.canonical_id_from_receipt(profile.read_receipt(pdu).carrier_message_id) == "972660181"


def test_node_smpp_labels_gsm_septets_as_ia5() -> None:
    pdu = DeliverSm(sequence_number=1, data_coding=1, short_message=b"\x00 STOP")
    read = {name: load_profile(name).read_content(pdu) for name in ("node_smpp", "plain")}
    assert decode(read["node_smpp"].octets, read["node_smpp"].encoding) == "@ STOP"
    assert decode(read["plain"].octets, read["plain"].encoding) == "\0 STOP"


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (MessageState.DELIVERED, None),
        (MessageState.ENROUTE, None),
        (MessageState.ACCEPTED, None),
        (MessageState.EXPIRED, "expired"),
        (MessageState.DELETED, "deleted_by_carrier"),
        (MessageState.UNDELIVERABLE, "undeliverable"),
        (MessageState.UNKNOWN, "lost_by_carrier"),
        (MessageState.REJECTED, "rejected_by_carrier"),
        (None, "lost_by_carrier"),
    ],
)
def test_a_receipts_state_has_a_catalogue_reason(state: MessageState | None, reason: str | None) -> None:
    assert PLAIN.receipt_reason("", state) == reason


def test_a_profile_sends_texts_its_own_way() -> None:
    profile = PLAIN.deviating(
        "f", outgoing={Encoding.GSM7: 1}, long_message=LongMessage.UDH16, allowed=frozenset(Encoding)
    )
    assert profile.plan("a").data_coding == 1
    assert profile.plan("中").data_coding == 8
    assert profile.plan("fenêtre").encoding is Encoding.LATIN1
    assert profile.plan("a" * 161).payloads(1)[0].startswith(b"\x06\x08\x04")


def test_deviating_changes_nothing_in_the_profile_it_starts_from() -> None:
    before = dict(PLAIN.statuses)
    PLAIN.deviating("x", statuses={0x58: permanent(Reason.CARRIER_ERROR)})
    assert PLAIN.statuses == before


def test_every_profile_loads_by_its_own_name() -> None:
    assert profile_names() == ["jsmpp", "node_smpp", "plain", "smpp33", "smpp50"]
    assert [load_profile(name).name for name in profile_names()] == profile_names()


def test_an_unknown_profile_is_refused_with_the_names_that_are_known() -> None:
    with pytest.raises(ValueError, match="'kannel'; known: jsmpp, node_smpp, plain"):
        load_profile("kannel")
