"""A file of lines cut into pieces that a server takes one by one, each cut between two rows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

PIECE: Final = 4 * 1024 * 1024


class Piece(NamedTuple):
    """`line`: number of its first line in the file. `next_line` and `end`: where in the file the next piece begins, as a
    line's number and in octets."""

    line: int
    next_line: int
    end: int
    body: bytes


def first_line(path: Path) -> bytes:
    """A CSV's header with its end of line."""
    with path.open("rb") as file:
        line = file.readline(1024 * 1024)
    return line if line.endswith(b"\n") else line + b"\n"


def pieces(path: Path, *, csv: bool, offset: int = 0, line: int = 1, size: int = PIECE) -> Iterator[Piece]:
    """From `offset`, where line `line` begins. Pieces of a CSV begin with its header, and end where no quote is open if
    there is such a place; a line that is longer than a piece is cut."""
    with path.open("rb") as file:
        header = b""
        if csv:
            header = file.readline(1024 * 1024)
            if offset == 0:
                offset, line = len(header), 2
        file.seek(offset)
        rest = b""
        while chunk := file.read(size):
            held = rest + chunk
            cut = _cut(held, quoted=csv) if len(chunk) == size else len(held)
            body, rest = held[:cut], held[cut:]
            offset += len(body)
            following = line + body.count(b"\n")
            yield Piece(line, following, offset, _with(header, body))
            line = following
        if rest:
            yield Piece(line, line + rest.count(b"\n"), offset + len(rest), _with(header, rest))


def _with(header: bytes, body: bytes) -> bytes:
    return header + body if not header or header.endswith(b"\n") else header + b"\n" + body


def _cut(held: bytes, *, quoted: bool) -> int:
    """Where a piece may end: after the last line end outside quotes, else after the last one, else at the end."""
    last = held.rfind(b"\n") + 1
    if last == 0:
        return len(held)
    if not quoted or held.count(b'"', 0, last) % 2 == 0:
        return last
    cut = last
    while cut > max(0, last - 64 * 1024):
        before = held.rfind(b"\n", 0, cut - 1) + 1
        if before == 0:
            break
        if held.count(b'"', 0, before) % 2 == 0:
            return before
        cut = before
    return last
