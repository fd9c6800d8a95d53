"""When a bind that has just written, or could not, looks again for what it may write next."""

from typing import NamedTuple

from smpp_connector.domain.pace import Pace

IDLE_S = 0.5  # nothing to do unless something happens, and what happens wakes the bind
GATHER_S = 0.02  # when tokens are the limit: fewer, larger batches; the `.now` lane does not wait for it
STALE_NAP_S = 0.05  # how soon marketing goes on once the consent topic has been caught up with
SHORTEST_S = 0.001


class Nap(NamedTuple):
    pause_s: float  # 0: at once
    bulk_from: float  # before this moment bulk gathers tokens


def look_again(
    pace: Pace, *, now: float, took: bool, allowed: bool, tried_bulk: bool, bulk_from: float, next_due: float | None
) -> Nap:
    """`took`: something was just written. `allowed`: the consent picture is fresh enough for bulk.
    `tried_bulk`: bulk was among what might be taken. `next_due`: when a
    record that waits for its pause is due. Times are in seconds of one steady clock.
    """
    pause = IDLE_S if allowed else STALE_NAP_S
    if pace.available(bulk=True) <= 0:  # tokens are the limit
        gather = pace.seconds_until(max(1.0, pace.rate * GATHER_S), bulk=True)
        bulk_from = now + gather
        pause = min(pause, gather)
        if pace.available(bulk=False) <= 0:
            pause = min(pause, pace.seconds_until(1.0, bulk=False))
    elif took:
        return Nap(0.0, bulk_from)
    elif allowed and not tried_bulk:  # woken, by an answer, while bulk still gathers
        pause = min(pause, bulk_from - now)
    if next_due is not None:
        pause = min(pause, next_due - now)
    return Nap(max(pause, SHORTEST_S), bulk_from)
