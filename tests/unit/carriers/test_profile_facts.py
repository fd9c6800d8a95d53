"""Each fact of a profile, and that it does what it says."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared.carriers.addresses import Address, AddressKind, Numbering
from shared.carriers.plain import PROFILE as PLAIN
from shared.carriers.profile import TimeForm
from shared.smpp.pdu import DeliverSm
from shared.smpp.receipt import MessageState, ReceiptGrammar
from shared.smpp.times import deadline
from shared.text.encoding import Encoding
from shared.text.national import Language, Shift
from shared.text.received import decode
from shared.text.udh import LongMessage

NOW = datetime(2024, 1, 31, 12, 0, tzinfo=UTC)
SOON, LATER = NOW + timedelta(hours=36), NOW + timedelta(days=40)
RELATIVE, ABSOLUTE = frozenset({TimeForm.RELATIVE}), frozenset({TimeForm.ABSOLUTE})


@pytest.mark.parametrize(
    ("forms", "at", "written"),
    [
        (frozenset(TimeForm), SOON, "000001120000000R"),
        (frozenset(TimeForm), LATER, "240311120000000+"),
        (ABSOLUTE, SOON, "240202000000000+"),
        (RELATIVE, SOON, "000001120000000R"),
        (frozenset(), SOON, ""),
    ],
)
def test_a_time_is_written_in_a_form_that_the_carrier_takes(
    forms: frozenset[TimeForm], at: datetime, written: str
) -> None:
    assert PLAIN.deviating("t", time_forms=forms).wire_time(at, NOW) == written


def test_absolute_times_are_written_by_the_carriers_clock() -> None:
    profile = PLAIN.deviating("t", time_forms=ABSOLUTE, utc_offset=timedelta(hours=-3))
    assert profile.wire_time(SOON, NOW) == "240201210000012-"


@pytest.mark.parametrize("forms", [RELATIVE, ABSOLUTE])
def test_a_time_that_is_over_is_refused(forms: frozenset[TimeForm]) -> None:
    with pytest.raises(ValueError, match=r"over|at least one second"):
        PLAIN.deviating("t", time_forms=forms).wire_time(NOW, NOW)


def test_a_time_too_far_for_the_only_form_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 30 days"):
        PLAIN.deviating("t", time_forms=RELATIVE).wire_time(LATER, NOW)


@given(st.timedeltas(timedelta(seconds=1), timedelta(days=300)))
def test_a_time_on_the_wire_never_ends_later_than_was_meant(wait: timedelta) -> None:
    meant = deadline(PLAIN.wire_time(NOW + wait, NOW), NOW)
    assert meant is not None
    assert timedelta(0) <= NOW + wait - meant < timedelta(seconds=1)


@pytest.mark.parametrize(
    ("sender", "address"),
    [
        ("RELAIS", Address(5, 0, "RELAIS")),
        ("36180", Address(3, 0, "36180")),
        ("+33612345678", Address(1, 1, "33612345678")),
        ("33612345678", Address(1, 1, "33612345678")),
        ("+1234", Address(1, 1, "1234")),
        ("", Address(0, 0, "")),
        ("٣٦", Address(5, 0, "٣٦")),
    ],
)
def test_a_sender_has_the_type_of_number_that_it_looks_like(sender: str, address: Address) -> None:
    assert PLAIN.source(sender) == address


def test_a_carrier_may_want_other_types_of_number_and_a_prefix() -> None:
    profile = PLAIN.deviating(
        "n",
        numbering={AddressKind.SHORT_CODE: Numbering(6, 1)},
        destination_numbering=Numbering(2, 8),
        number_prefix="00",
    )
    assert profile.source("36180") == Address(6, 1, "36180")
    assert profile.source("RELAIS") == Address(5, 0, "RELAIS")
    assert profile.source("+33612345678") == Address(1, 1, "0033612345678")
    assert profile.destination("+33612345678") == Address(2, 8, "0033612345678")
    assert PLAIN.destination("+33612345678") == Address(1, 1, "33612345678")


def test_a_carrier_may_allow_national_tables() -> None:
    profile = PLAIN.deviating("tr", national=frozenset({Language.TURKISH}))
    assert PLAIN.plan("ğ" * 100).encoding is Encoding.UCS2
    planned = profile.plan("ğ" * 100)
    assert planned.shift == Shift(locking=Language.TURKISH)
    received = DeliverSm(sequence_number=1, esm_class=0x40, short_message=planned.payloads(1)[0])
    content = profile.read_content(received)
    assert decode(content.octets, content.encoding, content.shift) == "ğ" * 100


def test_transliteration_is_asked_for_by_a_profile_or_a_request() -> None:
    text = "ê" * 100
    assert PLAIN.plan(text).encoding is Encoding.UCS2
    assert PLAIN.plan(text, transliterate=True).octets == b"e" * 100
    assert PLAIN.deviating("t", transliterate=True).plan(text).octets == b"e" * 100


@pytest.mark.parametrize("method", list(LongMessage))
def test_a_carrier_says_how_long_messages_travel(method: LongMessage) -> None:
    planned = PLAIN.deviating("l", long_message=method).plan("a" * 400)
    assert planned.long_message is method
    assert len(planned.pieces(1)) == planned.submissions


def test_parts_of_a_handsets_message_may_be_told_by_sar_tlvs() -> None:
    pdu = DeliverSm(sequence_number=1, short_message=b"b", tlvs={0x020C: b"\0\7", 0x020E: b"\2", 0x020F: b"\2"})
    assert PLAIN.read_content(pdu) == (b"b", Encoding.GSM7, (0, 0), (7, 2, 2))


@pytest.mark.parametrize(("version", "tlvs"), [(0x33, False), (0x34, True), (0x50, True)])
def test_an_interface_version_says_what_may_be_sent(version: int, tlvs: bool) -> None:
    profile = PLAIN.deviating("v", interface_version=version)
    assert (profile.takes_tlvs, profile.takes_transceiver) == (tlvs, tlvs)


@pytest.mark.parametrize(
    "facts",
    [
        {"interface_version": 0x35},
        {"interface_version": 0x33, "long_message": LongMessage.SAR},
        {"interface_version": 0x33, "long_message": LongMessage.PAYLOAD},
    ],
)
def test_a_profile_that_contradicts_itself_is_refused(facts: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"0x33|3\.3"):
        PLAIN.deviating("v", **facts)


def test_receipts_are_read_by_the_carriers_grammar_and_clock() -> None:
    profile = PLAIN.deviating(
        "g",
        receipt_grammar=ReceiptGrammar({"msgid": "id"}, {"SENT": MessageState.DELIVERED}),
        receipt_years=4,
        utc_offset=timedelta(hours=2),
    )
    pdu = DeliverSm(sequence_number=1, esm_class=4, short_message=b"msgid:7 stat:SENT done date:202401311200")
    receipt = profile.read_receipt(pdu)
    assert (receipt.carrier_message_id, receipt.state) == ("7", MessageState.DELIVERED)
    assert profile.receipt_date(receipt.done_date_raw) == datetime(2024, 1, 31, 10, tzinfo=UTC)
    assert PLAIN.receipt_date(receipt.done_date_raw) is None
