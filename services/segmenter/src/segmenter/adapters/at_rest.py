"""Numbers at rest: AES-GCM under keys of each tenant's own that live as long as the contacts do.

The vault's keys will not do here: they are deleted after eight days. A key is derived from the master key by HKDF
(RFC 5869) for a tenant and a quarter of a year: no key seals for longer, and a daily job seals again what an older one
did. The byte in front says by which derivation, the two after it which quarter, so that old rows open meanwhile.
"""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from shared.clock import Clock, now_ms
from shared.crypto.sealing import CannotOpenError

ONCE: Final = b"\x01"  # one key for ever, as it was first
VERSION: Final = b"\x02"
QUARTER_MS: Final = 91 * 86_400_000
_NONCE: Final = 12
_TAG: Final = 16
_HEAD: Final = 3  # version and quarter


class AtRest:
    """Seals and opens what a row keeps. `about` ties a value to its row: moved to another row it does not open."""

    def __init__(self, master: bytes, clock: Clock = now_ms) -> None:
        self._master, self._clock = master, clock
        self._keys: dict[tuple[str, bytes], AESGCM] = {}

    @property
    def head(self) -> bytes:
        """What a value sealed now begins with: what begins otherwise is under an older key."""
        return VERSION + (self._clock() // QUARTER_MS).to_bytes(2, "big")

    def seal(self, tenant: str, about: str, plain: str) -> bytes:
        nonce, head = os.urandom(_NONCE), self.head
        return head + nonce + self._key(tenant, head).encrypt(nonce, plain.encode(), about.encode())

    def open(self, tenant: str, about: str, sealed: bytes) -> str:
        """CannotOpenError when the value is damaged, another row's, or of an unknown version."""
        length = _HEAD if sealed[:1] == VERSION else 1
        if len(sealed) < length + _NONCE + _TAG or sealed[:1] not in (ONCE, VERSION):
            raise CannotOpenError("not a value sealed at rest by a version that is known")
        head, nonce, body = sealed[:length], sealed[length : length + _NONCE], sealed[length + _NONCE :]
        try:
            return self._key(tenant, head).decrypt(nonce, body, about.encode()).decode()
        except InvalidTag as error:
            raise CannotOpenError("a value sealed at rest does not open as this row's") from error

    def _key(self, tenant: str, head: bytes) -> AESGCM:
        key = self._keys.get((tenant, head))
        if key is None:
            which = b"" if head == ONCE else b"\x1f" + head[1:]
            info = b"relais segmenter at rest v1\x1f" + tenant.encode() + which
            key = self._keys[tenant, head] = AESGCM(HKDF(SHA256(), 32, None, info).derive(self._master))
        return key
