"""Counting and splitting are one decision, and nothing is lost or broken on the way."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from shared.smpp.constants import ESM_UDHI
from shared.smpp.pdu import DeliverSm
from shared.text.encoding import Encoding
from shared.text.errors import TextError, TooManyPartsError, UnencodableError
from shared.text.gsm0338 import BASIC
from shared.text.national import Language
from shared.text.plan import ROOM_ALONE, ROOM_IN_PART, TextPlan, plan
from shared.text.received import decode, read_received
from shared.text.udh import Concatenation, LongMessage, read_udh

GSM7, LATIN1, UCS2 = Encoding.GSM7, Encoding.LATIN1, Encoding.UCS2
UDH8, UDH16 = LongMessage.UDH8, LongMessage.UDH16
ALL = frozenset(Encoding)

gsm_text = st.text(st.sampled_from(BASIC.replace("\x1b", "") + "€{}[]€€"), max_size=60)
latin_text = st.text(st.characters(max_codepoint=255), max_size=60)
wide_text = st.text(st.sampled_from("aé中😀👍🏽ê"), max_size=60)
short_text = st.one_of(gsm_text, latin_text, wide_text, st.text(max_size=60))
# Random texts are short ones: repeated, they reach several parts in half of the cases
any_text = st.builds(lambda first, again, times: first + again * times, short_text, short_text, st.integers(0, 40))
allowed_sets = st.sets(st.sampled_from(list(Encoding)), min_size=1).map(frozenset)
methods = st.sampled_from(list(LongMessage))


def planned(text: str, allowed: frozenset[Encoding], method: LongMessage) -> TextPlan | TextError:
    try:
        return plan(text, allowed, method)
    except TextError as error:
        return error


@given(any_text, allowed_sets, methods, st.integers(0, 1 << 20))
@example("€" * 200, frozenset({GSM7}), UDH8, 1)
@example("😀" * 100, frozenset({UCS2}), UDH16, 1)
def test_the_parts_put_together_are_the_text(
    text: str, allowed: frozenset[Encoding], method: LongMessage, reference: int
) -> None:
    found = planned(text, allowed, method)
    if isinstance(found, TextError):
        return
    sent = found.pieces(reference)
    assert len(sent) == found.submissions
    pieces = []
    for number, (payload, tlvs) in enumerate(sent, 1):
        pdu = DeliverSm(sequence_number=1, esm_class=found.esm_class, short_message=payload, tlvs=tlvs)
        received = read_received(
            pdu.content, found.data_coding, has_udh=bool(found.esm_class & ESM_UDHI), tlvs=pdu.tlvs
        )
        if len(sent) > 1:
            width = 0xFF if method is UDH8 else 0xFFFF
            assert received.concatenation == Concatenation(reference & width, found.parts, number)
        else:
            assert received.concatenation is None
        assert received.text is not None
        pieces.append(received.text)
    # Each part is whole by itself: a split pair would read as U+FFFD, a space or another character
    assert "".join(pieces) == text


@given(any_text, allowed_sets, methods)
def test_no_part_is_larger_than_its_room_and_none_could_take_the_next_character(
    text: str, allowed: frozenset[Encoding], method: LongMessage
) -> None:
    found = planned(text, allowed, method)
    if isinstance(found, TextError):
        return
    if found.parts == 1:
        assert len(found.octets) <= ROOM_ALONE[found.encoding]
        return
    assert len(found.octets) > ROOM_ALONE[found.encoding]
    room = ROOM_IN_PART[found.encoding, method]
    sizes = [end - start for start, end in zip((0, *found.cuts), found.cuts, strict=False)]
    assert all(0 < size <= room for size in sizes)
    widest = {GSM7: 2, LATIN1: 1, UCS2: 4}[found.encoding]
    assert all(size > room - widest for size in sizes[:-1])
    assert sum(sizes) == len(found.octets)


@given(any_text, methods)
def test_the_cheapest_encoding_is_chosen(text: str, method: LongMessage) -> None:
    found = planned(text, ALL, method)
    if isinstance(found, TextError):
        return
    alone = {encoding: planned(text, frozenset({encoding}), method) for encoding in Encoding}
    parts = {encoding: one.parts for encoding, one in alone.items() if isinstance(one, TextPlan)}
    assert found.parts == min(parts.values())
    assert found.encoding == next(encoding for encoding in (GSM7, LATIN1, UCS2) if parts.get(encoding) == found.parts)


@given(any_text, allowed_sets)
def test_a_refusal_names_the_position_where_the_best_encoding_stopped(text: str, allowed: frozenset[Encoding]) -> None:
    found = planned(text, allowed, UDH8)
    if isinstance(found, UnencodableError):
        assert isinstance(planned(text[: found.position], allowed, UDH8), TextPlan)
        assert isinstance(planned(text[: found.position + 1], allowed, UDH8), UnencodableError)


# The table of the specification: text, encoding, method, parts, units
CAPACITIES = {
    "160 septets fit one part": ("a" * 160, GSM7, UDH8, 1, 160),
    "161 septets take two": ("a" * 161, GSM7, UDH8, 2, 161),
    "306 septets fit two parts of 153": ("a" * 306, GSM7, UDH8, 2, 306),
    "307 septets take three": ("a" * 307, GSM7, UDH8, 3, 307),
    "304 septets fit two parts of 152 with a 16-bit reference": ("a" * 304, GSM7, UDH16, 2, 304),
    "305 septets take three with a 16-bit reference": ("a" * 305, GSM7, UDH16, 3, 305),
    "80 extension characters fit one part": ("€" * 80, GSM7, UDH8, 1, 160),
    "81 extension characters take two": ("€" * 81, GSM7, UDH8, 2, 162),
    "153 extension characters take three, since a part holds 76": ("€" * 153, GSM7, UDH8, 3, 306),
    "70 characters of UCS-2 fit one part": ("中" * 70, UCS2, UDH8, 1, 70),
    "71 characters of UCS-2 take two": ("中" * 71, UCS2, UDH8, 2, 71),
    "134 characters of UCS-2 fit two parts of 67": ("中" * 134, UCS2, UDH8, 2, 134),
    "135 characters of UCS-2 take three": ("中" * 135, UCS2, UDH8, 3, 135),
    "132 characters of UCS-2 fit two parts of 66 with a 16-bit reference": ("中" * 132, UCS2, UDH16, 2, 132),
    "133 characters of UCS-2 take three with a 16-bit reference": ("中" * 133, UCS2, UDH16, 3, 133),
    "35 emoji fit one part": ("😀" * 35, UCS2, UDH8, 1, 70),
    "67 emoji take three, since a part holds 33": ("😀" * 67, UCS2, UDH8, 3, 134),
    "140 Latin-1 characters fit one part": ("ê" * 140, LATIN1, UDH8, 1, 140),
    "268 Latin-1 characters fit two parts of 134": ("ê" * 268, LATIN1, UDH8, 2, 268),
    "266 Latin-1 characters fit two parts of 133": ("ê" * 266, LATIN1, UDH16, 2, 266),
    "braces are cheaper in Latin-1 when that is allowed": ("{" * 140, LATIN1, UDH8, 1, 140),
    "no text is one empty part": ("", GSM7, UDH8, 1, 0),
}


@pytest.mark.parametrize("name", CAPACITIES)
def test_capacities_are_the_specifications(name: str) -> None:
    text, encoding, method, parts, units = CAPACITIES[name]
    found = plan(text, ALL if encoding is LATIN1 else {GSM7, UCS2}, method)
    assert (found.encoding, found.parts, found.units) == (encoding, parts, units)


def test_headers_are_the_specifications_octets() -> None:
    assert plan("a" * 161).payloads(0x1FF)[1] == b"\x05\x00\x03\xff\x02\x02" + b"a" * 8
    assert plan("a" * 161, long_message=UDH16).payloads(0x1FF)[1] == b"\x06\x08\x04\x01\xff\x02\x02" + b"a" * 9


def test_no_payload_is_longer_than_short_message_can_be() -> None:
    for method in LongMessage:
        for text in ("a" * 400, "中" * 200, "€" * 200, "ğ" * 400):
            pieces = plan(text, long_message=method, national=Language).pieces(1)
            assert max(len(piece.short_message) for piece in pieces) <= 160


def test_sar_pieces_are_tied_by_three_tlvs_and_have_no_header() -> None:
    found = plan("a" * 153, long_message=LongMessage.SAR)
    assert found.pieces(5) == [(b"a" * 153, {})]
    found = plan("a" * 305, long_message=LongMessage.SAR)
    assert (found.esm_class, found.parts, found.submissions) == (0, 3, 3)
    assert found.pieces(0x10203)[1] == (b"a" * 152, {0x020C: b"\2\3", 0x020E: b"\3", 0x020F: b"\2"})


def test_message_payload_is_one_submit_sm_whose_parts_are_still_counted() -> None:
    found = plan("a" * 307, long_message=LongMessage.PAYLOAD)
    assert (found.esm_class, found.parts, found.submissions) == (0, 3, 1)
    assert found.pieces(7) == [(b"", {0x0424: b"a" * 307})]
    assert plan("a" * 160, long_message=LongMessage.PAYLOAD).pieces(7) == [(b"a" * 160, {})]


@pytest.mark.parametrize("method", [LongMessage.SAR, LongMessage.PAYLOAD])
def test_parts_that_need_tlvs_are_never_given_without_them(method: LongMessage) -> None:
    with pytest.raises(ValueError, match="pieces"):
        plan("a" * 161, long_message=method).payloads(1)
    assert plan("a" * 160, long_message=method).payloads(1) == [b"a" * 160]


SAR = {0x020C: b"\1\2", 0x020E: b"\3", 0x020F: b"\2"}


@pytest.mark.parametrize(
    ("tlvs", "concatenation"),
    [
        (SAR, Concatenation(258, 3, 2)),
        ({**SAR, 0x020F: b"\4"}, None),
        ({**SAR, 0x020F: b"\0"}, None),
        ({**SAR, 0x020C: b"\1"}, None),
        ({**SAR, 0x020E: b"\0\3"}, None),
        ({0x020C: b"\1\2", 0x020E: b"\3"}, None),
    ],
)
def test_a_handsets_part_may_be_numbered_by_sar_tlvs(
    tlvs: dict[int, bytes], concatenation: Concatenation | None
) -> None:
    assert read_received(b"hi", 0, has_udh=False, tlvs=tlvs) == ("hi", concatenation)


def test_a_header_goes_before_sar_tlvs() -> None:
    assert read_received(b"\5\0\3\7\2\1hi", 0, has_udh=True, tlvs=SAR).concatenation == Concatenation(7, 2, 1)


def test_data_coding_is_the_carriers_number() -> None:
    numbers = {GSM7: 1, LATIN1: 3, UCS2: 0x18}
    assert plan("a", data_codings=numbers).data_coding == 1
    assert plan("中", data_codings=numbers).data_coding == 0x18
    assert plan("a").data_coding == 0
    assert plan("中").data_coding == 8


def test_latin1_is_not_used_unless_it_is_allowed() -> None:
    assert plan("fenêtre").encoding is UCS2
    assert plan("fenêtre", ALL).encoding is LATIN1


@pytest.mark.parametrize(
    ("text", "allowed", "position"),
    [
        ("ab中", {GSM7}, 2),
        ("ab\ud800c", {GSM7, UCS2}, 2),
        ("\ude00", ALL, 0),
        ("Σê", {GSM7, LATIN1}, 1),
    ],
)
def test_a_text_that_nothing_allowed_can_hold_is_refused_without_quoting_it(
    text: str, allowed: set[Encoding], position: int
) -> None:
    with pytest.raises(UnencodableError) as caught:
        plan(text, allowed)
    assert caught.value.position == position
    assert caught.value.__context__ is None  # UnicodeEncodeError would carry the text along
    assert text not in str(caught.value)


def test_more_than_255_parts_are_refused() -> None:
    assert plan("a" * 153 * 255).parts == 255
    with pytest.raises(TooManyPartsError) as caught:
        plan("a" * (153 * 255 + 1))
    assert caught.value.parts == 256


def test_a_plans_repr_shows_no_text() -> None:
    assert "secret" not in repr(plan("the secret code"))


@given(st.binary(max_size=160), st.integers(0, 255), st.booleans())
def test_whatever_a_handset_sends_is_read_without_raising(content: bytes, data_coding: int, has_udh: bool) -> None:
    received = read_received(content, data_coding, has_udh=has_udh)
    assert received.text is None or len(received.text) <= len(content)


@pytest.mark.parametrize(
    ("data_coding", "content", "text"),
    [
        (0, b"STOP \x00", "STOP @"),
        (1, b"STOP", "STOP"),
        (3, b"\xea", "ê"),
        (8, "ê".encode("utf-16-be"), "ê"),
        (8, b"\xd8\x3d", "\ufffd"),
        (4, b"\1\2", None),
        (0x10, b"STOP", "STOP"),
        (0x18, "中".encode("utf-16-be"), "中"),
        (0xF0, b"STOP", "STOP"),
        (0xF4, b"\1", None),
        (6, b"\xb0", None),
    ],
)
def test_a_handsets_text_is_read_by_its_data_coding(data_coding: int, content: bytes, text: str | None) -> None:
    assert read_received(content, data_coding, has_udh=False).text == text


@pytest.mark.parametrize(
    ("payload", "concatenation", "body"),
    [
        (b"\5\0\3\7\2\1hi", Concatenation(7, 2, 1), b"hi"),
        (b"\6\x08\4\1\2\3\3hi", Concatenation(258, 3, 3), b"hi"),
        (b"\x0b\5\4\x0b\x84\x23\xf0\0\3\7\2\2hi", Concatenation(7, 2, 2), b"hi"),
        (b"\5\0\3\7\2\3hi", None, b"hi"),
        (b"\5\0\3\7\2\0hi", None, b"hi"),
        (b"\4\0\3\7\2hi", None, b"hi"),
        (b"\4\0\3\7\2\1", None, b"\1"),  # an element that runs over the header's end
        (b"\x20hi", None, b"\x20hi"),
        (b"\0hi", None, b"hi"),
        (b"", None, b""),
    ],
)
def test_user_data_headers_are_read_and_malformed_ones_ignored(
    payload: bytes, concatenation: Concatenation | None, body: bytes
) -> None:
    assert read_udh(payload) == (concatenation, body)


def test_binary_content_has_no_text() -> None:
    assert decode(b"\1", None) is None
