"""Which message a handset's part belongs to, and when what has come of it is told.

Parts wait in a table, so that a part which the carrier need not keep any more survives our end, and so that it does not
matter over which bind, of which process, each comes. Pure: the table's rows and `now` in, what to write out.
"""

from collections.abc import Sequence
from hashlib import blake2b

from msgspec import Struct

WAIT_MS = 600_000  # parts of one message arrive within seconds; handsets out of coverage take minutes
STOP_WAIT_MS = 500  # a STOP in part 1 is told without its rest: from 2 s after it nothing more may be written
KEPT_MS = 2 * WAIT_MS  # how long a part is remembered after it was told, by which a repeat of it is known


class Known(Struct, frozen=True, gc=False):
    """A row of the same peer, reference and total, of the youngest generation. Times are ms since 1970."""

    generation: int
    part: int
    digest: str
    due: int
    told: bool


class Place(Struct, frozen=True, gc=False):
    """Where a new part goes. `due`: when the message it belongs to is told, for all its parts."""

    generation: int
    due: int
    ended: int | None = None
    """The generation that ends with this part: told as it is, now."""


def place(known: Sequence[Known], part: int, digest: str, total: int, now_ms: int, *, stops: bool) -> Place | None:
    """None for a part that is there already: the carrier did not hear our answer.

    A part with a number that is there already but with other content begins another message, since handsets use an
    8-bit reference again. `stops`: the part says STOP.
    """
    due = now_ms + (STOP_WAIT_MS if stops else WAIT_MS)
    same = next((one for one in known if one.part == part), None)
    if same is not None:
        if same.digest == digest:
            return None
        return Place(same.generation + 1, due, ended=same.generation)
    waiting = [one for one in known if not one.told]
    if len(waiting) + 1 == total:
        due = now_ms
    generation = known[0].generation if known else 0
    return Place(generation, min([due, *(one.due for one in waiting)]))


def digest_of(digests: Sequence[str]) -> str:
    """Stands for a message of several parts in an event_id."""
    return blake2b("".join(digests).encode(), digest_size=16).hexdigest()
