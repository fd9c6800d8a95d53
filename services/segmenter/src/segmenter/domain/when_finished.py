"""When a campaign would be through, under send windows and the carriers' rate. Pure.

Work is given to whoever is open, the first to shut first; that is how the router uses its carriers when it can. What else is
on the road is not known here, so the answer is the earliest moment.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple


class Span(NamedTuple):
    """Open from `opens` until `shuts`, ms UTC."""

    opens: int
    shuts: int


def finished_at(work: Mapping[str, int], spans: Mapping[str, Sequence[Span]], per_s: float, start: int) -> int | None:
    """`work`: parts by place; `spans`: when each place is open, in order; `per_s`: parts a second. None when it takes longer than
    the spans tell, or nothing is sent at all."""
    left = {place: float(parts) for place, parts in work.items() if parts > 0}
    if not left:
        return start
    if per_s <= 0:
        return None
    edges = sorted({start, *(edge for place in left for span in spans[place] for edge in span if edge > start)})
    for begins, ends in pairwise(edges):
        room = (ends - begins) * per_s / 1000
        now = float(begins)
        for place in _open(left, spans, begins):
            taken = min(room, left[place])
            room -= taken
            left[place] -= taken
            now += taken / per_s * 1000
            if left[place] <= 0:
                del left[place]
                if not left:
                    return round(now)
    return None


def _open(left: Mapping[str, float], spans: Mapping[str, Sequence[Span]], at: int) -> list[str]:
    """Places that are open and have work, the first to shut first."""
    found = [(span.shuts, place) for place in left for span in spans[place] if span.opens <= at < span.shuts]
    return [place for _, place in sorted(found)]
