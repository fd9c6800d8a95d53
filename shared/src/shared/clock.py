"""Time as values: decisions get `now`, only shells read a clock."""

import time
from collections.abc import Callable

Clock = Callable[[], int]  # milliseconds since 1970, UTC


def now_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000
