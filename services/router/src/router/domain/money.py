"""Prices: decimal strings outside, integers of millionths inside, never a float."""

import re

from shared.contracts.fields import MICROS

_DECIMAL = re.compile(r"(\d{1,12})(?:\.(\d{1,6}))?", re.ASCII)


def micros_of(text: str) -> int:
    """`"0.045"` is 45000. ValueError unless it is a plain decimal, not negative, with at most six places."""
    found = _DECIMAL.fullmatch(text)
    if found is None:
        raise ValueError("write a decimal such as 0.045: not negative, at most six places")
    return int(found[1]) * MICROS + int((found[2] or "").ljust(6, "0"))


def text_of(micros: int) -> str:
    """45000 is `"0.045"`: the shortest that says the same. At least three places, as prices of an SMS are written."""
    whole, rest = divmod(micros, MICROS)
    return f"{whole}.{f'{rest:06d}'.rstrip('0').ljust(3, '0')}"
