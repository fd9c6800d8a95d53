"""How a text will be sent. One function decides it for whoever counts parts and for whoever sends them."""

from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Final, NamedTuple

from msgspec import Struct

from shared.smpp.constants import (
    TLV_MESSAGE_PAYLOAD,
    TLV_SAR_MSG_REF_NUM,
    TLV_SAR_SEGMENT_SEQNUM,
    TLV_SAR_TOTAL_SEGMENTS,
)
from shared.text import gsm0338
from shared.text.encoding import DEFAULT_ALLOWED, OUTGOING, Encoding
from shared.text.errors import TooManyPartsError, UnencodableError
from shared.text.national import DEFAULT, Language, Shift, encoder_of, shifts
from shared.text.transliterate import transliterate as to_gsm
from shared.text.udh import LongMessage, concatenation_headers, header_size, shift_header

MAX_PARTS: Final = 255
_UDHI: Final = 0x40  # esm_class, SMPP 3.4, 5.2.12
_SAR: Final = LongMessage.SAR  # a name here costs a third of a member's
_PAYLOAD: Final = LongMessage.PAYLOAD

ROOM_ALONE: Final = {Encoding.GSM7: 160, Encoding.LATIN1: 140, Encoding.UCS2: 140}
"""Octets of a message that needs no header (a GSM septet is one octet here, and packed on the air)."""


def room_in(encoding: Encoding, header: int) -> int:
    """Octets of content beside a header of so many octets, of which the air has 140 in all (3GPP TS 23.040, 9.2.3.24).

    A GSM septet is one octet here; packed septets begin at a septet's boundary after the header.
    """
    if encoding is Encoding.GSM7:
        return 160 - -(-8 * header // 7)
    free = 140 - header
    return free - free % 2 if encoding is Encoding.UCS2 else free


ROOM_IN_PART: Final = {
    (encoding, method): room_in(encoding, header_size(method, DEFAULT))
    for encoding in Encoding
    for method in LongMessage
}
"""Octets of one part of a longer one, without national tables: 153, 152, 134, 133 or 132."""


class Piece(NamedTuple):
    """What one submit_sm carries of a text."""

    short_message: bytes
    tlvs: dict[int, bytes]


class TextPlan(Struct, frozen=True, gc=False):
    """`units` counts septets in GSM7, UTF-16 units in UCS2, octets in LATIN1. `cuts` are where each part ends in
    `octets`, the whole text encoded. `parts` are those on the air, as charged; message_payload is one submit_sm
    whatever their number. `shift` names national tables, `transliterated` says that the text was changed to fit. The
    repr shows no text."""

    encoding: Encoding
    data_coding: int
    parts: int
    units: int
    long_message: LongMessage
    octets: bytes
    cuts: tuple[int, ...]
    shift: Shift = DEFAULT
    transliterated: bool = False

    @property
    def esm_class(self) -> int:
        """0x40 where the payloads start with a UDH, else 0."""
        return _UDHI if self.shift != DEFAULT or (self.parts > 1 and self.long_message.by_udh) else 0

    @property
    def submissions(self) -> int:
        """How many submit_sm carry it."""
        return 1 if self.long_message is LongMessage.PAYLOAD else self.parts

    def payloads(self, reference: int) -> list[bytes]:
        """The short_message of each part, UDH included. `reference` ties the parts together; one part ignores it.

        Raises ValueError where the parts are tied by TLVs, since without them they would arrive as so many messages:
        `pieces` has both.
        """
        if self.parts == 1:
            return [self.octets if self.shift is DEFAULT else shift_header(self.shift) + self.octets]
        method = self.long_message
        if method is _SAR or method is _PAYLOAD:
            raise ValueError("this carrier's long messages need TLVs: use pieces")
        headers = concatenation_headers(method, reference, self.parts, self.shift)
        payloads, start = [], 0
        for header, end in zip(headers, self.cuts, strict=True):
            payloads.append(header + self.octets[start:end])
            start = end
        return payloads

    def pieces(self, reference: int) -> list[Piece]:
        """short_message and TLVs of each submit_sm, whatever ties the parts together."""
        if self.parts == 1 or self.long_message.by_udh:
            return [Piece(payload, {}) for payload in self.payloads(reference)]
        if self.long_message is LongMessage.PAYLOAD:
            return [Piece(b"", {TLV_MESSAGE_PAYLOAD: self.octets})]
        number, total = (reference & 0xFFFF).to_bytes(2, "big"), bytes((self.parts,))
        pieces, start = [], 0
        for part, end in enumerate(self.cuts, 1):
            tlvs = {
                TLV_SAR_MSG_REF_NUM: number,
                TLV_SAR_TOTAL_SEGMENTS: total,
                TLV_SAR_SEGMENT_SEQNUM: bytes((part,)),
            }
            pieces.append(Piece(self.octets[start:end], tlvs))
            start = end
        return pieces

    @property
    def room(self) -> int:
        """Octets of `octets` that each part has room for, in a message of this many parts."""
        if self.shift != DEFAULT:
            return room_in(self.encoding, header_size(self.long_message if self.parts > 1 else None, self.shift))
        return ROOM_ALONE[self.encoding] if self.parts == 1 else ROOM_IN_PART[self.encoding, self.long_message]

    def __repr__(self) -> str:
        return f"<TextPlan {self.encoding} parts={self.parts} units={self.units}>"


def plan(
    text: str,
    allowed: Collection[Encoding] = DEFAULT_ALLOWED,
    long_message: LongMessage = LongMessage.UDH8,
    data_codings: Mapping[Encoding, int] = OUTGOING,
    *,
    national: Collection[Language] = (),
    transliterate: bool = False,
) -> TextPlan:
    """The cheapest way to send `text`: fewest parts, and among equals GSM7 before LATIN1 before UCS2.

    Tables of the languages in `national` are used only where they take fewer parts than any of these, since not every
    handset has them: then those with the shortest header, and of these with the fewest septets. `transliterate` changes the text to fit GSM7, where that takes
    fewer parts than anything else.

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
        size = len(octets)
        units = size // 2 if encoding is Encoding.UCS2 else size
        if size <= ROOM_ALONE[encoding]:
            return TextPlan(encoding, data_codings[encoding], 1, units, long_message, octets, (size,))
        cuts = _cut(octets, encoding, ROOM_IN_PART[encoding, long_message])
        if best is None or len(cuts) < best.parts:
            best = TextPlan(encoding, data_codings[encoding], len(cuts), units, long_message, octets, cuts)
    if (national or transliterate) and Encoding.GSM7 in allowed:
        if national:
            found, reached = _by_national_tables(text, national, long_message, data_codings, best)
            best, furthest = found or best, max(furthest, reached)
        if transliterate and (best is None or best.parts > 1):
            best = _transliterated(text, long_message, data_codings, best) or best
    if best is None:
        raise UnencodableError(furthest)
    if best.parts > MAX_PARTS:
        raise TooManyPartsError(best.parts)
    return best


def _by_national_tables(
    text: str,
    languages: Collection[Language],
    long_message: LongMessage,
    data_codings: Mapping[Encoding, int],
    beaten: TextPlan | None,
) -> tuple[TextPlan | None, int]:
    """The plan with fewer parts than `beaten`, if any, and how far into the text the tables reached."""
    gsm7 = Encoding.GSM7
    best: TextPlan | None = None
    furthest = 0
    fewest = MAX_PARTS + 1 if beaten is None else beaten.parts
    for shift in _shifts_of(frozenset(languages)):
        octets = encoder_of(shift)(text)
        if isinstance(octets, int):
            furthest = max(furthest, octets)
            continue
        if len(octets) <= room_in(gsm7, header_size(None, shift)):
            cuts: tuple[int, ...] = (len(octets),)
        elif long_message.by_udh:
            cuts = _cut(octets, gsm7, room_in(gsm7, header_size(long_message, shift)))
        else:
            continue  # an SMSC that adds the concatenation seldom keeps another header's elements
        same_header = best is not None and best.shift.count(0) == shift.count(0)
        fewer_units = best is not None and len(octets) < best.units
        if len(cuts) < fewest or (len(cuts) == fewest and same_header and fewer_units):
            fewest = len(cuts)
            best = TextPlan(gsm7, data_codings[gsm7], fewest, len(octets), long_message, octets, cuts, shift)
    return best, furthest


@cache
def _shifts_of(languages: frozenset[Language]) -> list[Shift]:
    """Shorter headers first."""
    return sorted(
        (shift for language in sorted(languages) for shift in shifts(language)), key=lambda shift: -shift.count(0)
    )


def _transliterated(
    text: str, long_message: LongMessage, data_codings: Mapping[Encoding, int], beaten: TextPlan | None
) -> TextPlan | None:
    gsm7 = Encoding.GSM7
    octets = gsm0338.try_encode(to_gsm(text).text)
    if isinstance(octets, int):
        return None
    size = len(octets)
    cuts = (size,) if size <= ROOM_ALONE[gsm7] else _cut(octets, gsm7, ROOM_IN_PART[gsm7, long_message])
    if beaten is not None and len(cuts) >= beaten.parts:
        return None
    return TextPlan(
        gsm7, data_codings[gsm7], len(cuts), len(octets), long_message, octets, cuts, DEFAULT, transliterated=True
    )


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


def _cut(octets: bytes, encoding: Encoding, room: int) -> tuple[int, ...]:
    """Ends of the parts, each as full as it can be without splitting an escape pair or a surrogate pair."""
    size = len(octets)
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
