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
        ("Cancel my order", "stop?"),
        ("End of the road", "stop?"),
        ("quit smoking", "stop?"),
        ("don't stop", "stop?"),
        ("stopping by", None),
        ("Sotp", "stop?"),
        ("stp", "stop?"),
        ("arette", None),
        ("Arret!", "stop"),
        ("please remove me", "stop?"),
        ("Je veux me désabonner", "stop?"),
        ("plus de SMS merci", "stop?"),
        ("shop", "stop?"),
        ("Merci beaucoup", None),
        ("See you tomorrow", None),
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
    assert keyword_of(text) in ("stop", "start", "help", "stop?", None)


@given(st.text(max_size=50))
def test_a_stop_stays_one_whatever_follows(text: str) -> None:
    assert keyword_of(f"STOP {text}") == "stop"
