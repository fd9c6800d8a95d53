"""What one bind may take next: room in its window, tokens, and what both reserve for the `.now` lane.

The window counts parts from the moment their claim is asked for until their answer is recorded, so that a crash
leaves at most one window of open claims for each bind.
"""

from shared.contracts.topics import Lane

from smpp_connector.domain.pace import Pace
from smpp_connector.domain.waiting_room import Waiting, WaitingRoom

RESERVED_SHARE = 0.1


class Window:
    """Room on one bind, in parts."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.used = 0
        self.reserved = 0 if size == 1 else max(1, round(size * RESERVED_SHARE))

    @property
    def free(self) -> int:
        return self.size - self.used

    def holds(self, parts: int, *, bulk: bool) -> bool:
        """Whether a message of so many parts may start. One larger than the window starts when it has it alone; its
        parts then follow each other."""
        room = self.free - (self.reserved if bulk else 0)
        return parts <= room or (self.used == 0 and parts > self.size - (self.reserved if bulk else 0))

    def occupy(self, parts: int) -> None:
        self.used += min(parts, self.size)

    def vacate(self, parts: int) -> None:
        self.used -= min(parts, self.size)


def take_batch(room: WaitingRoom, window: Window, pace: Pace, now: float, *, bulk_allowed: bool) -> list[Waiting]:
    """The records to claim next, `.now` first. Window and tokens are taken for them, in the parts they announce."""
    pace.advance(now)
    room.release_due(now)
    taken = _take_lane(room, window, pace, Lane.NOW)
    if bulk_allowed:
        taken += _take_lane(room, window, pace, Lane.BULK)
    return taken


def _take_lane(room: WaitingRoom, window: Window, pace: Pace, lane: Lane) -> list[Waiting]:
    taken: list[Waiting] = []
    bulk = lane is Lane.BULK
    while pace.available(bulk=bulk) > 0:
        record = room.peek(lane)
        if record is None or not window.holds(record.room, bulk=bulk):
            break
        room.take(lane)
        window.occupy(record.room)
        pace.spend(record.room)
        taken.append(record)
    return taken
