"""Type of number and numbering plan of a source address (SMPP 3.4, 5.2.5 and 5.2.6)."""

from typing import NamedTuple

from shared.smpp import constants as c

SHORTEST_INTERNATIONAL = 8  # digits; shorter ones are a carrier's short codes (E.164 numbers this short are not mobile)


class SourceAddress(NamedTuple):
    ton: int
    npi: int
    address: str


def source_address(sender: str) -> SourceAddress:
    """An international number goes without its plus; an empty sender leaves the choice to the SMSC (4.4.1)."""
    digits = sender.removeprefix("+")
    if not sender:
        return SourceAddress(c.TON_UNKNOWN, c.NPI_UNKNOWN, "")
    if not (digits.isascii() and digits.isdigit()):
        return SourceAddress(c.TON_ALPHANUMERIC, c.NPI_UNKNOWN, sender)
    if len(digits) < SHORTEST_INTERNATIONAL and not sender.startswith("+"):
        return SourceAddress(c.TON_NETWORK_SPECIFIC, c.NPI_UNKNOWN, digits)
    return SourceAddress(c.TON_INTERNATIONAL, c.NPI_ISDN, digits)
