"""An accepted message in the clear: in memory only."""

from typing import NamedTuple

from shared.contracts.events import MessageAccepted

from segmenter.domain.prepare import Content


class Opened(NamedTuple):
    """The repr shows its id."""

    event: MessageAccepted
    number: str
    content: Content

    def __repr__(self) -> str:
        return f"<Opened {self.event.message_id}>"
