"""What is promised of octets that a carrier sends, as functions that fail when a promise is broken.

Each takes any octets. The only exception that anything may raise is PduError; whatever else comes out is a finding.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.smpp.constants import HEADER_SIZE, STATUS_NAMES
from shared.smpp.errors import PduError
from shared.smpp.frames import FrameSplitter
from shared.smpp.pdu import DeliverSm, Pdu, decode, encode
from shared.smpp.receipt import MessageState, Receipt, ReceiptGrammar, is_receipt, parse_receipt
from shared.smpp.times import deadline, read_receipt_date
from shared.text.reassemble import join
from shared.text.received import Content, read_content, read_received

STREAM_LIMIT = 512
OWN_GRAMMAR = ReceiptGrammar({"msg id": "id", "final_date": "done date"}, {"SENT": MessageState.DELIVERED})


def pdu(data: bytes) -> None:
    """A frame is a value or a PduError; a value is written as octets that read back as the same value."""
    _decoded(data, strict=False)  # with whatever length it says it has
    frame = (len(data) + 4).to_bytes(4, "big") + data  # with the right one
    lenient = _decoded(frame, strict=False)
    strict = _decoded(frame, strict=True)
    if strict is not None:
        assert lenient == strict, "what strict reading takes, lenient reading must read alike"
    if lenient is None:
        return
    octets = _or_error(lambda: encode(lenient))
    if isinstance(octets, PduError):
        return  # read leniently, and longer than may be written
    again = decode(octets)
    assert type(again) is type(lenient)
    assert again == lenient
    assert encode(again) == octets
    repr(lenient)


def _decoded(frame: bytes, *, strict: bool) -> Pdu | None:
    found = _or_error(lambda: decode(frame, strict=strict))
    if not isinstance(found, PduError):
        return found
    if len(frame) >= HEADER_SIZE:
        assert found.sequence_number == int.from_bytes(frame[12:16], "big")
    return None


def _or_error(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except PduError as error:
        found = error
    assert found.command_status in STATUS_NAMES
    assert found.command_status != 0
    return found


def stream(data: bytes) -> None:
    """However a stream is cut, each frame comes out as its length says; what waits never exceeds the limit."""
    if len(data) < 2:
        return
    step, octets = data[0] % 64 + 8, data[1:]
    whole, cut = FrameSplitter(STREAM_LIMIT), FrameSplitter(STREAM_LIMIT)
    frames = whole.feed(octets)
    pieces: list[bytes] = []
    for at in range(0, len(octets), step):
        pieces += cut.feed(octets[at : at + step])
        assert cut.pending <= STREAM_LIMIT
        if cut.broken is not None:
            break
        if data[0] & 64:  # uneven pieces: the rest in one
            pieces += cut.feed(octets[at + step :])
            break
    assert pieces == frames == _by_their_lengths(octets)
    assert (whole.broken is None) == (cut.broken is None)
    if whole.broken is None:
        assert sum(map(len, frames)) + whole.pending == len(octets)
    for frame in frames:
        assert HEADER_SIZE <= len(frame) <= STREAM_LIMIT
        _decoded(frame, strict=False)


def _by_their_lengths(octets: bytes) -> list[bytes]:
    frames, at = [], 0
    while len(octets) - at >= HEADER_SIZE:
        length = int.from_bytes(octets[at : at + 4], "big")
        if not HEADER_SIZE <= length <= min(STREAM_LIMIT, len(octets) - at):
            break
        frames.append(octets[at : at + length])
        at += length
    return frames


def receipt(data: bytes) -> None:
    """Any deliver_sm is read as a receipt without raising, within bounds."""
    if not data:
        return
    flags, content = data[0], data[1:]
    tlvs: dict[int, bytes] = {}
    if flags & 1:
        cut = len(content) // 2
        content, tail = content[:cut], content[cut:]
        tlvs = {0x001E: tail, 0x0427: tail[:1], 0x0423: tail[:3]}
        if flags & 2:
            tlvs[0x0424], content = content, b""
    message = DeliverSm(
        sequence_number=1,
        esm_class=0x44 if flags & 4 else 4,
        data_coding=8 if flags & 8 else 0,
        short_message=content,
        tlvs=tlvs,
    )
    is_receipt(message)
    found = parse_receipt(message, id_from_text=bool(flags & 16))
    _check(found)
    _check(parse_receipt(message, grammar=OWN_GRAMMAR))
    read_receipt_date(found.done_date_raw, four_digit_years=bool(flags & 32), offset=timedelta(hours=flags % 13))
    read_receipt_date(content[:17].decode("latin-1"))


def _check(found: Receipt) -> None:
    assert len(found.carrier_message_id) <= 64
    assert len(found.error_code) <= 32
    assert len(found.submit_date_raw) <= 32
    assert len(found.done_date_raw) <= 32
    assert found.final == (found.state is not None and found.state.final)


_PARTS: dict[int, Content] = {}  # one message's, until it is whole


def text(data: bytes) -> None:
    """Any content in any coding is read without raising, alone and put together with other parts."""
    if len(data) < 2:
        return
    data_coding, flags, content = data[0], data[1], data[2:]
    tlvs = {0x020C: content[:2], 0x020E: content[2:3], 0x020F: content[3:4]} if flags & 2 else {}
    received = read_received(content, data_coding, has_udh=bool(flags & 1), tlvs=tlvs)
    assert received.text is None or len(received.text) <= len(content)
    if received.text is not None:
        received.text.encode("utf-8")  # no lone surrogate gets through: it would stop Kafka and PostgreSQL
    part = read_content(content, data_coding, has_udh=bool(flags & 1), tlvs=tlvs)
    assert part.concatenation == received.concatenation
    total = part.concatenation.total if part.concatenation is not None else 1
    _PARTS[part.concatenation.part if part.concatenation is not None else 1] = part
    whole = join(_PARTS.values(), total)
    if whole.text is not None:
        whole.text.encode("utf-8")
    if not whole.missing or len(_PARTS) > 16:
        _PARTS.clear()


_NOW = datetime(2024, 1, 31, tzinfo=UTC)


def times(data: bytes) -> None:
    """Any string is a time or a PduError."""
    _or_error(lambda: deadline(data[:18].decode("latin-1"), _NOW))


TARGETS: dict[str, Callable[[bytes], None]] = {
    "pdu": pdu,
    "stream": stream,
    "receipt": receipt,
    "text": text,
    "times": times,
}
