"""What becomes of a submit: refused, taken in silence, or taken and reported on later. Chance is passed in."""

from bisect import bisect_right
from itertools import accumulate
from typing import NamedTuple

from console.smsc.config import Behaviour, Outcome
from console.smsc.sampling import Quantiles, draw


class Fate(NamedTuple):
    """What the SMSC will report about an accepted message, and how many seconds after the submit."""

    stat: str
    err: str
    delay: float


class _Way(NamedTuple):
    stat: str
    err: tuple[str, ...]
    delay: Quantiles

    def fate(self, u: float) -> Fate:
        # One draw serves both: its high part picks the code, what is left of it the delay.
        scaled = u * len(self.err)
        code = int(scaled)
        return Fate(self.stat, self.err[code], draw(self.delay, scaled - code))


class Choices:
    """A behaviour made ready for one decision a message. Every `u` is uniform in [0, 1)."""

    def __init__(self, behaviour: Behaviour) -> None:
        by_chance = [error for error in behaviour.errors if error.destination_ends is None]
        self._error_edges = list(accumulate(error.share for error in by_chance))
        self._error_statuses = [error.status for error in by_chance]
        self._error_suffixes = [
            (error.destination_ends.encode("ascii"), error.status)
            for error in behaviour.errors
            if error.destination_ends is not None
        ]
        self.may_refuse = bool(self._error_suffixes) or any(self._error_edges)

        open_to_all = [outcome for outcome in behaviour.outcomes if outcome.destination_ends is None]
        edges = list(accumulate(outcome.weight for outcome in open_to_all))
        self._outcome_edges = [edge / edges[-1] for edge in edges[:-1]]
        self._ways = [_way(outcome) for outcome in open_to_all]
        self._way_suffixes = [
            (outcome.destination_ends.encode("ascii"), _way(outcome))
            for outcome in behaviour.outcomes
            if outcome.destination_ends is not None
        ]

    def refusal(self, destination: bytes, u: float) -> int:
        """The command_status to refuse this destination with, or 0."""
        for suffix, status in self._error_suffixes:
            if destination.endswith(suffix):
                return status
        chosen = bisect_right(self._error_edges, u)
        return self._error_statuses[chosen] if chosen < len(self._error_statuses) else 0

    def fate(self, destination: bytes, u_outcome: float, u_detail: float) -> Fate:
        """What will be reported; its stat is NONE if nothing will."""
        for suffix, way in self._way_suffixes:
            if destination.endswith(suffix):
                return way.fate(u_detail)
        return self._ways[bisect_right(self._outcome_edges, u_outcome)].fate(u_detail)


def _way(outcome: Outcome) -> _Way:
    return _Way(outcome.stat, outcome.err, outcome.delay.quantiles())
