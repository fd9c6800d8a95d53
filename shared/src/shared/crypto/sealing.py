"""AES-GCM envelopes for numbers and texts (promise 5).

An envelope is: version 1 (1 byte), key id (4 bytes, big-endian), nonce (12 bytes), ciphertext and tag. The associated
data is tenant, kind and key id, so that an envelope moved to another tenant or field does not open.
"""

import os
import struct
from enum import StrEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = 1
_HEAD = struct.Struct(">BI")
_NONCE = 12


class Kind(StrEnum):
    NUMBER = "number"
    TEXT = "text"


class CannotOpenError(ValueError):
    """The envelope is damaged, belongs to someone else, or its key is gone. Says which, never what it held."""


class Key:
    """One key of the vault: a tenant's, for one kind and one day."""

    __slots__ = ("_aead", "_head", "_seal", "key_id", "kind", "tenant")

    def __init__(self, tenant: str, kind: Kind, key_id: int, secret: bytes) -> None:
        self.tenant, self.kind, self.key_id = tenant, kind, key_id
        self._aead = AESGCM(secret)
        self._head = _HEAD.pack(VERSION, key_id)
        self._seal = f"{tenant}\x1f{kind}\x1f{key_id}".encode()

    def seal(self, plain: str) -> bytes:
        nonce = os.urandom(_NONCE)
        return self._head + nonce + self._aead.encrypt(nonce, plain.encode(), self._seal)

    def open(self, envelope: bytes) -> str:
        try:
            return self._aead.decrypt(envelope[5:17], envelope[17:], self._seal).decode()
        except (InvalidTag, ValueError) as error:
            raise CannotOpenError(
                f"envelope of key {self.key_id} does not open as {self.kind} of this tenant"
            ) from error


def key_id_of(envelope: bytes) -> int:
    """Which key of the vault opens this envelope."""
    if len(envelope) < 5 + _NONCE + 16 or envelope[0] != VERSION:
        raise CannotOpenError("not an envelope of version 1")
    return int.from_bytes(envelope[1:5], "big")
