"""What transliteration changes, and that it changes nothing else."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared.text.encoding import Encoding
from shared.text.gsm0338 import try_encode
from shared.text.plan import plan
from shared.text.transliterate import Change, transliterate

CHANGED = {
    "typographic apostrophes and quotes": ("l’offre “été” «ici»", "l'offre \"été\" \"ici\""),
    "dashes": ("9h–18h — non‑stop", "9h-18h - non-stop"),
    "the ellipsis": ("bientôt…", "bientot..."),
    "accents that the alphabet lacks": ("fenêtre à Noël, château, reçu", "fenetre à Noel, chateau, recu"),
    "capitals with accents": ("À BIENTÔT, ÇA VA", "A BIENTOT, ÇA VA"),
    "spaces that do not break": ("10\u00a0€\u202f!", "10 € !"),
    "ligatures": ("œuvre, Œuvre, ﬁn", "oeuvre, OEuvre, fin"),
    "letters of the north and the east": ("Łódź, đak, naïve, señor, Zoë", "Lódz, dak, naive, señor, Zoe"),
    "combining accents": ("cafe\u0301 fene\u0302tre", "café fenetre"),
    "signs": ("™ © ½ № × ≤", "TM (c) 1/2 No x <="),
    "what cannot be seen": ("\ufeffpromo\u200b\u00ad!", "promo!"),
    "Greek capitals that look as Latin ones": ("ΑΘΗΝΑ ΕΛΛΑΔΑ", "AΘHNA EΛΛAΔA"),
    "bullets": ("• a", "* a"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGED)
def test_common_characters_are_made_to_fit(name: str) -> None:
    text, expected = CHANGED[name]
    expected = expected.replace("Lódz", "Lodz")  # ó is not in the alphabet, ò is
    assert transliterate(text).text == expected
    assert isinstance(try_encode(expected), bytes)


def test_every_change_is_told_with_its_place() -> None:
    assert transliterate("é ê …").changes == (Change(2, "ê", "e"), Change(4, "…", "..."))
    assert transliterate("xe\u0302").changes == (Change(1, "e\u0302", "e"),)


@pytest.mark.parametrize("text", ["", "plain @ £ é ñ €", "Привет", "नमस्ते", "中文", "😀👩\u200d👩\u200d👧", "שָׁלוֹם"])
def test_what_fits_and_what_never_will_stays_as_it_is(text: str) -> None:
    assert transliterate(text) == (text, ())


@given(st.text(max_size=60))
def test_replaying_the_changes_gives_the_result(text: str) -> None:
    result = transliterate(text)
    pieces, at = [], 0
    for position, before, after in result.changes:
        assert text[position : position + len(before)] == before
        assert before != after
        pieces += [text[at:position], after]
        at = position + len(before)
    assert "".join([*pieces, text[at:]]) == result.text


@given(st.text(max_size=60))
def test_once_is_enough(text: str) -> None:
    once = transliterate(text).text
    assert transliterate(once).text == once


@given(st.text(st.characters(max_codepoint=0x17F, exclude_categories=["Cc"]), max_size=60))
def test_latin_text_never_gets_dearer_to_send_by_plan(text: str) -> None:
    assert plan(text, transliterate=True).parts <= plan(text).parts


@given(st.characters(min_codepoint=0xC0, max_codepoint=0x17F))
def test_every_accented_latin_letter_fits_afterwards(letter: str) -> None:
    if len(unicodedata.normalize("NFD", letter)) > 1:
        assert isinstance(try_encode(transliterate(letter).text), bytes)


def test_a_plan_transliterates_only_where_asked_and_where_it_saves_a_part() -> None:
    long = "ê" + "a" * 100
    assert plan(long).encoding is Encoding.UCS2
    found = plan(long, transliterate=True)
    assert (found.encoding, found.parts, found.transliterated) == (Encoding.GSM7, 1, True)
    short = plan("ê", transliterate=True)
    assert (short.encoding, short.transliterated) == (Encoding.UCS2, False)
    emoji = plan("ê😀" + "a" * 100, transliterate=True)
    assert (emoji.encoding, emoji.transliterated) == (Encoding.UCS2, False)


def test_a_text_that_fits_in_no_other_way_is_transliterated() -> None:
    assert plan("ê", {Encoding.GSM7}, transliterate=True).octets == b"e"
