"""RFM classes: how lately, how often and for how much somebody bought, each from 1 to 5 among the tenant's buyers."""

from typing import Final

LOOK_BACK_DAYS: Final = 365
CLASSES: Final = ("champions", "loyal", "new", "promising", "at risk", "lost")


def class_of(r: int, f: int, m: int) -> str:
    """`r` 5: bought lately; `f` 5: bought often; `m` 5: spent much."""
    if r >= 4 and f >= 4 and m >= 3:
        return "champions"
    if r >= 3 and f >= 3:
        return "loyal"
    if r >= 4 and f == 1:
        return "new"
    if r >= 3:
        return "promising"
    return "at risk" if f >= 3 or m >= 4 else "lost"
