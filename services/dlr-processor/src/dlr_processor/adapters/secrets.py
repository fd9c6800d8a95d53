"""Callback secrets, encrypted where they are kept: AES-GCM with a key derived from the master key."""

import base64
import os
import secrets
from hashlib import blake2b

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PREFIX = "whsec_"
SECRET_BYTES = 32  # Standard Webhooks allows 24 to 64
_NONCE = 12


class SecretBox:
    def __init__(self, master: bytes) -> None:
        self._aead = AESGCM(blake2b(b"callback secrets", key=master[:64], digest_size=32).digest())

    def close(self, tenant: str, secret: str) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._aead.encrypt(nonce, secret.encode(), tenant.encode())

    def open(self, tenant: str, closed: bytes) -> str:
        """ValueError when it was closed for another tenant or with another master key."""
        try:
            return self._aead.decrypt(closed[:_NONCE], closed[_NONCE:], tenant.encode()).decode()
        except InvalidTag as error:
            raise ValueError("a callback secret that this master key does not open") from error


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
