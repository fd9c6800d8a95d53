"""What a text will take, told before it is sent."""

from collections.abc import Collection

from msgspec import Struct

from shared.text import gsm0338
from shared.text.encoding import DEFAULT_ALLOWED, Encoding
from shared.text.errors import TextError
from shared.text.national import Language
from shared.text.plan import plan
from shared.text.transliterate import Change, transliterate
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
    """Position of the first character that keeps the text out of the default GSM 7-bit alphabet, and so makes it
    dearer; None if none."""
    single_shift: Language | None = None
    """The national tables that the text needs, where the carrier allows them."""
    locking_shift: Language | None = None


class Preview(Struct, frozen=True):
    """A text's cost with and without transliteration. The repr shows no text."""

    as_it_is: Estimate | None
    """None where it cannot be sent as it is."""
    transliterated: Estimate | None
    """None where transliterating changes nothing, or leaves a text that cannot be sent either."""
    text: str
    """Transliterated."""
    changes: tuple[Change, ...]

    def __repr__(self) -> str:
        return f"<Preview changes={len(self.changes)}>"


def estimate(
    text: str,
    allowed: Collection[Encoding] = DEFAULT_ALLOWED,
    long_message: LongMessage = LongMessage.UDH8,
    *,
    national: Collection[Language] = (),
) -> Estimate:
    """Raises what `plan` raises, since a text that cannot be sent has no size."""
    planned = plan(text, allowed, long_message, national=national)
    width = 2 if planned.encoding is Encoding.UCS2 else 1
    last_start = planned.cuts[-2] if planned.parts > 1 else 0
    single, locking = planned.shift
    outside: int | None = None
    if planned.encoding is not Encoding.GSM7 or single or locking:
        septets = gsm0338.try_encode(text)
        outside = septets if isinstance(septets, int) else None
    return Estimate(
        encoding=planned.encoding,
        parts=planned.parts,
        units=planned.units,
        units_per_part=planned.room // width,
        room_left=(planned.room - (planned.cuts[-1] - last_start)) // width,
        first_outside_gsm7=outside,
        single_shift=Language(single) if single else None,
        locking_shift=Language(locking) if locking else None,
    )


def preview(
    text: str,
    allowed: Collection[Encoding] = DEFAULT_ALLOWED,
    long_message: LongMessage = LongMessage.UDH8,
    *,
    national: Collection[Language] = (),
) -> Preview:
    """What transliteration would change, and save. Never raises TextError: what cannot be sent is None."""
    plain, changes = transliterate(text)

    def cost(of: str) -> Estimate | None:
        try:
            return estimate(of, allowed, long_message, national=national)
        except TextError:
            return None

    return Preview(cost(text), cost(plain) if changes else None, plain, changes)
