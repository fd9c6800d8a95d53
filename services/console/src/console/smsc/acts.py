"""The hostile acts that really happened, so that a checker knows what a client had to bear."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

_encode = msgspec.json.Encoder().encode


class Performed(NamedTuple):
    time: float
    """Unix seconds."""
    act: str
    """The script's sentence."""
    session: int | None = None
    """The link that it met; None: the whole SMSC, or a receipt before a link took it."""
    sequence: int | None = None
    """Of the submit that it met."""
    id: str | None = None
    """The message's id, where it has one."""


class Acts:
    """Rows are numbered from 0 in the order in which they happened. `bound` as in `SmscConfig.history`."""

    def __init__(self, bound: int | None) -> None:
        self._bound = bound
        self._rows: list[Performed] = []
        self.first = 0

    def __len__(self) -> int:
        return self.first + len(self._rows)

    def add(self, row: Performed) -> None:
        if self._bound == 0:
            self.first += 1
            return
        if self._bound is not None and len(self._rows) >= 2 * self._bound:
            del self._rows[: self._bound]
            self.first += self._bound
        self._rows.append(row)

    def rows(self, since: int = 0, limit: int | None = None) -> list[Performed]:
        """The rows numbered `since` and above, as far as they are remembered."""
        start = max(0, since - self.first)
        return self._rows[start : None if limit is None else start + limit]

    def ndjson(self, since: int, limit: int) -> Iterator[bytes]:
        """The same rows as JSON lines with their number `n`; a first `n` above `since` tells that some were forgotten."""
        for n, row in enumerate(self.rows(since, limit), max(since, self.first)):
            yield _encode({"n": n, **row._asdict()}) + b"\n"
