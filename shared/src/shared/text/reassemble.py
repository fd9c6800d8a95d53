"""Long inbound messages put together from their parts. Which parts belong together is for whoever keeps them."""

from collections.abc import Iterable
from typing import NamedTuple

from shared.text.encoding import Encoding
from shared.text.received import Content, decode


class Whole(NamedTuple):
    """A message as far as it came. Its repr shows no text."""

    text: str | None
    """None for binary content and for alphabets that are not read. Parts that are missing leave no trace in it."""
    missing: tuple[int, ...]
    """Parts that never came, from 1; empty for a complete message."""

    def __repr__(self) -> str:
        return f"<Whole missing={len(self.missing)}>"


def join(contents: Iterable[Content], total: int) -> Whole:
    """Parts of one message of `total` parts, in any order, each at most once."""
    parts = sorted(contents, key=_number)
    there = {_number(part) for part in parts}
    return Whole(_read(parts), tuple(number for number in range(1, total + 1) if number not in there))


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
