"""The code in the address of a person's preference page: 14 letters and digits, short enough for a text.

48 bits of the keyed hash that stands for the number, and 35 of a keyed check over the whole of it: nobody can make one,
and it says nothing about the number. The page is found by the first part and proven by the second.
"""

import re
from hashlib import blake2b
from typing import Final, NamedTuple

from shared import base62

LENGTH: Final = 14
_ID_DIGITS: Final = 12  # of the contact_id's 32 hexadecimal ones
_CHECK_BITS: Final = 35
PATH: Final = "/p/"
NOBODYS: Final = "0" * LENGTH  # what a text or template has after the path, in place of each person's own code
_PLACE: Final = re.compile(rf"(?<={PATH}){NOBODYS}(?![0-9A-Za-z])")


def with_own_page(text: str, code: str) -> str:
    """The text with the person's own page in it. Its length is the same."""
    return _PLACE.sub(code, text)


class Claimed(NamedTuple):
    """What a code says; `PageCodes.proves` tells whether it is true of a contact_id that begins so."""

    begins: str
    check: int


class PageCodes:
    def __init__(self, master: bytes) -> None:
        self._key = blake2b(b"preference pages", key=master[:64], digest_size=32).digest()

    def code(self, contact_id: str) -> str:
        value = int(contact_id[:_ID_DIGITS], 16) << _CHECK_BITS | self._check(contact_id)
        return base62.written(value, LENGTH)

    def read(self, code: str) -> Claimed | None:
        """None for what cannot be a code."""
        value = base62.read(code, LENGTH)
        if value is None:
            return None
        begins = value >> _CHECK_BITS
        if begins >> 4 * _ID_DIGITS:
            return None
        return Claimed(f"{begins:0{_ID_DIGITS}x}", value & (1 << _CHECK_BITS) - 1)

    def proves(self, claimed: Claimed, contact_id: str) -> bool:
        return contact_id.startswith(claimed.begins) and self._check(contact_id) == claimed.check

    def _check(self, contact_id: str) -> int:
        digest = blake2b(contact_id.encode(), key=self._key, digest_size=5).digest()
        return int.from_bytes(digest, "big") >> 40 - _CHECK_BITS
