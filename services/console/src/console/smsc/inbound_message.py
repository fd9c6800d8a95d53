"""A mobile-originated text as the deliver_sm parts that carry it."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from console.smsc import pdu
from console.smsc.gsm_alphabet import gsm_units

Alphabet = Literal["auto", "gsm", "ucs2"]

_GSM, _UCS2 = 0, 8  # data_coding
_ONE_PART = {_GSM: 160, _UCS2: 140}  # octets of unpacked septets, or of UTF-16 (3GPP TS 23.040, section 9.2.3.24)
_ROOM = {(_GSM, 8): 153, (_GSM, 16): 152, (_UCS2, 8): 134, (_UCS2, 16): 132}  # beside a header of 6 or 7 octets
_MOST_PARTS = 255


class Part(NamedTuple):
    esm_class: int
    data_coding: int
    octets: bytes
    parameters: bytes


def inbound_parts(
    text: str, alphabet: Alphabet, split: bool, reference: int, reference_bits: Literal[8, 16]
) -> list[Part]:
    """Encode `text`; if it is too long for one part, cut it by user data headers, or with `split` off put it into
    message_payload. Escape pairs and surrogate pairs stay whole. Raises ValueError if the text cannot be encoded so.
    """
    units = None if alphabet == "ucs2" else gsm_units(text)
    if units is None:
        if alphabet == "gsm":
            raise ValueError("the text has characters outside the GSM alphabet")
        units = [character.encode("utf-16-be", "surrogatepass") for character in text]
        coding = _UCS2
    else:
        coding = _GSM
    octets = b"".join(units)
    if len(octets) <= _ONE_PART[coding]:
        return [Part(0, coding, octets, b"")]
    if not split:
        return [Part(0, coding, b"", pdu.parameter(pdu.MESSAGE_PAYLOAD, octets))]
    pieces = _cut(units, _ROOM[coding, reference_bits])
    if len(pieces) > _MOST_PARTS:
        raise ValueError("the text needs more than 255 parts")
    return [
        Part(pdu.ESM_UDHI, coding, _header(reference, reference_bits, len(pieces), number) + piece, b"")
        for number, piece in enumerate(pieces, 1)
    ]


def _cut(units: Sequence[bytes], room: int) -> list[bytes]:
    pieces = [b""]
    for unit in units:
        if len(pieces[-1]) + len(unit) > room:
            pieces.append(b"")
        pieces[-1] += unit
    return pieces


def _header(reference: int, bits: int, parts: int, number: int) -> bytes:
    # Information elements 0x00 and 0x08: concatenation with an 8-bit or a 16-bit reference.
    element = (
        b"\x00\x03" + bytes((reference & 0xFF,)) if bits == 8 else b"\x08\x04" + (reference & 0xFFFF).to_bytes(2, "big")
    )
    return bytes((len(element) + 2,)) + element + bytes((parts, number))
