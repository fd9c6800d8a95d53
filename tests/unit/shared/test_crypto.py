"""Ids, envelopes and tokens: what holds for every input."""

import uuid

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared.crypto.ids import MessageIds, NumberIndex, born_s
from shared.crypto.sealing import CannotOpenError, Key, Kind, key_id_of
from shared.crypto.tokens import Caller, TokenError, Tokens

IDS = MessageIds(b"k" * 32)
TENANT = st.sampled_from(["acme", "other", "x"])


@given(TENANT, st.integers(0, 2**32 - 1), st.text(max_size=30), st.integers(0, 1000))
def test_a_derived_id_is_the_same_every_time_and_tells_its_birth(tenant: str, born: int, key: str, index: int) -> None:
    first = IDS.derive(tenant, born, key, str(index))
    assert first == IDS.derive(tenant, born, key, str(index))
    assert first != IDS.derive(tenant, born, key, str(index + 1))
    assert born_s(first) == born
    assert uuid.UUID(first).version == 8
    assert uuid.UUID(first).variant == uuid.RFC_4122
    assert IDS.is_ours(tenant, first)


@given(TENANT, st.integers(0, 2**32 - 1), st.integers(0, 127))
def test_an_id_with_any_bit_changed_or_of_another_tenant_is_foreign(tenant: str, born: int, bit: int) -> None:
    value = uuid.UUID(IDS.random(tenant, born))
    assert not IDS.is_ours(tenant, str(uuid.UUID(int=value.int ^ (1 << bit))))
    assert not IDS.is_ours(tenant + "2", str(value))


@given(st.text(max_size=50))
def test_text_that_is_no_id_is_foreign_and_never_an_error(text: str) -> None:
    assert not IDS.is_ours("acme", text)


def test_another_key_makes_other_ids_and_hashes() -> None:
    other = MessageIds(b"z" * 32)
    assert not other.is_ours("acme", IDS.random("acme", 1))
    assert NumberIndex(b"a" * 32).number_hash("+33612345678") != NumberIndex(b"b" * 32).number_hash("+33612345678")
    index = NumberIndex(b"a" * 32)
    assert index.contact_id("acme", "+33612345678") != index.contact_id("other", "+33612345678")


def key(tenant: str = "acme", kind: Kind = Kind.TEXT, key_id: int = 7, secret: bytes = b"s" * 32) -> Key:
    return Key(tenant, kind, key_id, secret)


@given(st.text(max_size=300).filter(lambda s: all(not 0xD800 <= ord(c) <= 0xDFFF for c in s)))
def test_an_envelope_opens_for_its_own_tenant_and_kind_only(text: str) -> None:
    sealed = key().seal(text)
    assert key_id_of(sealed) == 7
    assert key().open(sealed) == text
    for other in (key(tenant="other"), key(kind=Kind.NUMBER), key(key_id=8), key(secret=b"t" * 32)):
        with pytest.raises(CannotOpenError):
            other.open(sealed)


@given(st.binary(max_size=80))
def test_any_bytes_are_refused_as_an_envelope_without_another_error(junk: bytes) -> None:
    with pytest.raises(CannotOpenError):
        key().open(junk)
    if len(junk) < 33 or junk[0] != 1:
        with pytest.raises(CannotOpenError):
            key_id_of(junk)


def test_two_envelopes_of_one_text_differ() -> None:
    assert key().seal("same") != key().seal("same")


def test_an_internal_token_says_who_asks_and_expires() -> None:
    import time

    tokens = Tokens("s" * 40)
    now = int(time.time())
    caller = Caller("acme", frozenset({"messages:read"}), "k1")
    assert tokens.verify(tokens.sign(caller, now)) == caller
    assert not caller.may("messages:write")
    assert Caller("acme", frozenset({"*"}), "k").may("anything")
    for bad in (tokens.sign(caller, now - 120), Tokens("t" * 40).sign(caller, now), "junk", ""):
        with pytest.raises(TokenError):
            tokens.verify(bad)
    unsigned = jwt.encode(
        {"sub": "acme", "scp": ["*"], "exp": now + 30, "aud": "relais-internal"}, key="", algorithm="none"
    )
    with pytest.raises(TokenError):
        tokens.verify(unsigned)
