"""The default alphabet and its extension table, character by character."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared.text import gsm0338
from shared.text.gsm0338 import BASIC, EXTENSION, decode, try_encode
from smpplib.gsm import gsm_encode

ALPHABET = BASIC.replace("\x1b", "") + "".join(EXTENSION.values())
gsm_text = st.text(st.sampled_from(ALPHABET), max_size=400)
others = st.characters().filter(lambda character: character not in ALPHABET)


def by_the_table(text: str) -> bytes:
    """The encoder as one would write it from the table."""
    septets = bytearray()
    pairs = {character: septet for septet, character in EXTENSION.items()}
    for character in text:
        if character in pairs:
            septets += bytes([0x1B, pairs[character]])
        else:
            septets.append(BASIC.index(character))
    return bytes(septets)


def test_the_alphabet_has_127_characters_and_an_escape_and_ten_more() -> None:
    assert len(BASIC) == 128
    assert BASIC[0x1B] == "\x1b"
    assert len(set(ALPHABET)) == 127 + 10


@pytest.mark.parametrize(
    ("septet", "character"),
    list(zip(b"\x00\x02\x09\x10\x11\x1a\x20\x24\x40\x41\x5b\x5f\x60\x61\x7b\x7f", "@$ÇΔ_Ξ ¤¡AÄ§¿aäà", strict=True)),
)
def test_landmarks_of_the_table_stand_where_the_specification_has_them(septet: int, character: str) -> None:
    assert try_encode(character) == bytes([septet])
    assert decode(bytes([septet])) == character


@given(gsm_text)
def test_encoding_is_the_tables(text: str) -> None:
    assert try_encode(text) == by_the_table(text)


@given(gsm_text)
def test_what_is_encoded_decodes_to_the_same_text(text: str) -> None:
    septets = try_encode(text)
    assert isinstance(septets, bytes)
    assert decode(septets) == text


@given(gsm_text, others, st.text(max_size=50))
def test_the_position_of_the_first_character_outside_is_named(before: str, other: str, after: str) -> None:
    assert try_encode(before + other + after) == len(before)


@pytest.mark.parametrize("character", ["\0", "\x1b", "`", "ç", "ê", "\ufffe", "\ud800", "😀", "\x80", "\x81"])
def test_characters_outside_the_alphabet_are_refused(character: str) -> None:
    assert try_encode("a" + character) == 1


@given(st.binary(max_size=300))
def test_any_octets_decode_to_something(octets: bytes) -> None:
    assert isinstance(decode(octets), str)


@pytest.mark.parametrize(
    ("septets", "text"),
    [
        (b"a\x1b", "a "),  # an escape that nothing follows
        (b"\x1b\x1be", " €"),  # an escape before a pair
        (b"\x1bA", "A"),  # no such pair: the default alphabet's character
        (b"\xe9", "\ufffd"),  # no septet at all
    ],
)
def test_malformed_septets_are_read_as_the_specification_says(septets: bytes, text: str) -> None:
    assert decode(septets) == text


@given(st.text(st.sampled_from(ALPHABET.replace("§", "").replace("\f", "")), max_size=100))
def test_smpplib_encodes_the_same_but_for_section_sign_and_form_feed(text: str) -> None:
    """smpplib has a grave accent in place 0x5F, where 3GPP TS 23.038 (6.2.1) has §, and no form feed (6.2.1.1)."""
    assert gsm_encode(text) == try_encode(text)


def test_the_escape_is_the_second_half_of_no_pair() -> None:
    """Cutting parts relies on it: an escape at a part's end always belongs to the next octet."""
    assert gsm0338.ESCAPE not in EXTENSION


def test_of_two_characters_outside_the_first_is_named_even_when_it_is_a_nul() -> None:
    assert try_encode("a\0b中") == 1
    assert try_encode("a中b\0") == 1
