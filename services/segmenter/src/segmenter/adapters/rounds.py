"""Rows that are locked in one order everywhere, and none twice in one statement."""

from collections.abc import Hashable, Sequence
from typing import Any, Protocol, TypeVar


class Placed(Protocol):
    @property
    def place(self) -> Any:
        """What is locked: comparable with every other's, and hashable."""


T = TypeVar("T", bound=Placed)


def rounds_of(wants: Sequence[T]) -> list[list[T]]:
    """Wants in rounds with no place twice in one, each round in the order of its places."""
    rounds: list[dict[Hashable, T]] = []
    met: dict[Hashable, int] = {}
    for want in wants:
        turn = met.get(want.place, 0)
        met[want.place] = turn + 1
        if turn == len(rounds):
            rounds.append({})
        rounds[turn][want.place] = want
    return [[one[place] for place in sorted(one)] for one in rounds]  # type: ignore[type-var]
