import string
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from shared.crypto.ids import MessageIds
from shared.links.codes import LARGEST_LINK, NOBODY, RECIPIENT_BITS, LinkCodes, Named, recipient_of
from shared.links.texts import personal

CODES = LinkCodes(b"k" * 32)
ALPHABET = string.digits + string.ascii_letters
LINKS = st.integers(1, LARGEST_LINK)
RECIPIENTS = st.integers(0, (1 << RECIPIENT_BITS) - 1)


@given(LINKS, RECIPIENTS)
def test_a_code_names_what_it_was_made_of_in_sixteen_characters(link: int, recipient: int) -> None:
    code = CODES.code(link, recipient)
    assert len(code) == 16
    assert set(code) <= set(ALPHABET)
    assert CODES.read(code) == Named(link, recipient)


@given(st.text(alphabet=ALPHABET, min_size=16, max_size=16))
def test_a_guess_is_not_a_code(guess: str) -> None:
    assert CODES.read(guess) is None  # one in 8.6 thousand million is: these examples are not


@given(LINKS, RECIPIENTS, st.integers(0, 15), st.sampled_from(ALPHABET))
def test_a_changed_character_makes_no_other_code(link: int, recipient: int, place: int, character: str) -> None:
    code = CODES.code(link, recipient)
    changed = code[:place] + character + code[place + 1 :]
    assert changed == code or CODES.read(changed) is None


@given(LINKS, RECIPIENTS)
def test_another_installations_code_is_not_ours(link: int, recipient: int) -> None:
    assert LinkCodes(b"x" * 32).read(CODES.code(link, recipient)) is None


@given(st.text(max_size=40))
def test_any_text_can_be_read_as_a_code(text: str) -> None:
    assert CODES.read(text) is None


def test_neighbours_do_not_look_alike() -> None:
    codes = [CODES.code(7, recipient) for recipient in range(200)]
    alike = [sum(a == b for a, b in zip(one, other, strict=True)) for one, other in pairwise(codes)]
    assert max(alike) < 6


@given(st.text(alphabet="ab /l:.é\n", max_size=60), st.text(alphabet="ab /l:.é\n", max_size=60), LINKS)
def test_a_text_gets_the_recipients_link_and_keeps_its_length(before: str, after: str, link: int) -> None:
    message_id = MessageIds(b"m" * 32).random("acme", 1_700_000_000)
    text = f"{before} https://x.fr/l/{CODES.code(link)} {after}"
    found = personal(text, CODES, message_id)
    assert len(found) == len(text)
    assert found.startswith(before)
    assert found.endswith(after)
    assert CODES.read(found[len(before) + 16 :][:16]) == Named(link, recipient_of(message_id))
    assert personal(found, CODES, MessageIds(b"m" * 32).random("acme", 1)) == found  # already somebody's


def test_what_is_no_code_of_ours_stays_in_the_text() -> None:
    message_id = MessageIds(b"m" * 32).random("acme", 1)
    for text in ("see https://x.fr/l/0123456789abcdef now", "a /l/ b", "/l/" + CODES.code(5) + "Z", "plain"):
        assert personal(text, CODES, message_id) == text


def test_messages_have_recipients_of_their_own() -> None:
    ids = MessageIds(b"m" * 32)
    found = {recipient_of(ids.random("acme", 1_700_000_000)) for _ in range(5_000)}
    assert len(found) > 4_995
    assert NOBODY not in found
