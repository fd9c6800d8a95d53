"""The code of a short link: 16 letters and digits that name the link and the recipient, and prove that we made them.

A code is 95 bits in base 62: a keyed check of 33 bits, then 26 bits of the link's number and 36 of the recipient's,
both hidden by a keystream that the check begins (a synthetic initialisation vector, as in RFC 5297). So nobody can
guess a code (one try in 8.6 thousand million passes), tell from two codes whether they are neighbours, or change one
into another recipient's; and whoever follows codes needs only the links in memory, not the codes.
"""

import uuid
from hashlib import blake2b
from typing import Final, NamedTuple

from shared import base62

CODE_CHARACTERS: Final = 16
LINK_BITS: Final = 26
RECIPIENT_BITS: Final = 36
CHECK_BITS: Final = 33
LARGEST_LINK: Final = (1 << LINK_BITS) - 1
NOBODY: Final = 0  # the recipient of a code that stands for the link alone

_BODY_BITS = LINK_BITS + RECIPIENT_BITS


class Named(NamedTuple):
    """What a code names: the link's number, and the recipient's, which is NOBODY for the link alone."""

    link: int
    recipient: int


class LinkCodes:
    """Makes and reads codes; `key` is shared by those who write links into texts and those who follow them."""

    def __init__(self, key: bytes) -> None:
        self._check_key = blake2b(b"short links, check", key=key[:64], digest_size=32).digest()
        self._mask_key = blake2b(b"short links, mask", key=key[:64], digest_size=32).digest()

    def code(self, link: int, recipient: int = NOBODY) -> str:
        """ValueError when a number does not fit its bits."""
        if not 0 < link <= LARGEST_LINK or not 0 <= recipient < 1 << RECIPIENT_BITS:
            raise ValueError("a link's number has 26 bits and is not zero; a recipient's has 36")
        body = link << RECIPIENT_BITS | recipient
        check = self._check(body)
        value = check << _BODY_BITS | body ^ self._mask(check)
        return base62.written(value, CODE_CHARACTERS)

    def read(self, code: str) -> Named | None:
        """What the code names; None for one that we did not make."""
        value = base62.read(code, CODE_CHARACTERS)
        if value is None:
            return None
        check = value >> _BODY_BITS
        if check >> CHECK_BITS:
            return None
        body = (value & (1 << _BODY_BITS) - 1) ^ self._mask(check)
        if self._check(body) != check or not body >> RECIPIENT_BITS:
            return None
        return Named(body >> RECIPIENT_BITS, body & (1 << RECIPIENT_BITS) - 1)

    def _check(self, body: int) -> int:
        digest = blake2b(body.to_bytes(8, "big"), key=self._check_key, digest_size=5).digest()
        return int.from_bytes(digest, "big") >> 40 - CHECK_BITS

    def _mask(self, check: int) -> int:
        digest = blake2b(check.to_bytes(5, "big"), key=self._mask_key, digest_size=8).digest()
        return int.from_bytes(digest, "big") >> 64 - _BODY_BITS


def recipient_of(message_id: str) -> int:
    """The recipient's number in the codes of a message's links: 36 bits of the message id's own keyed hash.

    Derived, so that nobody needs to remember who got which number; never NOBODY. Two of ten million messages of one
    tenant share a number with a chance of 1.5 in ten thousand for a given click: whoever resolves it must see one only.
    """
    return (uuid.UUID(message_id).int >> 22) & (1 << RECIPIENT_BITS) - 1 or 1
