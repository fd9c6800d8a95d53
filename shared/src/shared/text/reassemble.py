"""Long inbound messages put together from their parts, whatever order they come in.

Pure: time is a parameter, and what is finished is returned. Nothing is lost on the way: a part is in exactly one of
the returned messages, unless it repeats another. Parts that come too late, or that there is no room to wait for, make
an incomplete message: a STOP in part 1 must count although part 2 never came.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, NamedTuple

from msgspec import Struct

from shared.text.encoding import Encoding
from shared.text.received import Content, decode

MAX_WAITING: Final = 10_000
MAX_OCTETS: Final = 16 * 1024 * 1024
_PART_COST: Final = 400  # octets that a part takes beside its content, measured; empty parts must not be free
_MARK_COST: Final = 150  # octets that a finished part's mark takes
TIMEOUT_MS: Final = 10 * 60 * 1000  # parts of one message arrive within seconds; handsets out of coverage take minutes


class Whole(NamedTuple):
    """A message as far as it came. Its repr shows no text."""

    peer: Hashable
    """As given to `add`."""
    text: str | None
    """None for binary content and for alphabets that are not read. Parts that are missing leave no trace in it."""
    total: int
    missing: tuple[int, ...]
    """Parts that never came, from 1; empty for a complete message."""
    first_part_at_ms: int

    def __repr__(self) -> str:
        return f"<Whole total={self.total} missing={len(self.missing)}>"


class _Waiting(Struct):
    since_ms: int
    parts: dict[int, Content]
    octets: int


_Key = tuple[Hashable, int, int]


class Reassembler:
    """Holds at most `max_waiting` unfinished messages, which take at most `max_octets` together, and marks of
    finished ones, by which it knows a part that a carrier repeats, within the same two limits."""

    def __init__(
        self, timeout_ms: int = TIMEOUT_MS, max_waiting: int = MAX_WAITING, max_octets: int = MAX_OCTETS
    ) -> None:
        self._timeout_ms = timeout_ms
        self._max_waiting = max_waiting
        self._max_octets = max_octets
        self._waiting: OrderedDict[_Key, _Waiting] = OrderedDict()  # oldest first part first
        self._finished: OrderedDict[_Key, tuple[int, dict[int, int]]] = OrderedDict()  # since when, marks by part
        self._marks = 0  # of finished messages' parts
        self._octets = 0

    def __len__(self) -> int:
        """Unfinished messages."""
        return len(self._waiting)

    @property
    def octets(self) -> int:
        """That unfinished messages take, their bookkeeping included."""
        return self._octets

    def add(self, peer: Hashable, content: Content, now_ms: int) -> list[Whole]:
        """One received message or part; returns what is finished by it, oldest first.

        `peer` tells whose references they are: carrier, sender and receiver. A part that repeats one is dropped; a
        part with a number that is there already but with other content begins another message, since handsets use an
        8-bit reference again.
        """
        done = self.expire(now_ms)
        if content.concatenation is None:
            done.append(Whole(peer, _read([content]), 1, (), now_ms))
            return done
        reference, total, part = content.concatenation
        key = (peer, reference, total)
        finished = self._finished.get(key)
        if finished is not None and part in finished[1]:
            if finished[1][part] == hash(content):
                return done
            self._forget(key)  # the reference now is another message's
        waiting = self._waiting.get(key)
        if waiting is not None and part in waiting.parts:
            if waiting.parts[part] == content:
                return done
            done.append(self._finish(key))
            self._forget(key)
            waiting = None
        if waiting is None:
            waiting = self._waiting[key] = _Waiting(now_ms, {}, 0)
        waiting.parts[part] = content
        cost = _PART_COST + len(content.octets)
        waiting.octets += cost
        self._octets += cost
        if len(waiting.parts) == total:
            done.append(self._finish(key))
        while self._waiting and (len(self._waiting) > self._max_waiting or self._octets > self._max_octets):
            done.append(self._finish(next(iter(self._waiting))))
        return done

    def expire(self, now_ms: int) -> list[Whole]:
        """Messages whose first part is older than the timeout, as they are, oldest first."""
        oldest = now_ms - self._timeout_ms
        done = []
        while self._waiting:
            key, waiting = next(iter(self._waiting.items()))
            if waiting.since_ms > oldest:
                break
            done.append(self._finish(key))
        while self._finished:
            key, (since_ms, _) = next(iter(self._finished.items()))
            if since_ms > oldest - self._timeout_ms:
                break
            self._forget(key)
        return done

    def drain(self) -> list[Whole]:
        """Everything unfinished, as it is: for a process that stops."""
        return [self._finish(key) for key in list(self._waiting)]

    def _forget(self, key: _Key) -> None:
        found = self._finished.pop(key, None)
        self._marks -= len(found[1]) if found else 0

    def _finish(self, key: _Key) -> Whole:
        waiting = self._waiting.pop(key)
        self._octets -= waiting.octets
        before = self._finished.pop(key, (0, {}))[1]  # a late part of a message that was given up
        marks = {number: hash(content) for number, content in waiting.parts.items()}
        self._finished[key] = waiting.since_ms, {**before, **marks}
        self._marks += len(self._finished[key][1]) - len(before)
        while len(self._finished) > self._max_waiting or self._marks * _MARK_COST > self._max_octets:
            self._forget(next(iter(self._finished)))
        peer, _, total = key
        numbers = sorted(waiting.parts)
        missing = tuple(number for number in range(1, total + 1) if number not in waiting.parts)
        return Whole(peer, _read([waiting.parts[number] for number in numbers]), total, missing, waiting.since_ms)


def _read(parts: list[Content]) -> str | None:
    """The text of parts in order. Neighbours in one alphabet are read together: some phones cut inside a pair."""
    pieces: list[str | None] = []
    start = 0
    for end in range(1, len(parts) + 1):
        first = parts[start]
        if end < len(parts):
            following = parts[end]
            adjacent = _number(following) == _number(parts[end - 1]) + 1
            alike = (following.encoding, following.shift) == (first.encoding, first.shift)
            aligned = first.encoding is not Encoding.UCS2 or len(parts[end - 1].octets) % 2 == 0
            if adjacent and alike and aligned:
                continue
        octets = b"".join(part.octets for part in parts[start:end])
        pieces.append(decode(octets, first.encoding, first.shift))
        start = end
    if all(piece is None for piece in pieces):
        return None
    return "".join("" if piece is None else piece for piece in pieces)


def _number(content: Content) -> int:
    return content.concatenation.part if content.concatenation is not None else 1
