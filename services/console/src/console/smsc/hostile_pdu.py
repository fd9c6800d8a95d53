"""Octets that no honest SMSC writes: lengths that lie, fields cut off, commands that do not exist."""

from random import Random

from console.smsc import pdu
from console.smsc.receipt_text import receipt_parameters, receipt_text
from console.smsc.script import Act, Verb

_UNKNOWN_COMMAND = 0x0000A5A5
_SOURCE, _DESTINATION = b"\x01\x01999000000000\0", b"\x03\x0036180\0"
_VENDOR_PARAMETER = 0x1400
_STRAY_ID = b"ffffffffffff"


def hostile_octets(act: Act, sequence: int, chance: Random, now: float) -> bytes:
    """What this act sends; `now` (Unix seconds) dates a receipt. Raises ValueError if it sends nothing."""
    honest = pdu.deliver_sm_body(_SOURCE, _DESTINATION, 0, 0, b"hello")
    whole = pdu.HEADER_OCTETS + len(honest)
    match act.verb:
        case Verb.SEND_GARBAGE:
            return chance.randbytes(act.count)
        case Verb.SEND_CLAIM_MORE:
            return _frame(whole + 40, sequence, honest)
        case Verb.SEND_CLAIM_FEWER:
            return _frame(whole - 12, sequence, honest)
        case Verb.SEND_CLAIM:
            return _frame(act.count, sequence, b"")
        case Verb.SEND_OVERSIZED:
            head = pdu.deliver_sm_body(_SOURCE, _DESTINATION, 0, 0, b"")
            return _frame(act.count, sequence, head + _filler(act.count - pdu.HEADER_OCTETS - len(head)))
        case Verb.SEND_UNKNOWN_COMMAND:
            return pdu.empty_pdu(_UNKNOWN_COMMAND, pdu.ESME_ROK, sequence)
        case Verb.SEND_TRUNCATED:
            body = honest[: 1 + len(_SOURCE) + len(_DESTINATION) - 3]
            return _frame(pdu.HEADER_OCTETS + len(body), sequence, body)
        case Verb.SEND_LONG_PARAMETER:
            body = honest + pdu.RECEIPTED_MESSAGE_ID.to_bytes(2, "big") + b"\x01\x00abc"
            return _frame(pdu.HEADER_OCTETS + len(body), sequence, body)
        case Verb.SEND_STRAY_RESPONSE:
            return pdu.submit_sm_resp(pdu.MAX_SEQUENCE, _STRAY_ID)
        case Verb.SEND_STRAY_RECEIPT:
            body = pdu.deliver_sm_body(
                _SOURCE,
                _DESTINATION,
                pdu.ESM_RECEIPT,
                0,
                receipt_text(_STRAY_ID, now, now, 0, "DELIVRD", "000", b""),
                receipt_parameters(_STRAY_ID, "DELIVRD", "000"),
            )
            return _frame(pdu.HEADER_OCTETS + len(body), sequence, body)
        case _:
            raise ValueError("this act sends no octets")


def other_sequence(sequence: int) -> int:
    """A sequence number that no ESME that counts up from 1 has used by then."""
    return (sequence + 0x3FFFFFFF) % pdu.MAX_SEQUENCE + 1


def refusal_with_body(status: int, sequence: int) -> bytes:
    """A refusing submit_sm_resp with the empty message_id that SMPP 3.4, section 4.4.2, wants left out."""
    return pdu.HEADER.pack(pdu.HEADER_OCTETS + 1, pdu.SUBMIT_SM_RESP, status, sequence) + b"\0"


def _filler(octets: int) -> bytes:
    """Vendor-specific parameters of that many octets, at least 4, so that nothing but the size is wrong."""
    pieces: list[bytes] = []
    while octets:
        piece = min(octets, 4 + 0xFFFF)
        if 0 < octets - piece < 4:
            piece -= 4  # what is left must hold a tag and a length
        pieces.append(pdu.parameter(_VENDOR_PARAMETER, b"x" * (piece - 4)))
        octets -= piece
    return b"".join(pieces)


def _frame(claimed: int, sequence: int, body: bytes) -> bytes:
    return pdu.HEADER.pack(claimed, pdu.DELIVER_SM, pdu.ESME_ROK, sequence) + body
