"""The user data header: concatenation (3GPP TS 23.040, 9.2.3.24.1 and 9.2.3.24.8) and national tables (9.2.3.24.15, 16)."""

from enum import StrEnum
from typing import Final, NamedTuple

from shared.text.national import DEFAULT, Shift

CONCAT_8 = 0x00
CONCAT_16 = 0x08
NATIONAL_SINGLE = 0x24
NATIONAL_LOCKING = 0x25


class LongMessage(StrEnum):
    """How the parts of one message are tied together; a carrier takes exactly one way."""

    UDH8 = "udh8"
    UDH16 = "udh16"
    SAR = "sar"
    """TLVs sar_msg_ref_num, sar_total_segments and sar_segment_seqnum (SMPP 3.4, 5.3.2.22 to 24)."""
    PAYLOAD = "message_payload"
    """One submit_sm with everything in message_payload (5.3.2.32), which the SMSC cuts."""

    @property
    def by_udh(self) -> bool:
        return self is LongMessage.UDH8 or self is LongMessage.UDH16


class Concatenation(NamedTuple):
    reference: int
    total: int
    part: int
    """From 1."""


class Headers(NamedTuple):
    """What a user data header says."""

    concatenation: Concatenation | None
    shift: Shift
    """The national tables of the content, `DEFAULT` where none are named."""
    content: bytes
    """What follows the header."""


_CONCATENATION_SIZE: Final = {LongMessage.UDH8: 5, LongMessage.UDH16: 6, LongMessage.SAR: 6, LongMessage.PAYLOAD: 5}
"""Octets of the element. SAR's is the SMSC's to make: from a 16-bit reference, so the larger one must fit. What
the SMSC makes of message_payload is not known beforehand; most use the smaller one, so that is what is counted."""

_SHIFT_SIZE: Final = 3


def header_size(method: LongMessage | None, shift: Shift) -> int:
    """Octets of a header with these elements, its own length included; 0 for no header. None: not concatenated."""
    elements = (0 if method is None else _CONCATENATION_SIZE[method]) + _SHIFT_SIZE * sum(map(bool, shift))
    return elements + 1 if elements else 0


def shift_elements(shift: Shift) -> bytes:
    elements = b""
    if shift.single:
        elements += bytes((NATIONAL_SINGLE, 1, shift.single))
    if shift.locking:
        elements += bytes((NATIONAL_LOCKING, 1, shift.locking))
    return elements


def shift_header(shift: Shift) -> bytes:
    """The header of a message of one part; empty for the default tables."""
    elements = shift_elements(shift)
    return bytes((len(elements),)) + elements if elements else b""


def concatenation_headers(method: LongMessage, reference: int, total: int, shift: Shift = DEFAULT) -> list[bytes]:
    """One UDH a part, in order. `reference` is taken modulo what the method's field holds; `total` is at most 255."""
    after = b"" if shift is DEFAULT else shift_elements(shift)
    if method is LongMessage.UDH16:
        start = bytes((6 + len(after), CONCAT_16, 4, reference >> 8 & 0xFF, reference & 0xFF, total))
    else:
        start = bytes((5 + len(after), CONCAT_8, 3, reference & 0xFF, total))
    if after:
        return [start + bytes((part,)) + after for part in range(1, total + 1)]
    return [start + bytes((part,)) for part in range(1, total + 1)]


def read_udh(payload: bytes) -> tuple[Concatenation | None, bytes]:
    """The concatenation, if any, and what follows the header. Never raises."""
    headers = read_headers(payload)
    return headers.concatenation, headers.content


def read_headers(payload: bytes) -> Headers:
    """Everything that is understood of a header, and what follows it. Never raises.

    A payload whose first octet announces more than there is has no header: all of it is content. Of an element that
    is repeated the last one counts (9.2.3.24).
    """
    if not payload or payload[0] >= len(payload):
        return Headers(None, DEFAULT, payload)
    end = payload[0] + 1
    found: Concatenation | None = None
    single = locking = 0
    at = 1
    while at + 2 <= end:
        element, length = payload[at], payload[at + 1]
        value = payload[at + 2 : at + 2 + length]
        at += 2 + length
        if at > end:
            break
        if element == CONCAT_8 and length == 3:
            found = Concatenation(value[0], value[1], value[2])
        elif element == CONCAT_16 and length == 4:
            found = Concatenation(value[0] << 8 | value[1], value[2], value[3])
        elif element == NATIONAL_SINGLE and length == 1:
            single = value[0]
        elif element == NATIONAL_LOCKING and length == 1:
            locking = value[0]
    if found is not None and not 1 <= found.part <= found.total:
        found = None  # 9.2.3.24.1: a receiver ignores such an element
    return Headers(found, Shift(single, locking) if single or locking else DEFAULT, payload[end:])
