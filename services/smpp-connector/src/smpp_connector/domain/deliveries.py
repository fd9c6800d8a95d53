"""What a deliver_sm tells: a receipt, a handset's message or a part of one, as an event without its sealed fields.

Any octets give an event: what cannot be read is told as `unknown` with the raw PDU beside it, and never refused,
because a refused receipt comes again for ever.
"""

from hashlib import blake2b

from msgspec import Struct
from shared.carriers.profile import CarrierProfile
from shared.smpp.pdu import DeliverSm
from shared.smpp.receipt import MessageState, is_receipt
from shared.text.received import Content, decode
from shared.text.udh import Concatenation

from smpp_connector.domain.keywords import keyword_of

DAY_MS = 86_400_000
SAME_MESSAGE_MS = 600_000  # the same octets within ten minutes are one message sent again by the SMSC


class ReceiptTold(Struct, frozen=True, gc=False):
    event_id: str
    carrier_message_id: str | None
    raw_id: str | None
    state: str
    final: bool
    error_code: str | None
    reason: str | None
    submit_date: str | None
    done_date: str | None
    number: str
    sender: str


class MessageTold(Struct, frozen=True, gc=False):
    event_id: str
    number: str
    recipient: str
    text: str
    keyword: str | None


class PartTold(Struct, frozen=True, gc=False):
    """A part of a longer message: kept until the others have come."""

    peer: str
    """Stands for number and recipient, whose references they are."""
    concatenation: Concatenation
    digest: str
    number: str
    recipient: str
    content: Content
    keyword: str | None
    """Only of part 1."""


def e164(address: str) -> str:
    """A handset's address as the carrier writes it, with a leading plus; `+` alone when it has no digits."""
    if address.isascii() and address.isdigit() and not address.startswith("00"):
        return "+" + address
    digits = "".join(c for c in address if c.isascii() and c.isdigit())
    return "+" + (digits[2:] if digits.startswith("00") else digits)


def digest(octets: bytes, key: bytes) -> str:
    """Stands for a PDU in an event_id. Keyed: a plain hash of a number and a short text could be guessed."""
    return blake2b(octets, key=key, digest_size=16).hexdigest()


def told_by(
    pdu: DeliverSm, frame: bytes, carrier: str, profile: CarrierProfile, now_ms: int, key: bytes
) -> ReceiptTold | MessageTold | PartTold:
    """`frame` is the whole PDU; its sequence number, which differs when it is sent again, does not count."""
    body = digest(frame[16:], key)
    number = e164(pdu.source_addr)
    if is_receipt(pdu):
        receipt = profile.read_receipt(pdu)
        state = receipt.state if receipt.state is not None else MessageState.UNKNOWN
        reason = profile.receipt_reason(receipt.error_code, receipt.state)
        return ReceiptTold(
            f"{carrier}:receipt:{now_ms // DAY_MS}:{body}",
            profile.canonical_id_from_receipt(receipt.carrier_message_id) or None,
            receipt.carrier_message_id or None,
            state.label,
            receipt.final,
            receipt.error_code or None,
            None if reason is None else str(reason),
            receipt.submit_date_raw or None,
            receipt.done_date_raw or None,
            number,
            pdu.destination_addr,
        )
    content = profile.read_content(pdu)
    part = content.concatenation
    text = decode(content.octets, content.encoding, content.shift) or ""
    if part is not None and part.total > 1:
        peer = digest(f"{number}\x1f{pdu.destination_addr}".encode(), key)
        keyword = keyword_of(text) if part.part == 1 else None
        return PartTold(peer, part, body, number, pdu.destination_addr, content, keyword)
    return MessageTold(
        f"{carrier}:inbound:{now_ms // SAME_MESSAGE_MS}:{body}", number, pdu.destination_addr, text, keyword_of(text)
    )
