import secrets

import pytest
from ingest.domain.api_key import (
    CUSTOMER_SCOPES,
    Standing,
    StoredKey,
    digest_of,
    parse_key,
    scope_faults,
    standing,
    tenant_faults,
)
from shared.crypto.tokens import Caller

SECRET = secrets.token_urlsafe(32)
NOW = 1_000


def stored(**more: int | None) -> StoredKey:
    times = {"expires_at": None, "revoked_at": None, **more}
    return StoredKey(Caller("acme", frozenset({"*"}), "abcd1234"), digest_of(SECRET), **times)


def test_a_key_is_its_id_and_its_secret() -> None:
    assert parse_key(f"rk_abcd1234_{SECRET}") == ("abcd1234", SECRET)


@pytest.mark.parametrize(
    "written", ["", "rk_abcd1234_", f"rk_ABCD1234_{SECRET}", f"rk_abcd1234_{SECRET}x", f"xx_abcd1234_{SECRET}"]
)
def test_what_only_looks_like_a_key_is_none(written: str) -> None:
    assert parse_key(written) is None


def test_a_key_opens_with_its_secret_until_it_is_revoked_or_expires() -> None:
    assert standing(stored(), SECRET, NOW) is Standing.GOOD
    assert standing(stored(expires_at=NOW + 1), SECRET, NOW) is Standing.GOOD
    assert standing(stored(expires_at=NOW), SECRET, NOW) is Standing.EXPIRED
    assert standing(stored(revoked_at=NOW), SECRET, NOW) is Standing.REVOKED


def test_without_the_secret_nothing_is_learnt_about_a_key() -> None:
    wrong = secrets.token_urlsafe(32)
    assert standing(None, wrong, NOW) is Standing.WRONG
    assert standing(stored(revoked_at=NOW), wrong, NOW) is Standing.WRONG
    assert standing(stored(expires_at=NOW), wrong, NOW) is Standing.WRONG


def test_a_key_hands_on_no_more_than_it_may_do() -> None:
    admin = Caller("acme", frozenset({"admin", "messages:read"}), "k")
    assert scope_faults(["messages:read"], admin) == []
    assert [f.code for f in scope_faults(["operate", "*", "nonsense"], admin)] == ["not_yours", "not_yours", "unknown_scope"]  # fmt: skip
    assert [f.code for f in scope_faults([], admin)] == ["empty"]


def test_no_key_gets_the_scope_between_services() -> None:
    assert [f.code for f in scope_faults(["internal"], Caller("acme", frozenset({"*"}), "k"))] == ["unknown_scope"]


def test_a_new_tenants_first_key_does_not_operate() -> None:
    assert "operate" not in CUSTOMER_SCOPES
    assert "*" not in CUSTOMER_SCOPES
    assert "admin" in CUSTOMER_SCOPES


@pytest.mark.parametrize("name", ["", "-a", "A", "a,b", "*", "a b", "x" * 64, "system"])
def test_some_names_are_no_tenants(name: str) -> None:
    assert tenant_faults(name)
    assert not tenant_faults("acme-2")
