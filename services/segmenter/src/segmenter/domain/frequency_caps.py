"""How many messages of one purpose a handset gets in a day and in a week. Pure: moments in, yes or no out.

Days and weeks roll: at no moment have the last 24 hours held more than the cap, whatever the calendar says. A cap is
counted by number, not by reference: people who share a handset share its peace.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

DAY_MS: Final = 86_400_000
WEEK_MS: Final = 7 * DAY_MS
KEPT_MS: Final = WEEK_MS + 2 * DAY_MS  # a claim is for at most a day ahead, and counts for a week after that


class Cap(Struct, frozen=True):
    """`per_day` and `per_week`: 0 sets no limit. `version` counts the changes of this tenant's rule for this purpose."""

    purpose: str
    per_day: int
    per_week: int
    version: int

    @property
    def rule(self) -> str:
        return f"frequency_cap:{self.purpose}@{self.version}"


def admits(cap: Cap, claimed: Iterable[int], at: int) -> bool:
    """Whether one more message at `at` stays within the cap. `claimed`: moments of those already claimed, in ms UTC.

    Claims on either side of `at` count, since a message may be claimed for a moment ahead.
    """
    near = [abs(at - moment) for moment in claimed]
    in_day = sum(distance < DAY_MS for distance in near)
    in_week = sum(distance < WEEK_MS for distance in near)
    return (not cap.per_day or in_day < cap.per_day) and (not cap.per_week or in_week < cap.per_week)


def refused_by(cap: Cap) -> str:
    """The sentence for a person."""
    limits = [f"{count} {span}" for count, span in ((cap.per_day, "a day"), (cap.per_week, "a week")) if count]
    return f"{cap.purpose} is capped at {' and '.join(limits)} for one number"
