"""How a text will be sent. One function decides it for whoever counts parts and for whoever sends them."""

from collections.abc import Callable, Collection, Mapping
from typing import Final

from msgspec import Struct

from shared.text import gsm0338
from shared.text.encoding import DEFAULT_ALLOWED, OUTGOING, Encoding
from shared.text.errors import TooManyPartsError, UnencodableError
from shared.text.udh import LongMessage, concatenation_headers

MAX_PARTS: Final = 255
_UDHI: Final = 0x40  # esm_class, SMPP 3.4, 5.2.12

ROOM_ALONE: Final = {Encoding.GSM7: 160, Encoding.LATIN1: 140, Encoding.UCS2: 140}
"""Octets of a message that needs no header (a GSM septet is one octet here, and packed on the air)."""

ROOM_IN_PART: Final = {
    # A header takes 6 or 7 octets of the 140 on the air: 48 bits and 1 of fill are 7 septets, 56 bits are 8.
    (Encoding.GSM7, LongMessage.UDH8): 153,
    (Encoding.GSM7, LongMessage.UDH16): 152,
    (Encoding.LATIN1, LongMessage.UDH8): 134,
    (Encoding.LATIN1, LongMessage.UDH16): 133,
    (Encoding.UCS2, LongMessage.UDH8): 134,
    (Encoding.UCS2, LongMessage.UDH16): 132,  # 133 would hold half a character
}
"""Octets of one part of a longer one."""


class TextPlan(Struct, frozen=True, gc=False):
    """`units` counts septets in GSM7, UTF-16 units in UCS2, octets in LATIN1. `cuts` are where each part ends in
    `octets`, the whole text encoded. The repr shows no text."""

    encoding: Encoding
    data_coding: int
    parts: int
    units: int
    long_message: LongMessage
    octets: bytes
    cuts: tuple[int, ...]

    @property
    def esm_class(self) -> int:
        """0x40 where the payloads start with a UDH, else 0."""
        return _UDHI if self.parts > 1 else 0

    def payloads(self, reference: int) -> list[bytes]:
        """The short_message of each part, UDH included. `reference` ties the parts together; one part ignores it."""
        if self.parts == 1:
            return [self.octets]
        payloads, start = [], 0
        for header, end in zip(concatenation_headers(self.long_message, reference, self.parts), self.cuts, strict=True):
            payloads.append(header + self.octets[start:end])
            start = end
        return payloads

    def __repr__(self) -> str:
        return f"<TextPlan {self.encoding} parts={self.parts} units={self.units}>"


def plan(
    text: str,
    allowed: Collection[Encoding] = DEFAULT_ALLOWED,
    long_message: LongMessage = LongMessage.UDH8,
    data_codings: Mapping[Encoding, int] = OUTGOING,
) -> TextPlan:
    """The cheapest way to send `text`: fewest parts, and among equals GSM7 before LATIN1 before UCS2.

    Raises UnencodableError when no allowed encoding has all its characters (a lone surrogate is in none), and
    TooManyPartsError above 255 parts.
    """
    best: TextPlan | None = None
    furthest = 0
    for encoding in _CHEAPEST_FIRST:
        if encoding not in allowed:
            continue
        octets = _ENCODERS[encoding](text)
        if isinstance(octets, int):
            furthest = max(furthest, octets)
            continue
        cuts = _cut(octets, encoding, long_message)
        if best is None or len(cuts) < best.parts:
            units = len(octets) // 2 if encoding is Encoding.UCS2 else len(octets)
            best = TextPlan(encoding, data_codings[encoding], len(cuts), units, long_message, octets, cuts)
            if best.parts == 1:
                break
    if best is None:
        raise UnencodableError(furthest)
    if best.parts > MAX_PARTS:
        raise TooManyPartsError(best.parts)
    return best


def _try_latin1(text: str) -> bytes | int:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        return error.start


def _try_ucs2(text: str) -> bytes | int:
    try:
        return text.encode("utf-16-be")
    except UnicodeEncodeError as error:  # a lone surrogate
        return error.start


_CHEAPEST_FIRST: Final = (Encoding.GSM7, Encoding.LATIN1, Encoding.UCS2)
_ENCODERS: Final[dict[Encoding, Callable[[str], bytes | int]]] = {
    Encoding.GSM7: gsm0338.try_encode,
    Encoding.LATIN1: _try_latin1,
    Encoding.UCS2: _try_ucs2,
}


def _cut(octets: bytes, encoding: Encoding, long_message: LongMessage) -> tuple[int, ...]:
    """Ends of the parts, each as full as it can be without splitting an escape pair or a surrogate pair."""
    size = len(octets)
    if size <= ROOM_ALONE[encoding]:
        return (size,)
    room = ROOM_IN_PART[encoding, long_message]
    cuts: list[int] = []
    end = 0
    while size - end > room:
        end += room
        if encoding is Encoding.GSM7:
            if octets[end - 1] == gsm0338.ESCAPE:
                end -= 1
        elif encoding is Encoding.UCS2 and 0xD8 <= octets[end - 2] <= 0xDB:
            end -= 2
        cuts.append(end)
    cuts.append(size)
    return tuple(cuts)
