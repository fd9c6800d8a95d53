"""How many more marketing messages may be released now (promise 6)."""

from collections.abc import Mapping
from dataclasses import dataclass

from router.domain.health import HealthPicture
from router.domain.tariff import Tariff

AHEAD_S = 900  # at most 15 minutes of the carriers' rate waits downstream of the segmenter


@dataclass(frozen=True, slots=True)
class Credit:
    """`rate`: parts a second that all healthy carriers take together; `waits`: messages already released."""

    rate: int
    waits: int

    @property
    def messages(self) -> int:
        return max(0, self.rate * AHEAD_S - self.waits)


def rate_of(tariff: Tariff, health: HealthPicture, now: int) -> int:
    """Of carriers that are enabled, have a connector and are healthy, what the operator or the contract allows."""
    total = 0.0
    for terms in tariff.terms.values():
        if tariff.bar(terms) or not health.standing(terms.carrier, now).usable:
            continue
        report = health.report(terms.carrier)
        limit = report.limit if report is not None and report.limit > 0 else terms.tps
        total += min(terms.tps, limit)
    return int(total)


def lag_of(committed: Mapping[object, int], begin: Mapping[object, int], end: Mapping[object, int]) -> int:
    """Records between what a group has committed and the end; a group that never committed starts at the beginning."""
    found = 0
    for place, last in end.items():
        offset = committed.get(place, -1)
        found += max(0, last - (offset if offset >= 0 else begin[place]))
    return found
