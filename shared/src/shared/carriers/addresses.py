"""Type of number and numbering plan of addresses (SMPP 3.4, 5.2.5 and 5.2.6), which carriers disagree about."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from shared.smpp import constants as c

SHORTEST_INTERNATIONAL: Final = 8
"""Digits; shorter ones are a carrier's short codes (E.164 numbers this short are not mobile)."""


class AddressKind(StrEnum):
    INTERNATIONAL = "international"
    SHORT_CODE = "short_code"
    ALPHANUMERIC = "alphanumeric"
    DEFAULT = "default"
    """No address: the choice is the SMSC's (4.4.1)."""


class Numbering(NamedTuple):
    ton: int
    npi: int


class Address(NamedTuple):
    ton: int
    npi: int
    address: str


PLAIN_NUMBERING: Final[Mapping[AddressKind, Numbering]] = MappingProxyType(
    {
        AddressKind.INTERNATIONAL: Numbering(c.TON_INTERNATIONAL, c.NPI_ISDN),
        AddressKind.SHORT_CODE: Numbering(c.TON_NETWORK_SPECIFIC, c.NPI_UNKNOWN),
        AddressKind.ALPHANUMERIC: Numbering(c.TON_ALPHANUMERIC, c.NPI_UNKNOWN),
        AddressKind.DEFAULT: Numbering(c.TON_UNKNOWN, c.NPI_UNKNOWN),
    }
)


def address_kind(address: str) -> AddressKind:
    """Of a sender as people write it: a number with or without its plus, a short code, or a name."""
    if not address:
        return AddressKind.DEFAULT
    digits = address.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()):
        return AddressKind.ALPHANUMERIC
    if len(digits) < SHORTEST_INTERNATIONAL and not address.startswith("+"):
        return AddressKind.SHORT_CODE
    return AddressKind.INTERNATIONAL


def address(written: str, numbering: Mapping[AddressKind, Numbering], prefix: str = "") -> Address:
    """As it goes on the wire. `prefix` stands before international numbers: nothing, "+" or "00"."""
    kind = address_kind(written)
    ton, npi = numbering[kind]
    if kind is AddressKind.INTERNATIONAL:
        return Address(ton, npi, prefix + written.removeprefix("+"))
    return Address(ton, npi, written)
