"""When a message with a `send_at` waits here and not at the router, which keeps messages for a day at most (promise 6)."""

from typing import Final

HOUR_MS: Final = 3_600_000
FURTHEST_AHEAD_MS: Final = 24 * HOUR_MS  # what is due sooner waits at the router
WAKE_AHEAD_MS: Final = HOUR_MS  # early enough for whatever the road has to do, late enough for consent to be fresh
FULL_MS: Final = 5_000  # how long a message of a tenant without credit waits before it asks again


def waits_here(send_at: int | None, now: int) -> bool:
    return send_at is not None and send_at - now > FURTHEST_AHEAD_MS


def wake_at(send_at: int) -> int:
    """When it goes on its way, milliseconds UTC."""
    return send_at - WAKE_AHEAD_MS
