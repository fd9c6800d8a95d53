"""What people did, summed up under the place of the message that it is due to.

A message that answered is counted once a kind: its first click, its first reply, its first opt-out, its conversion.
Its place is the one that it had when a carrier had taken it; a message given to another carrier after somebody has
followed its link keeps the click where it was.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

MEASURES: Final = (
    "clickers", "clicks", "machine_clicks", "repliers", "replies", "clicked_and_replied", "opted_out", "opt_outs", "converted",
    "shares_micros", "value_micros",
)  # fmt: skip
CLICK, REPLY, OPT_OUT, CONVERSION = "click", "reply", "opt_out", "conversion"
_FIRST: Final = {CLICK: "clickers", REPLY: "repliers", OPT_OUT: "opted_out", CONVERSION: "converted"}


class MessagePlace(NamedTuple):
    """Where a message is counted; `hour` of acceptance, ms UTC. All empty for what belongs to no known message."""

    tenant_id: str
    campaign_id: str
    hour: int = 0
    run: str = ""
    variant: str = ""
    segment: str = ""
    country: str = ""
    carrier: str = ""
    held_out: bool = False


class SumPlace(NamedTuple):
    """`model` and `currency` are empty but for what was earned."""

    place: MessagePlace
    model: str = ""
    currency: str = ""


class First(NamedTuple):
    """A message that answered in this way for the first time; `also` are the other ways in which it had before."""

    kind: str
    place: MessagePlace
    also: frozenset[str] = frozenset()


class ResponseSums:
    """What one batch adds. Sums that come to nothing are left out."""

    def __init__(self) -> None:
        self._sums: dict[SumPlace, list[int]] = {}
        self._links: dict[tuple[str, str, str], list[int]] = {}

    def add(self, place: MessagePlace, measure: str, count: int = 1, *, model: str = "", currency: str = "") -> None:
        sums = self._sums.setdefault(SumPlace(place, model, currency), [0] * len(MEASURES))
        sums[MEASURES.index(measure)] += count

    def first(self, firsts: Iterable[First], sign: int = 1) -> None:
        for first in firsts:
            self.add(first.place, _FIRST[first.kind], sign)
            if {first.kind, *first.also} >= {CLICK, REPLY} and first.kind in (CLICK, REPLY):
                self.add(first.place, "clicked_and_replied", sign)

    def visit(self, place: MessagePlace, human: bool, count: int = 1) -> None:
        self.add(place, "clicks" if human else "machine_clicks", count)

    def link(self, place: MessagePlace, link: str, *, first: int = 0, human: int = 0, machine: int = 0) -> None:
        """Of the link: messages whose first click it was, visits of people, of machines."""
        sums = self._links.setdefault((place.tenant_id, place.campaign_id, link), [0, 0, 0])
        for index, count in enumerate((first, human, machine)):
            sums[index] += count

    def rows(self) -> Mapping[SumPlace, Sequence[int]]:
        """In the order of their keys: two replicas that add to the same sums lock them in the same order."""
        return {place: counts for place, counts in sorted(self._sums.items()) if any(counts)}

    def link_rows(self) -> Mapping[tuple[str, str, str], Sequence[int]]:
        return {key: counts for key, counts in sorted(self._links.items()) if any(counts)}
