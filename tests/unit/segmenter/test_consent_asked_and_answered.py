"""Answers to handsets as data, double opt-in's words, codes of preference pages."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from segmenter.domain.answers import ANSWERS, answer_to, first_rules
from segmenter.domain.double_opt_in import asking_text, code_hash, new_code
from segmenter.domain.page_codes import LENGTH, NOBODYS, PageCodes, with_own_page
from shared.text.plan import plan

CODES = PageCodes(b"m" * 32)
ids = st.binary(min_size=16, max_size=16).map(bytes.hex)


@pytest.mark.parametrize(
    ("keyword", "country", "locale", "begins"),
    [
        ("stop", "US", None, "You are unsubscribed"), ("stop", "CA", "fr-CA", "Vous êtes désinscrit"), ("help", "CA", "de", "Reply STOP"),
        ("stop", "FR", "fr", None), ("help", "DE", None, None), ("start", "US", "en", "You are subscribed"),
    ],
)  # fmt: skip
def test_47_cfr_64_1200_a_12_a_stop_is_confirmed_where_the_countrys_rules_ask_for_it(
    keyword: str, country: str, locale: str | None, begins: str | None
) -> None:
    text = answer_to(first_rules(), keyword, country, locale)  # type: ignore[arg-type]
    assert (text is None) == (begins is None)
    assert begins is None or (text or "").startswith(begins)


def test_each_rule_has_its_source_and_date_and_each_answer_is_cheap() -> None:
    for country in first_rules().countries.values():
        assert country.source
        assert country.date
    for texts in first_rules().texts.values():
        assert all(plan(text).parts <= 2 for text in texts.values())


def test_a_rule_without_a_source_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="source"):
        ANSWERS.decode(b'{"version":"1","countries":{"US":{"date":"2026-01-01"}},"texts":{}}')


def test_the_question_is_in_the_persons_language_or_in_the_callers_words() -> None:
    assert asking_text("keyword", "fr-FR", None, None).startswith("Confirmez")
    assert asking_text("code", "xx", None, "123456").endswith("123456")
    assert asking_text("code", "fr", "Code: {code}.", "123456") == "Code: 123456."


def test_a_code_is_six_digits_and_its_hash_is_tied_to_its_request() -> None:
    code = new_code()
    assert len(code) == 6
    assert code.isdecimal()
    assert code_hash(b"k" * 32, "a", code) != code_hash(b"k" * 32, "b", code)


@given(ids, ids)
def test_a_pages_code_proves_its_own_person_and_nobody_elses(contact_id: str, other: str) -> None:
    code = CODES.code(contact_id)
    claimed = CODES.read(code)
    assert len(code) == LENGTH
    assert claimed is not None
    assert contact_id.startswith(claimed.begins)
    assert CODES.proves(claimed, contact_id)
    assert other == contact_id or not CODES.proves(claimed, other)
    assert not PageCodes(b"n" * 32).proves(claimed, contact_id)


@given(st.text(max_size=20))
def test_any_text_can_be_read_as_a_code(text: str) -> None:
    CODES.read(text)


def test_a_text_gets_its_persons_page_and_keeps_its_length() -> None:
    text = f"Bye: https://go.example.com/p/{NOBODYS}"
    own = with_own_page(text, CODES.code("0" * 32))
    assert len(own) == len(text)
    assert NOBODYS not in own
