"""Which word of a handset's message changes consent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smpp_connector.domain.keywords import keyword_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("STOP", "stop"),
        ("stop please", "stop"),
        ("  Stop!!", "stop"),
        ("ＳＴＯＰ", "stop"),
        ("Arrêt", "stop"),
        ("ARRÊT.", "stop"),
        ("STOPP", "stop"),
        ("opt-out", "stop"),
        ("OPT OUT", "stop"),
        ("Unsubscribe me", "stop"),
        ("sair", "stop"),
        ("Quit", "stop"),
        ("END", "stop"),
        ("cancel", "stop"),
        ("Cancel my order", None),
        ("End of the road", None),
        ("quit smoking", None),
        ("don't stop", None),
        ("stopping by", None),
        ("START", "start"),
        ("Unstop", "start"),
        ("YES", "start"),
        ("Yes, I will come", None),
        ("HELP", "help"),
        ("Aide moi", "help"),
        ("info", "help"),
        ("", None),
        ("?!", None),
        ("👍", None),
    ],
)
def test_the_table(text: str, expected: str | None) -> None:
    assert keyword_of(text) == expected


@given(st.text())
def test_any_text_has_an_answer(text: str) -> None:
    assert keyword_of(text) in ("stop", "start", "help", None)


@given(st.text(max_size=50))
def test_a_stop_stays_one_whatever_follows(text: str) -> None:
    assert keyword_of(f"STOP {text}") == "stop"
