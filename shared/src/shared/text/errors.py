"""Why a text cannot be sent. No message, and no attribute, ever holds the text."""


class TextError(ValueError):
    """The text cannot be sent as it is; sending it again cannot help."""


class UnencodableError(TextError):
    """No allowed encoding has this character.

    `position` counts Python's characters (code points) from 0. With several encodings allowed it is where the one
    that got furthest stopped.
    """

    def __init__(self, position: int) -> None:
        super().__init__(f"character at position {position} is in none of the allowed encodings")
        self.position = position

    def __reduce__(self) -> tuple[type["UnencodableError"], tuple[int]]:
        return type(self), (self.position,)


class TooManyPartsError(TextError):
    """More parts than a concatenation header can number (3GPP TS 23.040, 9.2.3.24.1: one octet)."""

    def __init__(self, parts: int) -> None:
        super().__init__(f"text needs {parts} parts; 255 is the most that a message can have")
        self.parts = parts

    def __reduce__(self) -> tuple[type["TooManyPartsError"], tuple[int]]:
        return type(self), (self.parts,)
