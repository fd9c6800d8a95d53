"""How long a tenant keeps what it knows of people (GDPR 5(1)(e)): rules of its own, none until it sets them."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

DAY_MS: Final = 86_400_000
_Days = Annotated[int, Meta(ge=1, le=3660)]


class Retention(Struct, frozen=True, forbid_unknown_fields=True):
    """`behaviour_days`: daily sums older than this go. `idle_days`: contacts go who have neither changed, done anything,
    got a campaign nor said a word about consent for this long. None: kept."""

    behaviour_days: _Days | None = None
    idle_days: _Days | None = None


RETENTION: Final = msgspec.json.Decoder(Retention)


def first_day_kept(days: int, now_ms: int) -> int:
    """Days since 1970 of the first day that stays."""
    return now_ms // DAY_MS - days
