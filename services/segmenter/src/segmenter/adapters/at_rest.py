"""Numbers at rest: AES-GCM under a key of each tenant's own that lives as long as the contact does.

The vault's keys will not do here: they are deleted after eight days. The key is derived from the master key by HKDF
(RFC 5869); the version byte in front says by which derivation, so that another can follow while old rows still open.
"""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from shared.crypto.sealing import CannotOpenError

VERSION: Final = 1
_NONCE: Final = 12


class AtRest:
    """Seals and opens what a row keeps. `about` ties a value to its row: moved to another row it does not open."""

    def __init__(self, master: bytes) -> None:
        self._master = master
        self._keys: dict[str, AESGCM] = {}

    def seal(self, tenant: str, about: str, plain: str) -> bytes:
        nonce = os.urandom(_NONCE)
        return b"\x01" + nonce + self._key(tenant).encrypt(nonce, plain.encode(), about.encode())

    def open(self, tenant: str, about: str, sealed: bytes) -> str:
        """CannotOpenError when the value is damaged, another row's, or of an unknown version."""
        if len(sealed) < 1 + _NONCE + 16 or sealed[0] != VERSION:
            raise CannotOpenError("not a value sealed at rest by version 1")
        try:
            return self._key(tenant).decrypt(sealed[1:13], sealed[13:], about.encode()).decode()
        except InvalidTag as error:
            raise CannotOpenError("a value sealed at rest does not open as this row's") from error

    def _key(self, tenant: str) -> AESGCM:
        key = self._keys.get(tenant)
        if key is None:
            info = b"relais segmenter at rest v1\x1f" + tenant.encode()
            key = self._keys[tenant] = AESGCM(HKDF(SHA256(), 32, None, info).derive(self._master))
        return key
