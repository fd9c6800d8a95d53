"""Liquid that cannot be made to work for long: what its own limits leave open is bounded here.

python-liquid limits loops, output and assigned values. A wide range turned into a list by a filter, or a chain of filters that
multiplies a text, escapes all three: one message could take seconds and gigabytes.
"""

import functools
from collections.abc import Callable
from typing import Any, Final

from liquid import Environment
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.exceptions import ResourceLimitError

WIDEST_RANGE: Final = 1000  # as many as a loop may take
LONGEST_VALUE: Final = 16_000  # characters or items that a filter may answer
WORK: Final = 200_000  # characters that all filters of one rendering may answer together
COST_OF_A_CALL: Final = 50

_range_of = RangeLiteral._make_range


def _bounded_range(self: RangeLiteral, start: Any, stop: Any) -> range:
    found: range = _range_of(self, start, stop)
    if len(found) > WIDEST_RANGE:
        raise ResourceLimitError("the range is too wide", token=self.token)
    return found


# The class is made in the parser, which takes no other: so its one method is replaced for the whole process.
RangeLiteral._make_range = _bounded_range  # type: ignore[method-assign]


class Budget:
    """Work left to the rendering that is going on. Rendering never awaits, so one a process is enough."""

    def __init__(self) -> None:
        self._left = WORK

    def renew(self) -> None:
        self._left = WORK

    def guarded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same filter, counted."""

        @functools.wraps(function)  # its marks `with_context` and `with_environment` too
        def counted(*args: Any, **named: Any) -> Any:
            answer = function(*args, **named)
            size = len(answer) if isinstance(answer, str | list | tuple) else 0
            self._left -= size + COST_OF_A_CALL
            if size > LONGEST_VALUE or self._left < 0:
                raise ResourceLimitError("filters answer too much", token=None)
            return answer

        return counted


def bound(environment: Environment, budget: Budget) -> None:
    """Counts all filters of the environment against the budget."""
    for name, function in list(environment.filters.items()):
        environment.filters[name] = budget.guarded(function)
