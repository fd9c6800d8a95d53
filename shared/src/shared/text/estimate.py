"""What a text will take, told before it is sent."""

from collections.abc import Collection

from msgspec import Struct

from shared.text import gsm0338
from shared.text.encoding import DEFAULT_ALLOWED, Encoding
from shared.text.plan import ROOM_ALONE, ROOM_IN_PART, plan
from shared.text.udh import LongMessage


class Estimate(Struct, frozen=True, gc=False):
    """Units are septets in gsm7 (extension characters are 2), UTF-16 units in ucs2, octets in latin1."""

    encoding: Encoding
    parts: int
    units: int
    units_per_part: int
    """Room of each part, in a message of this many parts."""
    room_left: int
    """Units that still fit without another part."""
    first_outside_gsm7: int | None
    """Position of the first character that keeps the text out of GSM 7-bit, and so makes it dearer; None if none."""


def estimate(
    text: str,
    allowed: Collection[Encoding] = DEFAULT_ALLOWED,
    long_message: LongMessage = LongMessage.UDH8,
) -> Estimate:
    """Raises what `plan` raises, since a text that cannot be sent has no size."""
    planned = plan(text, allowed, long_message)
    width = 2 if planned.encoding is Encoding.UCS2 else 1
    room = ROOM_ALONE[planned.encoding] if planned.parts == 1 else ROOM_IN_PART[planned.encoding, long_message]
    last_start = planned.cuts[-2] if planned.parts > 1 else 0
    outside: int | None = None
    if planned.encoding is not Encoding.GSM7:
        septets = gsm0338.try_encode(text)
        outside = septets if isinstance(septets, int) else None
    return Estimate(
        encoding=planned.encoding,
        parts=planned.parts,
        units=planned.units,
        units_per_part=room // width,
        room_left=(room - (planned.cuts[-1] - last_start)) // width,
        first_outside_gsm7=outside,
    )
