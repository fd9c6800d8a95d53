"""The alphabets in which a text can travel, and the data_coding numbers that usually name them."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Encoding(StrEnum):
    """`GSM7` is unpacked, one septet an octet. `UCS2` is UTF-16 big endian: handsets read surrogate pairs."""

    GSM7 = "gsm7"
    LATIN1 = "latin1"
    UCS2 = "ucs2"


DEFAULT_ALLOWED: Final = frozenset({Encoding.GSM7, Encoding.UCS2})
"""What every carrier takes. Latin-1 is opted into by profile: many SMSCs turn it into question marks."""

OUTGOING: Final[Mapping[Encoding, int]] = MappingProxyType({Encoding.GSM7: 0, Encoding.LATIN1: 3, Encoding.UCS2: 8})
"""data_coding to send (SMPP 3.4, 5.2.19). 0 is the SMSC's default alphabet, which is GSM 7-bit at most carriers."""

INCOMING: Final[Mapping[int, Encoding]] = MappingProxyType(
    {0: Encoding.GSM7, 1: Encoding.LATIN1, 3: Encoding.LATIN1, 8: Encoding.UCS2}
)
"""How a received data_coding is read. 1 is IA5, that is ASCII, which Latin-1 contains."""


def encoding_of(data_coding: int, incoming: Mapping[int, Encoding] = INCOMING) -> Encoding | None:
    """The alphabet of a received message; None for binary and for alphabets that are not read.

    Beyond the carrier's own numbers, GSM's: a message class in 0x10-0x1F and 0xF0-0xFF (3GPP TS 23.038, 4).
    """
    encoding = incoming.get(data_coding)
    if encoding is not None:
        return encoding
    group, alphabet = data_coding & 0xF0, data_coding & 0x0C
    if group == 0xF0:
        return None if data_coding & 0x04 else Encoding.GSM7
    if group == 0x10:
        return {0x00: Encoding.GSM7, 0x08: Encoding.UCS2}.get(alphabet)
    return None
