"""Every submit, remembered as a compact tuple, so that a checker can prove that nothing was lost or sent twice."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from console.smsc.pdu import Submit

_encode = msgspec.json.Encoder().encode


class Remembered(NamedTuple):
    """One submit and the answer that the SMSC chose, whether or not the answer reached the ESME."""

    time: float
    """Unix seconds."""
    session: int
    sequence: int
    submit: Submit
    status: int
    """0: taken."""
    message_id: bytes
    stat: str
    """What is or will be reported; NONE: nothing ever; empty if not taken."""
    err: str
    account: str = ""
    """The system_id of the bind that it came on."""
    acts: tuple[str, ...] = ()
    """What the script does to its response and its receipt."""


class History:
    """Rows are numbered from 0 in the order of arrival. `bound` as in `SmscConfig.history`."""

    def __init__(self, bound: int | None) -> None:
        self._bound = bound
        self._rows: list[Remembered] = []
        self.first = 0
        """The number of the oldest row still remembered."""

    def __len__(self) -> int:
        """How many rows there ever were, forgotten ones included."""
        return self.first + len(self._rows)

    def add(self, row: Remembered) -> None:
        if self._bound == 0:
            self.first += 1
            return
        if self._bound is not None and len(self._rows) >= 2 * self._bound:
            del self._rows[: self._bound]
            self.first += self._bound
        self._rows.append(row)

    def rows(self, since: int = 0, limit: int | None = None) -> Sequence[Remembered]:
        """The rows numbered `since` and above, as far as they are remembered."""
        start = max(0, since - self.first)
        return self._rows[start : None if limit is None else start + limit]

    def ndjson(self, since: int, limit: int, chunk: int = 2000) -> Iterator[bytes]:
        """The same rows as JSON lines, in pieces of at most `chunk` rows.

        `n` is a row's number: the next call asks since the last `n` + 1, and a first `n` above `since` tells that
        rows were forgotten. `octets` is hexadecimal.
        """
        end = min(len(self), since + limit)
        at = max(since, self.first)
        while at < end:
            rows = self.rows(at, min(chunk, end - at))
            if not rows:
                return
            yield b"".join(_encode(_as_json(at + i, row)) + b"\n" for i, row in enumerate(rows))
            at += len(rows)


def _as_json(number: int, row: Remembered) -> dict[str, object]:
    submit = row.submit
    return {
        "n": number,
        "time": row.time,
        "session": row.session,
        "sequence": row.sequence,
        "to": submit.destination[2:-1].decode("latin-1"),
        "from": submit.source[2:-1].decode("latin-1"),
        "esm_class": submit.esm_class,
        "data_coding": submit.data_coding,
        "registered_delivery": submit.registered_delivery,
        "sar": submit.sar,
        "octets": submit.octets.hex(),
        "status": row.status,
        "id": row.message_id.decode("ascii") or None,
        "stat": row.stat or None,
        "err": row.err or None,
        "account": row.account or None,
        "acts": row.acts,
    }


class Repeats:
    """Tells whether a submit equals an earlier one, among at least the last `bound` (None: among all)."""

    def __init__(self, bound: int | None) -> None:
        self._bound = bound
        self._recent: set[int] = set()
        self._older: set[int] = set()

    def seen(self, submit: Submit) -> bool:
        # A hash of 64 bits instead of the octets: a false repeat among a million messages has odds of 1 to 10^7.
        key = hash((submit.source, submit.destination, submit.esm_class, submit.octets, submit.sar))
        if key in self._recent or key in self._older:
            return True
        if self._bound is not None and len(self._recent) >= self._bound:
            self._older, self._recent = self._recent, set()
        self._recent.add(key)
        return False
