"""Optional parameters: 2 octets of tag, 2 of length, then the value (SMPP 3.4, 3.2.4.1).

Kept as a dict of tag to octets, unknown tags included (3.3: a receiver ignores what it does not know). Where a tag is
repeated the last one counts.
"""

from collections.abc import Mapping
from struct import Struct
from typing import Final

from shared.smpp.constants import ESME_RINVOPTPARSTREAM, ESME_RINVPARLEN
from shared.smpp.errors import PduError

_HEAD = Struct(">HH")
MAX_VALUE: Final = 0xFFFF


def write_tlvs(tlvs: Mapping[int, bytes]) -> bytes:
    """In the mapping's order. Raises PduError for a tag or length beyond 16 bits."""
    parts: list[bytes] = []
    for tag, value in tlvs.items():
        if not 0 <= tag <= MAX_VALUE or len(value) > MAX_VALUE:
            raise PduError(ESME_RINVPARLEN, "TLV tag or length beyond 16 bits")
        parts.append(_HEAD.pack(tag, len(value)))
        parts.append(value)
    return b"".join(parts)


def read_tlvs(frame: bytes, start: int, strict: bool, sequence_number: int, command_id: int) -> dict[int, bytes]:
    """The TLVs from `start` to the frame's end.

    A TLV that runs over the end is refused when `strict`: a customer's submit_sm must not be sent without an option
    that it asked for. Otherwise what was read before it stands: a carrier's receipt tells a message's fate in what is
    whole, and refusing it makes the carrier repeat it for ever, ahead of everything queued behind it.
    """
    tlvs: dict[int, bytes] = {}
    end = len(frame)
    while start < end:
        value = start + 4
        if value > end:
            stop = end + 1
        else:
            tag, length = _HEAD.unpack_from(frame, start)
            stop = value + length
        if stop > end:
            if strict:
                raise PduError(ESME_RINVOPTPARSTREAM, "TLV runs over the end", sequence_number, command_id)
            break
        tlvs[tag] = frame[value:stop]
        start = stop
    return tlvs
