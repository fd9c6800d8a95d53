"""Numbers as letters and digits, for codes that stand in addresses: most significant first, always of one length."""

import string
from typing import Final

LETTERS: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_VALUE: Final = {letter: value for value, letter in enumerate(LETTERS)}


def written(value: int, length: int) -> str:
    """The last `length` base-62 digits of a number that is not negative."""
    letters = []
    for _ in range(length):
        value, digit = divmod(value, 62)
        letters.append(LETTERS[digit])
    return "".join(reversed(letters))


def read(code: str, length: int) -> int | None:
    """The number that a code of exactly this length writes; None for anything else."""
    if len(code) != length:
        return None
    value = 0
    for letter in code:
        digit = _VALUE.get(letter)
        if digit is None:
            return None
        value = value * 62 + digit
    return value
