"""Ids that tell themselves: derived, so that a repeat makes the same one, and checked, so that a guess shows.

A message id is a UUID of version 8 (RFC 9562, section 5.8): 32 bits of its second of birth, 68 bits of a keyed hash of
what it was derived from, 22 bits of a keyed check over those and the tenant. The second tells the ledger which day to
look in; the check lets GET answer `accepted` before the ledger has heard of the message.
"""

import secrets
import uuid
from hashlib import blake2b

_CHECK_BITS = 22
_HASH_BITS = 68


class MessageIds:
    """Makes and checks message ids; `key` is shared by the services that make them."""

    def __init__(self, key: bytes) -> None:
        self._key = blake2b(b"message ids", key=key[:64], digest_size=32).digest()

    def derive(self, tenant: str, born_s: int, *source: str) -> str:
        """The id of the message derived from `source`, for instance (Idempotency-Key, index) or (campaign, run, contact)."""
        text = "\x1f".join((tenant, *source)).encode()
        return self._build(
            tenant, born_s, int.from_bytes(blake2b(text, key=self._key, digest_size=9).digest(), "big") >> 4
        )

    def random(self, tenant: str, born_s: int) -> str:
        return self._build(tenant, born_s, secrets.randbits(_HASH_BITS))

    def _build(self, tenant: str, born_s: int, hashed: int) -> str:
        born_s &= 0xFFFFFFFF
        check = self._check(tenant, born_s, hashed)
        value = born_s << 96 | (hashed >> 52) << 80 | 8 << 76 | (hashed >> 40 & 0xFFF) << 64
        value |= 2 << 62 | (hashed & 0xFFFFFFFFFF) << _CHECK_BITS | check
        text = f"{value:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def _check(self, tenant: str, born_s: int, hashed: int) -> int:
        body = f"{tenant}\x1f{born_s}\x1f{hashed}".encode()
        return int.from_bytes(blake2b(body, key=self._key, digest_size=4).digest(), "big") >> (32 - _CHECK_BITS)

    def is_ours(self, tenant: str, message_id: str) -> bool:
        """True when this tenant's message may have this id: one guess in four million passes."""
        try:
            value = uuid.UUID(message_id).int
        except ValueError:
            return False
        if value >> 76 & 0xF != 8 or value >> 62 & 3 != 2:
            return False
        hashed = (value >> 80 & 0xFFFF) << 52 | (value >> 64 & 0xFFF) << 40 | value >> _CHECK_BITS & 0xFFFFFFFFFF
        return value & ((1 << _CHECK_BITS) - 1) == self._check(tenant, value >> 96, hashed)


def born_s(message_id: str) -> int:
    """The second of birth, Unix time, of a message id."""
    return int(message_id[:8], 16)


class NumberIndex:
    """Keyed hashes that stand for a number where the number may not stand."""

    def __init__(self, key: bytes) -> None:
        self._key = blake2b(b"number index", key=key[:64], digest_size=32).digest()

    def number_hash(self, number: str) -> str:
        """For what arrives from a carrier, where no tenant is known yet. 32 hex digits."""
        return blake2b(number.encode(), key=self._key, digest_size=16).hexdigest()

    def contact_id(self, tenant: str, number: str) -> str:
        """Stands for one person's number at one tenant: order and suppression go by it. 32 hex digits."""
        return blake2b(f"{tenant}\x1f{number}".encode(), key=self._key, digest_size=16).hexdigest()
