"""From a message to the octets of its submit_sm, one frame a part, without sequence numbers."""

import struct
from datetime import UTC, datetime, timedelta

from shared.carriers.profile import CarrierProfile
from shared.smpp import constants as c
from shared.smpp.errors import PduError
from shared.smpp.pdu import SubmitSm, encode
from shared.text.errors import TextError

_SEQUENCE = struct.Struct(">L").pack
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


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
    source, destination = profile.source(sender), profile.destination(number)
    pdu = SubmitSm(
        sequence_number=0,
        source_addr_ton=source.ton,
        source_addr_npi=source.npi,
        source_addr=source.address,
        dest_addr_ton=destination.ton,
        dest_addr_npi=destination.npi,
        destination_addr=destination.address,
        esm_class=plan.esm_class,
        validity_period=validity_period,
        registered_delivery=c.REGISTERED_DELIVERY_FINAL,
        data_coding=plan.data_coding,
    )
    frames = []
    try:
        for pdu.short_message, pdu.tlvs in plan.pieces(reference):
            frames.append(encode(pdu))
    except PduError as error:
        sender_refused = error.command_status == c.ESME_RINVSRCADR
        raise CannotBeSentError("sender_not_allowed" if sender_refused else "invalid_number") from None
    return frames


class Validity:
    """validity_period for messages that end at `not_after`, so that the carrier does not deliver them later.

    One carrier's; remembers the last answers, since a campaign's messages end at one moment. Times are in ms since
    1970.
    """

    _MOST = 1000

    def __init__(self, profile: CarrierProfile) -> None:
        self._profile = profile
        self._known: dict[tuple[int, int], str] = {}

    def __call__(self, not_after: int, now_ms: int) -> str:
        """Raises CannotBeSentError when less than a second is left, which no carrier can be told (7.1.1).

        Empty, the choice is the SMSC's, where the carrier takes no such time, or only one that ends before.
        """
        now_ms -= now_ms % 1000  # a second early rather than late, and one answer for a second's messages
        found = self._known.get((not_after, now_ms))
        if found is None:
            found = self._written(not_after - 1000, now_ms)
            if len(self._known) >= self._MOST:
                self._known.clear()
            self._known[not_after, now_ms] = found
        return found

    def _written(self, until: int, now_ms: int) -> str:
        if not self._profile.time_forms:
            return ""
        if until - now_ms < 1000:
            raise CannotBeSentError("window_missed")
        try:
            return self._profile.wire_time(_EPOCH + until * _MILLISECOND, _EPOCH + now_ms * _MILLISECOND)
        except (ValueError, OverflowError):
            return ""  # too far away for the only form that this carrier reads


def numbered(frame: bytes, sequence_number: int) -> bytes:
    """The frame with its sequence number (SMPP 3.4, 3.2: octets 12 to 15)."""
    return frame[:12] + _SEQUENCE(sequence_number) + frame[16:]


def reference_of(message_id: str) -> int:
    """A 16-bit reference: equal for every try of a message, so that a handset never mixes two."""
    return int(message_id[-4:], 16)
