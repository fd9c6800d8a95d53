"""The records that wait for this carrier: two lanes, and for each contact one at a time, in order.

Of one contact and lane only the oldest record can be taken; the others stand behind it until it is done, also while
it waits for another try. Across the lanes a contact has one record on the wire; the other lane's next is parked.
"""

import heapq
from collections import deque
from collections.abc import Iterator
from itertools import count
from typing import Any

from shared.contracts.events import SubmitRequested
from shared.contracts.topics import Lane

LANES = (Lane.NOW, Lane.BULK)


class Place:
    """Where records come from: a partition while we own it. Records of a place that was lost are let go."""

    __slots__ = ("alive", "name", "taken")

    def __init__(self, name: Any) -> None:
        self.name = name
        self.alive = True
        self.taken = 0  # records taken and not yet put back or published


class Waiting:
    """One record of a submit topic, from the feed until it is settled."""

    __slots__ = (
        "answers", "attempt", "bind", "contact_id", "epoch", "expected", "frames", "free", "headers", "key", "lane", "message_id",
        "offset", "place", "request", "room", "slot", "tries", "turn", "unheard", "unsent",
    )  # fmt: skip

    def __init__(
        self, request: SubmitRequested, lane: Lane, place: Place, offset: int, headers: tuple[tuple[str, bytes], ...]
    ) -> None:
        self.request = request
        self.message_id = request.message_id
        self.attempt = request.attempt
        self.key = request.message_id, request.attempt  # of its claim
        self.contact_id = request.contact_id
        self.lane = lane
        self.place = place
        self.offset = offset
        self.headers = headers
        self.room = max(1, request.parts)  # window and tokens it takes, in parts
        self.tries = 0  # temporary refusals
        self.turn = False  # its sender's tokens are spent for it, and their time has come or is waited for
        self.free = False  # its claim is there and free: taken again, not made anew
        self.unheard: tuple[int, ...] = ()  # tokens of claims asked for without hearing the answer
        self.bind: Any = None  # the bind in whose window it counts
        self.slot = 0
        self.epoch = 0
        self.frames: list[bytes] = []  # its submit_sm, without sequence numbers
        self.answers: list[tuple[int, str | None] | None] = []  # command_status and id of each part
        self.expected = 0  # parts written and not answered
        self.unsent: list[int] = []  # parts still to be written


class WaitingRoom:
    """Pure bookkeeping: nothing in it waits. `now` is in seconds of any steady clock."""

    def __init__(self) -> None:
        self._ready: dict[Lane, deque[Waiting]] = {lane: deque() for lane in LANES}
        self._behind: dict[tuple[Lane, str], deque[Waiting]] = {}  # a key is there while its first is not done
        self._parked: dict[str, deque[Waiting]] = {}
        self._on_wire: set[str] = set()
        self._delayed: list[tuple[float, int, Waiting]] = []
        self._order = count()
        self._counts = dict.fromkeys(LANES, 0)
        self.codes_at = float("-inf")  # when the `.now` lane last had a record: the window's business
        self.abandoned: list[Waiting] = []
        """Let go while a claim asked for without an answer may stand in their name: it must be freed for the next
        owner, or he waits for us."""

    def waiting(self, lane: Lane) -> int:
        """Records in the room that have not been taken."""
        return self._counts[lane]

    def __len__(self) -> int:
        return sum(self._counts.values())

    def push(self, record: Waiting) -> None:
        """A new record, younger than all of its contact and lane."""
        self._counts[record.lane] += 1
        chain = (record.lane, record.contact_id)
        behind = self._behind.get(chain)
        if behind is None:
            self._behind[chain] = _NONE_BEHIND
            self._ready[record.lane].append(record)
        elif behind is _NONE_BEHIND:
            self._behind[chain] = deque((record,))
        else:
            behind.append(record)

    def peek(self, lane: Lane) -> Waiting | None:
        """The record that `take` would give."""
        ready = self._ready[lane]
        while ready:
            record = ready[0]
            if record.contact_id not in self._on_wire:
                return record
            self._parked.setdefault(record.contact_id, deque()).append(ready.popleft())
        return None

    def take(self, lane: Lane) -> Waiting | None:
        """The next record whose contact has nothing on the wire. It counts as on the wire until put back or done."""
        record = self.peek(lane)
        if record is None:
            return None
        self._ready[lane].popleft()
        self._on_wire.add(record.contact_id)
        self._counts[lane] -= 1
        record.place.taken += 1
        return record

    def put_back(self, record: Waiting, due: float | None = None) -> None:
        """Taken and not settled: first of its lane again, at once or when it is `due`."""
        record.place.taken -= 1
        self._counts[record.lane] += 1
        if not record.place.alive:
            self._forget(record)
        elif due is None:
            self._ready[record.lane].appendleft(record)
        else:
            heapq.heappush(self._delayed, (due, next(self._order), record))
        self._leave_wire(record.contact_id)

    def done(self, record: Waiting) -> None:
        """Taken and settled: the next of its contact may go. It counts as taken from its place until it is published."""
        self._advance(record)
        self._leave_wire(record.contact_id)

    def release_due(self, now: float) -> None:
        """Records whose pause is over stand first in their lane again."""
        while self._delayed and self._delayed[0][0] <= now:
            record = heapq.heappop(self._delayed)[2]
            self._ready[record.lane].appendleft(record)

    @property
    def next_due(self) -> float | None:
        return self._delayed[0][0] if self._delayed else None

    def leave(self, place: Place) -> None:
        """The place was lost: its records are let go; those on the wire end as they end."""
        place.alive = False
        for record in [r for r in self._everything() if r.place is place]:
            self._forget(record)

    def _everything(self) -> Iterator[Waiting]:
        for ready in self._ready.values():
            yield from ready
        for parked in self._parked.values():
            yield from parked
        for behind in self._behind.values():
            yield from behind
        for _, _, record in self._delayed:
            yield record

    def _forget(self, record: Waiting) -> None:
        """Takes it out, wherever it stands."""
        if record.unheard:
            self.abandoned.append(record)
        self._counts[record.lane] -= 1
        chain = (record.lane, record.contact_id)
        behind = self._behind.get(chain, _NONE_BEHIND)
        if record in behind:
            behind.remove(record)
            if not behind:
                self._behind[chain] = _NONE_BEHIND
            return
        parked = self._parked.get(record.contact_id)
        if parked is not None and record in parked:
            parked.remove(record)
            if not parked:
                del self._parked[record.contact_id]
        elif record in self._ready[record.lane]:
            self._ready[record.lane].remove(record)
        else:
            self._delayed = [item for item in self._delayed if item[2] is not record]
            heapq.heapify(self._delayed)
        self._advance(record)

    def _advance(self, record: Waiting) -> None:
        chain = (record.lane, record.contact_id)
        behind = self._behind.get(chain, _NONE_BEHIND)
        if behind:
            self._ready[record.lane].appendleft(behind.popleft())
            if not behind:
                self._behind[chain] = _NONE_BEHIND
        else:
            self._behind.pop(chain, None)

    def _leave_wire(self, contact_id: str) -> None:
        self._on_wire.discard(contact_id)
        for record in reversed(self._parked.pop(contact_id, ())):
            self._ready[record.lane].appendleft(record)


_NONE_BEHIND: deque[Waiting] = deque(maxlen=0)
