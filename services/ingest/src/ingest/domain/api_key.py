"""API keys: how they look, how they are kept, and whether one may be used now.

A key is `rk_`, an id of 8 characters, `_`, and 43 characters of base64url: 256 bits of secret. Only the SHA-256 of the
secret is kept; a secret of full entropy needs no slow hash.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from shared.crypto.tokens import Caller

from ingest.domain.faults import Fault

_KEY = re.compile(r"rk_([a-z0-9]{8})_([A-Za-z0-9_-]{43})")
_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
RESERVED_TENANTS: Final = frozenset({"system"})  # owns the events that no customer owns

SCOPES: Final = {
    "messages:write": "send messages",
    "messages:read": "read messages and their states",
    "events:write": "tell of purchases, sign-ups and other behaviour",
    "contacts:write": "write contacts, consents and suppressions",
    "contacts:read": "read contacts and consents",
    "campaigns:write": "write segments, templates and campaigns, and launch them",
    "campaigns:read": "read segments, templates and campaigns",
    "content:review": "read, release and block messages held by content rules",
    "reports:read": "read reports",
    "operate": "carriers, prices, routes and senders; new tenants",
    "admin": "the tenant's keys, limits and callbacks",
    "*": "everything",
}
CUSTOMER_SCOPES: Final = tuple(scope for scope in SCOPES if scope not in ("operate", "*"))


@dataclass(frozen=True)
class StoredKey:
    """What is kept of a key, and its tenant's limit. Times in ms since 1970."""

    caller: Caller
    secret_sha256: bytes
    expires_at: int | None
    revoked_at: int | None
    tenant_per_s: int | None = None  # messages a second; None: the default of the settings
    key_per_s: int | None = None


class Standing(Enum):
    GOOD = "good"
    WRONG = "the key is not known here, or its secret is wrong"
    REVOKED = "the key was revoked"
    EXPIRED = "the key has expired"


def parse_key(written: str) -> tuple[str, str] | None:
    """(id, secret), or None for what cannot be a key."""
    found = _KEY.fullmatch(written)
    return (found[1], found[2]) if found else None


def digest_of(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


_NOBODY = bytes(32)


def standing(stored: StoredKey | None, secret: str, now_ms: int) -> Standing:
    """Whether this secret opens this key now. Takes the same time for a wrong secret and for an unknown key.

    Whoever lacks the secret learns nothing about the key: revoked and expired are said to its holder only.
    """
    same = compare_digest(digest_of(secret), stored.secret_sha256 if stored is not None else _NOBODY)
    if stored is None or not same:
        return Standing.WRONG
    if stored.revoked_at is not None and stored.revoked_at <= now_ms:
        return Standing.REVOKED
    if stored.expires_at is not None and stored.expires_at <= now_ms:
        return Standing.EXPIRED
    return Standing.GOOD


def scope_faults(asked: Iterable[str], giver: Caller) -> list[Fault]:
    """A key hands on at most what it may do itself."""
    scopes = list(asked)
    if not scopes:
        return [Fault("scopes", "empty", "must name at least one scope")]
    faults = []
    for index, scope in enumerate(scopes):
        if scope not in SCOPES:
            faults.append(Fault(f"scopes[{index}]", "unknown_scope", f"must be one of {', '.join(SCOPES)}"))
        elif not giver.may(scope):
            faults.append(Fault(f"scopes[{index}]", "not_yours", "goes beyond what the asking key may do"))
    return faults


def tenant_faults(tenant_id: str) -> list[Fault]:
    if _TENANT.fullmatch(tenant_id) is None:
        return [Fault("tenant_id", "bad_id", "must be 1 to 63 small letters, digits or `-`, the first no `-`")]
    if tenant_id in RESERVED_TENANTS:
        return [Fault("tenant_id", "reserved", "is reserved")]
    return []
