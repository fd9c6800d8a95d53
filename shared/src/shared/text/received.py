"""The text of a message that came from a handset."""

from collections.abc import Mapping
from typing import NamedTuple

from shared.smpp.constants import (
    TLV_SAR_MSG_REF_NUM,
    TLV_SAR_SEGMENT_SEQNUM,
    TLV_SAR_TOTAL_SEGMENTS,
)
from shared.text import gsm0338, national
from shared.text.encoding import INCOMING, Encoding, encoding_of
from shared.text.national import DEFAULT, Shift
from shared.text.udh import Concatenation, read_headers


class Received(NamedTuple):
    text: str | None
    """None for binary content and for alphabets that are not read."""
    concatenation: Concatenation | None
    """Which part of a longer message this is."""


class Content(NamedTuple):
    """A received message, or one part of it, not read yet: what a pair of octets means may depend on the next part."""

    octets: bytes
    encoding: Encoding | None
    shift: Shift
    concatenation: Concatenation | None


def read_received(
    content: bytes,
    data_coding: int,
    *,
    has_udh: bool,
    incoming: Mapping[int, Encoding] = INCOMING,
    tlvs: Mapping[int, bytes] | None = None,
) -> Received:
    """Reads short_message or message_payload octets. Never raises: what is malformed becomes U+FFFD.

    `tlvs` are the PDU's: a carrier may tie parts together by SAR TLVs; a UDH goes before them.
    """
    concatenation: Concatenation | None = None
    shift = DEFAULT
    if has_udh:
        concatenation, shift, content = read_headers(content)
    if tlvs and concatenation is None:
        concatenation = _read_sar(tlvs)
    return Received(decode(content, encoding_of(data_coding, incoming), shift), concatenation)


def read_content(
    content: bytes,
    data_coding: int,
    *,
    has_udh: bool,
    incoming: Mapping[int, Encoding] = INCOMING,
    tlvs: Mapping[int, bytes] | None = None,
) -> Content:
    """As `read_received`, for whoever puts parts together before reading them."""
    concatenation: Concatenation | None = None
    shift = DEFAULT
    if has_udh:
        concatenation, shift, content = read_headers(content)
    if tlvs and concatenation is None:
        concatenation = _read_sar(tlvs)
    return Content(content, encoding_of(data_coding, incoming), shift, concatenation)


def decode(octets: bytes, encoding: Encoding | None, shift: Shift = DEFAULT) -> str | None:
    """Septets are unpacked, one an octet. `shift` names their national tables."""
    if encoding is Encoding.GSM7:
        return gsm0338.decode(octets) if shift is DEFAULT else national.decode(octets, shift)
    if encoding is Encoding.UCS2:
        return octets.decode("utf-16-be", "replace")
    if encoding is Encoding.LATIN1:
        return octets.decode("latin-1")
    return None


def _read_sar(tlvs: Mapping[int, bytes]) -> Concatenation | None:
    """SMPP 3.4, 5.3.2.22 to 24: all three, or the message is whole."""
    reference = tlvs.get(TLV_SAR_MSG_REF_NUM, b"")
    total = tlvs.get(TLV_SAR_TOTAL_SEGMENTS, b"")
    part = tlvs.get(TLV_SAR_SEGMENT_SEQNUM, b"")
    if len(reference) != 2 or len(total) != 1 or len(part) != 1 or not 1 <= part[0] <= total[0]:
        return None
    return Concatenation(reference[0] << 8 | reference[1], total[0], part[0])
