"""From a message to the octets of its submit_sm, one frame a part, without sequence numbers."""

import struct

from shared.carriers.profile import CarrierProfile
from shared.smpp import constants as c
from shared.smpp.errors import PduError
from shared.smpp.pdu import SubmitSm, encode
from shared.text.errors import TextError

from smpp_connector.domain.source_address import source_address

_SEQUENCE = struct.Struct(">L").pack


class CannotBeSentError(Exception):
    """No carrier of this profile can be given it; `reason` is the catalogue's."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def submit_frames(
    number: str, text: str, sender: str, profile: CarrierProfile, *, reference: int, validity_period: str = ""
) -> list[bytes]:
    """`number` in E.164. `reference` ties the parts of a long message together on the handset."""
    try:
        plan = profile.plan(text)
    except TextError:
        raise CannotBeSentError("unencodable") from None
    source = source_address(sender)
    pdu = SubmitSm(
        sequence_number=0,
        source_addr_ton=source.ton,
        source_addr_npi=source.npi,
        source_addr=source.address,
        dest_addr_ton=c.TON_INTERNATIONAL,
        dest_addr_npi=c.NPI_ISDN,
        destination_addr=number.removeprefix("+"),
        esm_class=plan.esm_class,
        validity_period=validity_period,
        registered_delivery=c.REGISTERED_DELIVERY_FINAL,
        data_coding=plan.data_coding,
    )
    frames = []
    try:
        for payload in plan.payloads(reference):
            pdu.short_message = payload
            frames.append(encode(pdu))
    except PduError as error:
        sender_refused = error.command_status == c.ESME_RINVSRCADR
        raise CannotBeSentError("sender_not_allowed" if sender_refused else "invalid_number") from None
    return frames


def numbered(frame: bytes, sequence_number: int) -> bytes:
    """The frame with its sequence number (SMPP 3.4, 3.2: octets 12 to 15)."""
    return frame[:12] + _SEQUENCE(sequence_number) + frame[16:]


def reference_of(message_id: str) -> int:
    """A 16-bit reference: equal for every try of a message, so that a handset never mixes two."""
    return int(message_id[-4:], 16)
