"""The one way in which octets, or a value to be written, can be refused."""


class PduError(ValueError):
    """A PDU that cannot be read or written.

    `command_status` is what the peer is to be told (generic_nack, or the command's response), `reason` a constant
    sentence that names fields but never their contents, `sequence_number` the PDU's own, 0 where none could be read
    (SMPP 3.4, 4.3.1), and `command_id` 0 likewise.
    """

    def __init__(self, command_status: int, reason: str, sequence_number: int = 0, command_id: int = 0) -> None:
        super().__init__(reason)
        self.command_status = command_status
        self.reason = reason
        self.sequence_number = sequence_number
        self.command_id = command_id

    def __reduce__(self) -> tuple[type["PduError"], tuple[int, str, int, int]]:
        return type(self), (self.command_status, self.reason, self.sequence_number, self.command_id)
