"""Which offset may be committed when records finish in any order: the contiguous finished ones, never past a gap."""


class FinishedOffsets:
    """Offsets of one partition. `committable` is the next offset to read after a restart."""

    def __init__(self, first: int) -> None:
        self.committable = first
        self._taken: dict[int, bool] = {}  # offset to finished, in the order taken

    def take(self, offset: int) -> None:
        """A record was handed out. Offsets come in rising order; gaps (compaction, transactions) are no records."""
        self._taken[offset] = False

    def finish(self, offset: int) -> None:
        """A record's effects are durable."""
        if offset not in self._taken:
            return
        self._taken[offset] = True
        while self._taken:
            first = next(iter(self._taken))
            if not self._taken[first]:
                return
            del self._taken[first]
            self.committable = first + 1

    @property
    def open(self) -> int:
        """Records handed out and not yet committed past."""
        return len(self._taken)
