"""From a message to the octets of its submit_sm, one frame a part, without sequence numbers."""

import struct
from datetime import UTC, datetime, timedelta

from shared.carriers.profile import CarrierProfile
from shared.smpp import constants as c
from shared.smpp.errors import PduError
from shared.smpp.pdu import SubmitSm, SubmitTemplate, encode
from shared.text.errors import TextError

_SEQUENCE = struct.Struct(">L").pack
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class CannotBeSentError(Exception):
    """No carrier of this profile can be given it; `reason` is the catalogue's."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class SubmitFrames:
    """Makes the submit_sm of one carrier's messages. Remembers what many messages have alike: all but number and text."""

    _MOST = 1000

    def __init__(self, profile: CarrierProfile) -> None:
        self._profile = profile
        self._templates: dict[tuple[str, int, int, int, str], SubmitTemplate] = {}

    def __call__(
        self, number: str, text: str, sender: str, *, reference: int, validity_period: str = "", purpose: str = ""
    ) -> list[bytes]:
        """`number` in E.164. `reference` ties the parts of a long message together on the handset."""
        try:
            plan = self._profile.plan(text)
        except TextError:
            raise CannotBeSentError("unencodable") from None
        destination = self._profile.destination(number).address
        like = (sender, self._profile.priority.get(purpose, 0), plan.esm_class, plan.data_coding, validity_period)
        try:
            if not self._profile.tlvs and (plan.parts == 1 or plan.long_message.by_udh):
                template = self._template(like)
                return [template.frame(destination, payload) for payload in plan.payloads(reference)]
            pdu = self._like(*like)
            pdu.destination_addr = destination
            frames = []
            for pdu.short_message, tlvs in plan.pieces(reference):
                pdu.tlvs = {**self._profile.tlvs, **tlvs}
                frames.append(encode(pdu))
            return frames
        except PduError as error:
            sender_refused = error.command_status == c.ESME_RINVSRCADR
            raise CannotBeSentError("sender_not_allowed" if sender_refused else "invalid_number") from None

    def _template(self, key: tuple[str, int, int, int, str]) -> SubmitTemplate:
        found = self._templates.get(key)
        if found is None:
            found = SubmitTemplate(self._like(*key))
            if len(self._templates) >= self._MOST:
                self._templates.clear()
            self._templates[key] = found
        return found

    def _like(self, sender: str, priority: int, esm_class: int, data_coding: int, validity_period: str) -> SubmitSm:
        source, numbering = self._profile.source(sender), self._profile.destination_numbering
        return SubmitSm(
            sequence_number=0,
            service_type=self._profile.service_type,
            source_addr_ton=source.ton,
            source_addr_npi=source.npi,
            source_addr=source.address,
            dest_addr_ton=numbering.ton,
            dest_addr_npi=numbering.npi,
            esm_class=esm_class,
            protocol_id=self._profile.protocol_id,
            priority_flag=priority,
            validity_period=validity_period,
            registered_delivery=self._profile.registered_delivery,
            data_coding=data_coding,
        )


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
