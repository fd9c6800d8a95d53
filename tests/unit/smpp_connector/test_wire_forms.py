"""Addresses and frames on the wire, and what comes from it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared.carriers.addresses import AddressKind, Numbering
from shared.carriers.profile import TimeForm
from shared.carriers.registry import load_profile
from shared.smpp.pdu import DeliverSm, SubmitSm, decode, encode
from shared.smpp.times import deadline
from shared.text.reassemble import Whole, join
from shared.text.received import read_content
from shared.text.udh import LongMessage
from smpp_connector.domain.backoff import bind_alarm, reconnect_pause_s, refused_pause_s
from smpp_connector.domain.deliveries import MessageTold, PartTold, ReceiptTold, e164, told_by
from smpp_connector.domain.submit_frames import CannotBeSentError, SubmitFrames, Validity, numbered, reference_of

PLAIN = load_profile("plain")
KEY = b"k" * 32


def test_a_frame_takes_its_sequence_number_and_is_otherwise_untouched() -> None:
    (frame,) = SubmitFrames(PLAIN)("+33612345678", "Bonjour", "Relais", reference=7)
    pdu = decode(numbered(frame, 0x01020304))
    assert isinstance(pdu, SubmitSm)
    assert (pdu.sequence_number, pdu.destination_addr, pdu.short_message) == (0x01020304, "33612345678", b"Bonjour")
    assert (pdu.source_addr_ton, pdu.dest_addr_ton, pdu.dest_addr_npi, pdu.registered_delivery) == (5, 1, 1, 1)


def test_a_long_text_is_one_frame_a_part_with_one_reference() -> None:
    frames = SubmitFrames(PLAIN)("+33612345678", "é" * 300 + "ж", "Relais", reference=0x1234)
    pdus = [decode(frame) for frame in frames]
    assert len(pdus) > 2
    for part, pdu in enumerate(pdus, 1):
        assert isinstance(pdu, SubmitSm)
        assert pdu.esm_class == 0x40
        assert pdu.short_message[:6] == bytes((5, 0, 3, 0x34, len(pdus), part))


@pytest.mark.parametrize(
    ("number", "text", "sender", "reason"),
    [
        ("+33612345678", "\ud800", "Relais", "unencodable"),
        ("+33612345678", "x" * 60_000, "Relais", "unencodable"),
        ("+33612345678", "x", "S" * 30, "sender_not_allowed"),
        ("+" + "3" * 30, "x", "Relais", "invalid_number"),
    ],
)
def test_what_cannot_be_sent_says_why(number: str, text: str, sender: str, reason: str) -> None:
    with pytest.raises(CannotBeSentError) as caught:
        SubmitFrames(PLAIN)(number, text, sender, reference=1)
    assert caught.value.reason == reason


@pytest.mark.parametrize("method", LongMessage)
def test_a_long_text_is_tied_together_as_the_profile_says(method: LongMessage) -> None:
    text = "x" * 400
    frames = SubmitFrames(replace(PLAIN, long_message=method))("+33612345678", text, "Relais", reference=0x1234)
    pdus = [pdu for frame in frames if isinstance(pdu := decode(frame), SubmitSm)]
    assert len(pdus) == (1 if method is LongMessage.PAYLOAD else 3)
    contents = [
        read_content(pdu.tlvs.get(0x0424, pdu.short_message), 0, has_udh=bool(pdu.esm_class & 0x40), tlvs=pdu.tlvs)
        for pdu in pdus
    ]
    assert join(reversed(contents), len(contents)) == Whole(text, ())


@pytest.mark.parametrize("text", ["x", "x" * 300])
def test_a_profile_says_what_else_a_submit_carries(text: str) -> None:
    profile = replace(
        PLAIN,
        service_type="CMT",
        protocol_id=0x40,
        priority={"otp": 3},
        registered_delivery=0x11,
        tlvs={0x1403: b"key"},
    )
    for tlvs in ({}, {0x1403: b"key"}):
        make = SubmitFrames(replace(profile, tlvs=tlvs))
        for purpose, priority in (("otp", 3), ("marketing", 0)):
            for frame in make("+33612345678", text, "Relais", reference=1, purpose=purpose):
                pdu = decode(frame)
                assert isinstance(pdu, SubmitSm)
                assert (pdu.service_type, pdu.protocol_id, pdu.priority_flag) == ("CMT", 0x40, priority)
                assert (pdu.registered_delivery, pdu.tlvs) == (0x11, tlvs)


def test_addresses_are_written_as_the_profile_says() -> None:
    profile = replace(
        PLAIN,
        number_prefix="00",
        numbering={**PLAIN.numbering, AddressKind.ALPHANUMERIC: Numbering(5, 1)},
        destination_numbering=Numbering(0, 1),
    )
    (frame,) = SubmitFrames(profile)("+33612345678", "x", "Relais", reference=1)
    pdu = decode(frame)
    assert isinstance(pdu, SubmitSm)
    assert (pdu.source_addr_ton, pdu.source_addr_npi, pdu.source_addr) == (5, 1, "Relais")
    assert (pdu.dest_addr_ton, pdu.dest_addr_npi, pdu.destination_addr) == (0, 1, "0033612345678")


HOUR_MS = 3_600_000


def test_the_carrier_is_told_when_a_message_ends_and_never_later_than_that() -> None:
    assert Validity(PLAIN)(HOUR_MS + 999, 0) == "000000005959000R"
    assert Validity(PLAIN)(HOUR_MS + 999, 999) == "000000005959000R"
    absolute = Validity(replace(PLAIN, time_forms=frozenset({TimeForm.ABSOLUTE}), utc_offset=timedelta(hours=2)))
    assert absolute(1_800_000_000_000, 1_799_990_000_000) == "270115095959008+"
    assert Validity(replace(PLAIN, time_forms=frozenset()))(HOUR_MS, HOUR_MS) == ""
    with pytest.raises(CannotBeSentError, match="window_missed"):
        Validity(PLAIN)(HOUR_MS, HOUR_MS - 999)


@given(st.integers(2_000_000_000_000, 2_000_000_000_000 + 30 * 24 * HOUR_MS), st.integers(0, 999))
def test_a_relative_validity_read_when_it_is_written_ends_within_two_seconds_before(not_after: int, ms: int) -> None:
    now = 1_999_999_990_000 + ms
    end = deadline(Validity(PLAIN)(not_after, now), datetime.fromtimestamp(now / 1000, UTC))
    assert end is not None
    assert not_after - 2000 <= end.timestamp() * 1000 <= not_after + 1


def test_a_message_has_the_same_reference_on_every_try() -> None:
    assert reference_of("00000000-0000-8000-8000-0000000012ab") == 0x12AB


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("33612345678", "+33612345678"),
        ("+33612345678", "+33612345678"),
        ("0033612345678", "+33612345678"),
        ("", "+"),
        ("Bank", "+"),
    ],
)
def test_a_handsets_address_becomes_e164(address: str, expected: str) -> None:
    assert e164(address) == expected


def deliver(**more: object) -> DeliverSm:
    values: dict[str, object] = {"sequence_number": 1, "source_addr": "33612345678", "destination_addr": "Relais"}
    return DeliverSm(**{**values, **more})  # type: ignore[arg-type]


def told(pdu: DeliverSm, now_ms: int = 0) -> ReceiptTold | MessageTold | PartTold:
    return told_by(pdu, encode(pdu), "mercure", PLAIN, now_ms, KEY)


def test_a_receipt_tells_its_id_state_and_reason() -> None:
    text = b"id:0A1B sub:001 dlvrd:000 submit date:2611230900 done date:2611230901 stat:UNDELIV err:027 text:x"
    found = told(deliver(esm_class=4, short_message=text))
    assert isinstance(found, ReceiptTold)
    assert (found.carrier_message_id, found.raw_id, found.state, found.final) == ("0A1B", "0A1B", "undelivered", True)
    assert (found.error_code, found.reason, found.number, found.sender) == (
        "27",
        "undeliverable",
        "+33612345678",
        "Relais",
    )


def test_a_receipt_that_cannot_be_read_is_told_as_unknown_and_not_final() -> None:
    found = told(deliver(esm_class=4, short_message=b"\xff\xfe\x00garbage"))
    assert isinstance(found, ReceiptTold)
    assert (found.state, found.final, found.carrier_message_id) == ("unknown", False, None)


def test_a_delivery_sent_again_has_the_same_event_and_another_one_has_not() -> None:
    first, again = deliver(short_message=b"Bonjour"), deliver(short_message=b"Bonjour", sequence_number=99)
    other = deliver(short_message=b"Bonsoir")
    ids = [found.event_id for pdu in (first, again, other) if isinstance(found := told(pdu), MessageTold)]
    assert ids[0] == ids[1] != ids[2]


def test_only_the_first_part_of_a_long_message_has_the_keyword() -> None:
    parts = [deliver(esm_class=0x40, short_message=bytes((5, 0, 3, 1, 2, n)) + b"stop it") for n in (1, 2)]
    found = [told(part) for part in parts]
    assert all(isinstance(one, PartTold) for one in found)
    assert [one.keyword for one in found if isinstance(one, PartTold)] == ["stop", None]
    assert len({one.peer for one in found if isinstance(one, PartTold)}) == 1
    alone = told(deliver(esm_class=0x40, short_message=bytes((5, 0, 3, 1, 1, 1)) + b"stop it"))
    assert isinstance(alone, MessageTold)
    assert alone.keyword == "stop"


@given(
    st.integers(0, 255), st.integers(0, 255), st.binary(max_size=254), st.dictionaries(st.integers(0, 0xFFFF), st.binary(max_size=30), max_size=4),
    st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=20), st.integers(0, 2**45),
)  # fmt: skip
def test_any_delivery_is_told(
    esm_class: int, data_coding: int, content: bytes, tlvs: dict[int, bytes], address: str, now_ms: int
) -> None:
    tlvs.pop(0x0424, None)
    pdu = deliver(esm_class=esm_class, data_coding=data_coding, short_message=content, tlvs=tlvs, source_addr=address)
    found = told(pdu, now_ms)
    assert isinstance(found, PartTold) or found.event_id.startswith("mercure:")
    assert found.number.startswith("+")


@given(st.integers(1, 200), st.floats(0, 1))
def test_reconnecting_waits_between_a_tenth_of_a_second_and_half_a_minute(failures: int, chance: float) -> None:
    assert 0.1 <= reconnect_pause_s(failures, chance) <= 30


def test_a_wrong_password_is_not_hammered_and_alarms_and_a_busy_carrier_does_not() -> None:
    assert refused_pause_s(0x0E, 1, 0.0) >= 60
    assert bind_alarm(0x0E) == "the carrier refuses our bind: ESME_RINVPASWD"
    assert refused_pause_s(0x58, 1, 0.0) < 2
    assert bind_alarm(0x58) is None
    assert [refused_pause_s(0x05, n, 0.0) for n in (1, 2, 5, 50)] == [5, 10, 60, 60]
