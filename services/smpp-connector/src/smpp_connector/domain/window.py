"""What one bind may take next: room in its window, tokens, and what both reserve for the `.now` lane.

The window counts parts from the moment their claim is asked for until their answer is recorded, so that a crash
leaves at most one window of open claims for each bind.
"""

from shared.contracts.topics import Lane

from smpp_connector.domain.pace import Pace
from smpp_connector.domain.sender_pace import SenderPace
from smpp_connector.domain.waiting_room import Waiting, WaitingRoom

RESERVED_SHARE = 0.1
RESERVE_FOR_S = 10.0  # after a `.now` record; codes come in company, and a campaign alone may use the whole window


class Window:
    """Room on one bind, in parts."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.used = 0
        self.reserved = 0 if size == 1 else max(1, round(size * RESERVED_SHARE))

    @property
    def free(self) -> int:
        return self.size - self.used

    def holds(self, parts: int, *, reserve: bool) -> bool:
        """Whether a message of so many parts may start, with or without leaving the reserve. One larger than the
        window starts when it has it alone; its parts then follow each other."""
        kept = self.reserved if reserve else 0
        return parts <= self.free - kept or (self.used == 0 and parts > self.size - kept)

    def occupy(self, parts: int) -> None:
        self.used += min(parts, self.size)

    def vacate(self, parts: int) -> None:
        self.used -= min(parts, self.size)


def take_batch(
    room: WaitingRoom, window: Window, pace: Pace, now: float, *, bulk_allowed: bool, senders: SenderPace | None = None
) -> list[Waiting]:
    """The records to claim next, `.now` first. Window and tokens are taken for them, in the parts they announce; one
    whose sender has none waits for its turn, and others go ahead of it.

    The window's reserve is kept while `.now` records come. After `RESERVE_FOR_S` without one bulk may use it too: the
    next code then waits for one answer at most, which one of a full window gives within latency / size on average."""
    pace.advance(now)
    room.release_due(now)
    taken = _take_lane(room, window, pace, Lane.NOW, now, senders, reserve=False)
    if taken or room.waiting(Lane.NOW):
        room.codes_at = now
    if bulk_allowed:
        taken += _take_lane(room, window, pace, Lane.BULK, now, senders, reserve=now - room.codes_at < RESERVE_FOR_S)
    return taken


def _take_lane(
    room: WaitingRoom, window: Window, pace: Pace, lane: Lane, now: float, senders: SenderPace | None, *, reserve: bool
) -> list[Waiting]:
    taken: list[Waiting] = []
    bulk = lane is Lane.BULK
    while pace.available(bulk=bulk) > 0:
        record = room.peek(lane)
        if record is None or not window.holds(record.room, reserve=reserve):
            break
        room.take(lane)
        if senders is not None:
            if not record.turn:
                due = senders.turn(record.request.sender or "", record.room, now)
                if due > now:
                    record.turn = True
                    room.put_back(record, due)
                    continue
            record.turn = False
        window.occupy(record.room)
        pace.spend(record.room)
        taken.append(record)
    return taken
