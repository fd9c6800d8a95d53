"""The text of a message that came from a handset."""

from collections.abc import Mapping
from typing import NamedTuple

from shared.text import gsm0338
from shared.text.encoding import INCOMING, Encoding, encoding_of
from shared.text.udh import Concatenation, read_udh


class Received(NamedTuple):
    text: str | None
    """None for binary content and for alphabets that are not read."""
    concatenation: Concatenation | None
    """Which part of a longer message this is."""


def read_received(
    content: bytes, data_coding: int, *, has_udh: bool, incoming: Mapping[int, Encoding] = INCOMING
) -> Received:
    """Reads short_message or message_payload octets. Never raises: what is malformed becomes U+FFFD."""
    concatenation: Concatenation | None = None
    if has_udh:
        concatenation, content = read_udh(content)
    return Received(decode(content, encoding_of(data_coding, incoming)), concatenation)


def decode(octets: bytes, encoding: Encoding | None) -> str | None:
    """Septets are unpacked, one an octet."""
    if encoding is Encoding.GSM7:
        return gsm0338.decode(octets)
    if encoding is Encoding.UCS2:
        return octets.decode("utf-16-be", "replace")
    if encoding is Encoding.LATIN1:
        return octets.decode("latin-1")
    return None
