"""How one message's number becomes the id in submit_sm_resp and the, often different, id in the receipt."""

import random
from collections.abc import Callable
from typing import Literal
from uuid import UUID

IdStyle = Literal["hex", "HEX", "decimal", "uuid"]

# More submits a second than this from one start to the next would bring ids back.
_IDS_A_SECOND = 50_000


def first_number(seed: int | None, now: float) -> int:
    """The number to count ids from.

    Without a seed it follows the clock, `now` in Unix seconds, so that a restarted SMSC repeats no id; with a
    seed it is the same at every start, as reproducible runs want it.
    """
    if seed is not None:
        return 0x39F90000 + (seed & 0xFFFF)
    return int(now * _IDS_A_SECOND)


def id_formatter(style: IdStyle, width: int) -> Callable[[int], bytes]:
    """A function from a message's number to its id, filled up with zeros to `width` (0: no leading zeros)."""
    match style:
        case "hex":
            return lambda number: b"%0*x" % (width, number)
        case "HEX":
            return lambda number: b"%0*X" % (width, number)
        case "decimal":
            return lambda number: b"%0*d" % (width, number)
        case "uuid":
            return _uuid


def _uuid(number: int) -> bytes:
    return str(UUID(int=random.Random(number).getrandbits(128), version=4)).encode("ascii")
