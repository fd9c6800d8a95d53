"""The user data header's concatenation elements (3GPP TS 23.040, 9.2.3.24.1 and 9.2.3.24.8)."""

from enum import StrEnum
from typing import NamedTuple

CONCAT_8 = 0x00
CONCAT_16 = 0x08


class LongMessage(StrEnum):
    """How the parts of one message are tied together; a carrier takes exactly one way.

    The other two ways of SMPP 3.4, SAR TLVs and message_payload, add members here, a row of room in `plan`, and TLVs
    beside `TextPlan.payloads`.
    """

    UDH8 = "udh8"
    UDH16 = "udh16"


class Concatenation(NamedTuple):
    reference: int
    total: int
    part: int
    """From 1."""


def concatenation_headers(method: LongMessage, reference: int, total: int) -> list[bytes]:
    """One UDH a part, in order. `reference` is taken modulo what the method's field holds; `total` is at most 255."""
    if method is LongMessage.UDH16:
        start = bytes((6, CONCAT_16, 4, reference >> 8 & 0xFF, reference & 0xFF, total))
    else:
        start = bytes((5, CONCAT_8, 3, reference & 0xFF, total))
    return [start + bytes((part,)) for part in range(1, total + 1)]


def read_udh(payload: bytes) -> tuple[Concatenation | None, bytes]:
    """The concatenation, if any, and what follows the header. Never raises.

    A payload whose first octet announces more than there is has no header: all of it is content.
    """
    if not payload or payload[0] >= len(payload):
        return None, payload
    end = payload[0] + 1
    found: Concatenation | None = None
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
    if found is not None and not 1 <= found.part <= found.total:
        found = None  # 9.2.3.24.1: a receiver ignores such an element
    return found, payload[end:]
