"""The national tables are the specification's, and texts in them arrive whole."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared.text import gsm0338
from shared.text.alphabet import ESCAPE, NONE
from shared.text.encoding import Encoding
from shared.text.errors import TextError, UnencodableError
from shared.text.national import DEFAULT, Language, Shift, decode, encoder_of, shifts, tables
from shared.text.plan import TextPlan, plan
from shared.text.received import read_received
from shared.text.udh import LongMessage, read_headers

GSM7, UCS2 = Encoding.GSM7, Encoding.UCS2
WITH_LOCKING = [language for language in Language if language is not Language.SPANISH]
INDIC = [language for language in Language if Language.BENGALI <= language <= Language.TELUGU]
EVERY_SHIFT = [shift for language in Language for shift in shifts(language)]


@cache
def characters_of(shift: Shift) -> str:
    basic = tables(Language(shift.locking)).basic if shift.locking else gsm0338.BASIC
    extension = tables(Language(shift.single)).extension if shift.single else gsm0338.EXTENSION
    assert basic is not None
    return "".join(dict.fromkeys(c for c in basic + "".join(extension.values()) if c not in (NONE, "\x1b")))


@pytest.mark.parametrize("language", WITH_LOCKING)
def test_a_locking_table_has_128_places_and_the_escape_in_its_own(language: Language) -> None:
    basic = tables(language).basic
    assert basic is not None
    assert len(basic) == 128
    assert basic[ESCAPE] == "\x1b"
    assert (basic[0x0A], basic[0x0D], basic[0x20]) == ("\n", "\r", " ")
    assert basic[0x30:0x3A] == "0123456789"
    assert basic[0x61:0x7B] == "abcdefghijklmnopqrstuvwxyz"
    held = basic.replace(NONE, "")
    assert len(set(held)) == len(held)


def test_spanish_has_no_locking_table() -> None:
    assert tables(Language.SPANISH).basic is None
    assert shifts(Language.SPANISH) == (Shift(single=2),)


@pytest.mark.parametrize("language", list(Language))
def test_a_single_shift_table_keeps_the_places_of_control_and_escape_free(language: Language) -> None:
    extension = tables(language).extension
    assert ESCAPE not in extension
    assert 0x0D not in extension
    assert extension[0x0A] == "\f"
    assert [extension[at] for at in (0x28, 0x29, 0x2F, 0x3C, 0x3D, 0x3E, 0x40, 0x65)] == list("{}\\[~]|€")
    assert max(extension) <= 0x7F


@pytest.mark.parametrize("language", [*INDIC, Language.URDU])
def test_the_single_shift_tables_of_ten_languages_have_the_capital_letters(language: Language) -> None:
    extension = tables(language).extension
    assert "".join(extension[at] for at in range(0x41, 0x5B)) == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    assert "".join(extension[at] for at in range(0x0A)) == "@£$¥¿\"¤%&'"


@pytest.mark.parametrize("language", INDIC)
def test_letters_stand_where_their_relatives_stand_in_the_other_indic_scripts(language: Language) -> None:
    """Unicode's blocks for these scripts are parallel, 128 code points apart, and so are the tables up to 0x5F."""
    basic, hindi = tables(language).basic, tables(Language.HINDI).basic
    assert basic is not None
    assert hindi is not None
    block = (ord(basic[0x13]) & ~0x7F) - 0x0900
    for at in range(0x60):
        if ord(hindi[at]) >= 0x0900 and basic[at] != NONE:
            assert ord(basic[at]) == ord(hindi[at]) + block, hex(at)


# Places of each table, from the specification's annexes A.2 and A.3
LANDMARKS = {
    (Language.TURKISH, "locking"): {0x04: "€", 0x07: "ı", 0x0B: "Ğ", 0x1C: "Ş", 0x40: "İ", 0x60: "ç"},
    (Language.TURKISH, "single"): {0x47: "Ğ", 0x49: "İ", 0x53: "Ş", 0x63: "ç", 0x67: "ğ", 0x69: "ı", 0x73: "ş"},
    (Language.SPANISH, "single"): {0x09: "ç", 0x41: "Á", 0x49: "Í", 0x4F: "Ó", 0x55: "Ú", 0x61: "á", 0x75: "ú"},
    (Language.PORTUGUESE, "locking"): {0x04: "ê", 0x12: "ª", 0x15: "∞", 0x18: "€", 0x24: "º", 0x7D: "`"},
    (Language.PORTUGUESE, "single"): {0x05: "ê", 0x0B: "Ô", 0x12: "Φ", 0x1F: "Ê", 0x5B: "Ã", 0x7F: "â"},
    (Language.BENGALI, "locking"): {0x00: "\u0981", 0x46: "\u09b2", 0x60: "\u09ce", 0x7F: "\u09f1"},
    (Language.BENGALI, "single"): {0x19: "\u09e6", 0x24: "\u09df", 0x2B: "\u09f2", 0x34: "\u09fa"},
    (Language.GUJARATI, "locking"): {0x0C: "\u0a8d", 0x57: "\u0ac5", 0x60: "\u0ad0", 0x7F: "\u0af1"},
    (Language.GUJARATI, "single"): {0x19: "\u0964", 0x1C: "\u0ae6", 0x25: "\u0aef"},
    (Language.HINDI, "locking"): {0x00: "\u0901", 0x3C: "\u0929", 0x7B: "\u0972", 0x7F: "\u097f"},
    (Language.HINDI, "single"): {0x19: "\u0964", 0x26: "\u0951", 0x2E: "\u095a", 0x3A: "\u0971"},
    # 0x24 is printed as 0CAA, which 0x3D has already; every neighbour and every other script says 0CA1
    (Language.KANNADA, "locking"): {0x24: "\u0ca1", 0x3D: "\u0caa", 0x60: "\u0cd5", 0x7F: "\u0ce3"},
    (Language.KANNADA, "single"): {0x26: "\u0cde", 0x27: "\u0cf1", 0x2A: "\u0cf2"},
    (Language.MALAYALAM, "locking"): {0x01: "\u0d02", 0x60: "\u0d57", 0x7F: "\u0d79"},
    (Language.MALAYALAM, "single"): {0x26: "\u0d70", 0x2E: "\u0d7a", 0x34: "\u0d7f"},
    (Language.ORIYA, "locking"): {0x00: "\u0b01", 0x60: "\u0b56", 0x7B: "\u0b57", 0x7F: "\u0b63"},
    (Language.ORIYA, "single"): {0x26: "\u0b5c", 0x27: "\u0b5d", 0x2A: "\u0b5f", 0x2C: "\u0b71"},
    (Language.PUNJABI, "locking"): {0x00: "\u0a01", 0x60: "\u0a51", 0x7B: "\u0a70", 0x7F: "\u0a74"},
    (Language.PUNJABI, "single"): {0x26: "\u0a59", 0x2A: "\u0a5b", 0x2C: "\u0a5e", 0x2D: "\u0a75"},
    (Language.TAMIL, "locking"): {0x15: "\u0b95", 0x3C: "\u0ba9", 0x60: "\u0bd0", 0x7F: "\u0bf9"},
    (Language.TAMIL, "single"): {0x26: "\u0bf3", 0x2A: "\u0bf5", 0x2E: "\u0bfa"},
    (Language.TELUGU, "locking"): {0x00: "\u0c01", 0x60: "\u0c55", 0x7B: "\u0c56", 0x7F: "\u0c63"},
    (Language.TELUGU, "single"): {0x1C: "\u0c66", 0x26: "\u0c58", 0x2A: "\u0c78", 0x32: "\u0c7f"},
    (Language.URDU, "locking"): {0x00: "\u0627", 0x15: "\u0685", 0x2B: "\u0632", 0x47: "\u06a9", 0x7F: "\u0670"},
    (Language.URDU, "single"): {0x19: "\u0600", 0x26: "\u060c", 0x2E: "\u0612", 0x3B: "\u06cd", 0x3F: "\u06d4"},
}


@pytest.mark.parametrize("which", LANDMARKS, ids=lambda which: f"{which[0].name.lower()}-{which[1]}")
def test_landmarks_stand_where_the_specification_has_them(which: tuple[Language, str]) -> None:
    language, kind = which
    table = tables(language)
    for at, character in LANDMARKS[which].items():
        found = table.extension.get(at) if kind == "single" else (table.basic or "")[at]
        assert found == character, hex(at)


@given(st.sampled_from(EVERY_SHIFT), st.data())
def test_every_text_of_an_alphabet_reads_back(shift: Shift, data: st.DataObject) -> None:
    text = data.draw(st.text(st.sampled_from(characters_of(shift)), max_size=60))
    septets = encoder_of(shift)(text)
    assert isinstance(septets, bytes)
    assert septets.isascii()
    assert decode(septets, shift) == text


@pytest.mark.parametrize("shift", EVERY_SHIFT, ids=str)
def test_every_character_of_an_alphabet_costs_what_its_table_says(shift: Shift) -> None:
    basic = tables(Language(shift.locking)).basic if shift.locking else gsm0338.BASIC
    assert basic is not None
    for character in characters_of(shift):
        septets = encoder_of(shift)(character)
        assert isinstance(septets, bytes)
        assert decode(septets, shift) == character
        assert len(septets) == (1 if character in basic else 2)


@given(st.binary(max_size=200), st.integers(0, 255), st.integers(0, 255))
def test_any_octets_under_any_tables_decode_to_something(octets: bytes, single: int, locking: int) -> None:
    assert isinstance(decode(octets, Shift(single, locking)), str)


def test_unknown_tables_are_read_as_the_default_ones() -> None:
    assert decode(b"@\x00\x1be", Shift(99, 99)) == "¡@€"
    assert decode(b"@\x00", Shift(0, Language.SPANISH)) == "¡@"


def test_a_place_that_holds_nothing_reads_as_a_replacement_character() -> None:
    assert decode(b"\x0c", Shift(locking=Language.BENGALI)) == "\ufffd"


@pytest.mark.parametrize("shift", [Shift(locking=Language.SPANISH), Shift(single=14)])
def test_nothing_is_written_with_tables_that_do_not_exist(shift: Shift) -> None:
    with pytest.raises(ValueError, match=r"."):
        encoder_of(shift)


# text, languages, method: parts, shift
CAPACITIES = {
    "155 septets with one table fit one part": ("ğ" * 155, {1}, LongMessage.UDH8, 1, Shift(locking=1)),
    "156 take two": ("ğ" * 156, {1}, LongMessage.UDH8, 2, Shift(locking=1)),
    "298 fit two parts of 149": ("ğ" * 298, {1}, LongMessage.UDH8, 2, Shift(locking=1)),
    "299 take three": ("ğ" * 299, {1}, LongMessage.UDH8, 3, Shift(locking=1)),
    "296 fit two parts of 148 with a 16-bit reference": ("ğ" * 296, {1}, LongMessage.UDH16, 2, Shift(locking=1)),
    "297 take three with a 16-bit reference": ("ğ" * 297, {1}, LongMessage.UDH16, 3, Shift(locking=1)),
    "152 septets with both tables fit one part": ("\u0966" * 76, {6}, LongMessage.UDH8, 1, Shift(single=6)),
    "both tables, where each has something": (
        "\u0915" * 140 + "\u0966" * 6, {6}, LongMessage.UDH8, 1, Shift(6, 6),
    ),
    "153 septets with both tables take two": ("\u0915" * 141 + "\u0966" * 6, {6}, LongMessage.UDH8, 2, Shift(6, 6)),
    "292 septets with both tables fit two parts of 146": (
        "\u0915" * 280 + "\u0966" * 6, {6}, LongMessage.UDH8, 2, Shift(6, 6),
    ),
    "293 septets with both tables take three": (
        "\u0915" * 281 + "\u0966" * 6, {6}, LongMessage.UDH8, 3, Shift(6, 6),
    ),
    "a few accents are cheaper by single shift": ("á" * 5 + "a" * 145, {2}, LongMessage.UDH8, 1, Shift(single=2)),
}  # fmt: skip


@pytest.mark.parametrize("name", CAPACITIES)
def test_capacities_are_the_specifications(name: str) -> None:
    text, languages, method, parts, shift = CAPACITIES[name]
    found = plan(text, long_message=method, national={Language(number) for number in languages})
    assert (found.encoding, found.parts, found.shift) == (GSM7, parts, shift)
    assert found.esm_class == 0x40


def test_headers_name_the_tables() -> None:
    assert plan("ğ" * 100, national={Language.TURKISH}).payloads(1) == [b"\x03\x25\x01\x01" + b"\x0c" * 100]
    long = plan("á" * 50 + "a" * 200, national={Language.SPANISH}).payloads(0x1FF)
    assert long[1].startswith(b"\x08\x00\x03\xff\x03\x02\x24\x01\x02") or long[1].startswith(
        b"\x08\x00\x03\xff\x02\x02\x24\x01\x02"
    )
    both = plan("\u0915" * 280 + "\u0966" * 6, long_message=LongMessage.UDH16, national={Language.HINDI}).payloads(
        0x1FF
    )
    assert both[0].startswith(b"\x0c\x08\x04\x01\xff\x03\x01\x24\x01\x06\x25\x01\x06")
    assert read_headers(both[0]).shift == Shift(6, 6)


def test_of_a_repeated_element_the_last_one_counts() -> None:
    assert read_headers(b"\x06\x24\x01\x02\x24\x01\x03hi").shift == Shift(single=3)


def test_national_tables_are_used_only_where_they_are_allowed() -> None:
    assert plan("ğ" * 100).encoding is UCS2
    assert plan("ğ" * 100, national={Language.SPANISH}).encoding is UCS2
    assert plan("ğ" * 100, {UCS2}, national={Language.TURKISH}).encoding is UCS2


def test_national_tables_are_used_only_where_they_are_cheaper_than_ucs2() -> None:
    assert plan("ğ" * 70, national=Language).encoding is UCS2
    assert plan("ğ" * 71, national=Language).shift == Shift(locking=Language.TURKISH)
    assert plan("a" * 160, national=Language).shift == DEFAULT


def test_where_nothing_else_is_allowed_a_national_table_carries_the_text() -> None:
    assert plan("ğ", {GSM7}, national=Language).shift == Shift(locking=Language.TURKISH)
    with pytest.raises(UnencodableError) as caught:
        plan("ağ中", {GSM7}, national=Language)
    assert caught.value.position == 2


@pytest.mark.parametrize("method", [LongMessage.SAR, LongMessage.PAYLOAD])
def test_where_the_smsc_ties_the_parts_a_national_table_stays_within_one(method: LongMessage) -> None:
    assert plan("ğ" * 155, long_message=method, national=Language).payloads(1)[0].startswith(b"\x03\x25\x01\x01")
    assert plan("ğ" * 156, long_message=method, national=Language).encoding is UCS2


def a_text_of(shift: Shift) -> st.SearchStrategy[str]:
    some = st.text(st.sampled_from(characters_of(shift)), min_size=1, max_size=40)
    return st.builds(lambda first, again, times: first + again * times, some, some, st.integers(0, 20))


@pytest.mark.parametrize("ahead", [0, 1])
@pytest.mark.parametrize("shift", EVERY_SHIFT, ids=str)
def test_an_escape_pair_is_never_cut_in_two(shift: Shift, ahead: int) -> None:
    extended = next(c for c in reversed(characters_of(shift)) if len(encoder_of(shift)(c)) == 2)  # type: ignore[arg-type]
    text = "a" * ahead + extended * 200
    languages = {Language(number) for number in shift if number}
    for method in (LongMessage.UDH8, LongMessage.UDH16):
        found = plan(text, {GSM7}, method, national=languages)
        payloads = found.payloads(1)
        if found.shift.single:
            assert all(payload[-2] == ESCAPE for payload in payloads)
        assert "".join(read_received(payload, 0, has_udh=True).text or "" for payload in payloads) == text


texts = st.one_of([a_text_of(shift) for shift in EVERY_SHIFT])
methods = st.sampled_from([LongMessage.UDH8, LongMessage.UDH16])


def planned(text: str, languages: frozenset[Language], method: LongMessage) -> TextPlan | TextError:
    try:
        return plan(text, {GSM7}, method, national=languages)
    except TextError as error:
        return error


@given(texts, st.frozensets(st.sampled_from(list(Language)), min_size=1) | st.just(frozenset(Language)), methods)
def test_parts_never_break_an_escape_and_put_together_are_the_text(
    text: str, languages: frozenset[Language], method: LongMessage
) -> None:
    found = planned(text, languages, method)
    if isinstance(found, TextError):
        return
    read = [
        read_received(payload, found.data_coding, has_udh=bool(found.esm_class & 0x40)) for payload in found.payloads(3)
    ]
    assert "".join(part.text or "" for part in read) == text
    if found.shift != DEFAULT:
        assert {found.shift.single, found.shift.locking} <= {0, *languages}
    sizes = [end - start for start, end in zip((0, *found.cuts), found.cuts, strict=False)]
    assert all(0 < size <= found.room for size in sizes)
    assert all(size >= found.room - 1 for size in sizes[:-1])
    on_air = [len(payload) - size for payload, size in zip(found.payloads(3), sizes, strict=True)]
    assert all(-(-header * 8 // 7) + size <= 160 for header, size in zip(on_air, sizes, strict=True))


@given(texts, methods)
def test_no_other_choice_of_tables_takes_fewer_parts(text: str, method: LongMessage) -> None:
    found = plan(text, long_message=method, national=Language)
    own = {Language(number) for number in found.shift if number}
    assert plan(text, long_message=method, national=own) == found
    assert found.parts == min(plan(text, long_message=method, national={language}).parts for language in Language)
    assert found.parts <= plan(text, long_message=method).parts
