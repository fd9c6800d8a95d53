"""Where one PDU ends and the next begins (SMPP 3.4, 3.2)."""

from struct import Struct
from typing import Final

from shared.smpp.constants import ESME_RINVCMDLEN, HEADER_SIZE
from shared.smpp.errors import PduError

MAX_PDU: Final = 0x11000  # one message_payload of 65,535 octets (5.3.2.32) and 4 KiB for everything around it

_LENGTH = Struct(">L").unpack_from
_AFTER_LENGTH = Struct(">LLL").unpack_from


class FrameSplitter:
    """Cuts a byte stream into PDUs, whatever its chunks.

    Holds at most one unfinished PDU, so at most `limit` octets, and never allocates what a command_length merely
    announces. After a bad command_length nothing that follows can be trusted: `broken` is set, every later `feed`
    raises it, and the session answers generic_nack and closes.
    """

    __slots__ = ("_limit", "_pending", "_wanted", "broken")

    def __init__(self, limit: int = MAX_PDU) -> None:
        self._limit = limit
        self._pending = bytearray()
        self._wanted = HEADER_SIZE  # octets that must be pending before anything can change
        self.broken: PduError | None = None

    def feed(self, data: bytes | bytearray | memoryview) -> list[bytes]:
        """Takes what the socket gave and returns every PDU completed by it, header included, oldest first.

        PDUs ahead of a bad command_length are still returned; look at `broken` after handling them.
        """
        if self.broken is not None:
            raise self.broken
        pending = self._pending
        if pending:
            pending += data
            if len(pending) < self._wanted:
                return []
            chunk = bytes(pending)
            pending.clear()
        else:
            chunk = data if type(data) is bytes else bytes(data)

        frames: list[bytes] = []
        start, size = 0, len(chunk)
        self._wanted = HEADER_SIZE
        while size - start >= HEADER_SIZE:
            length: int = _LENGTH(chunk, start)[0]
            if length < HEADER_SIZE or length > self._limit:
                command_id, _, sequence_number = _AFTER_LENGTH(chunk, start + 4)
                self.broken = PduError(
                    ESME_RINVCMDLEN, "command_length outside what is accepted", sequence_number, command_id
                )
                return frames
            end = start + length
            if end > size:
                self._wanted = length
                break
            frames.append(chunk[start:end])
            start = end
        if start < size:
            pending += chunk[start:]
        return frames

    @property
    def pending(self) -> int:
        """Octets of an unfinished PDU: not 0 at the end of the stream means that the peer stopped in its middle."""
        return len(self._pending)
