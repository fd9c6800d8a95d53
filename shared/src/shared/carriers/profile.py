"""How one family of carriers deviates from plain SMPP 3.4.

A profile is a Python literal rather than YAML: the type checker reads it, a code can carry the tracker's link beside
it, and a wrong name fails when the package is imported instead of when the first such message comes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from shared.carriers.addresses import PLAIN_NUMBERING, Address, AddressKind, Numbering, address
from shared.carriers.reasons import Reason
from shared.smpp.constants import (
    ESM_UDHI,
    ESME_ROK,
    INTERFACE_VERSION_33,
    INTERFACE_VERSION_34,
    INTERFACE_VERSION_50,
    REGISTERED_DELIVERY_FINAL,
)
from shared.smpp.pdu import DeliverSm
from shared.smpp.receipt import PLAIN_GRAMMAR, MessageState, Receipt, ReceiptGrammar, parse_receipt
from shared.smpp.times import MAX_RELATIVE, format_absolute, format_relative, read_receipt_date
from shared.text.encoding import DEFAULT_ALLOWED, INCOMING, OUTGOING, Encoding
from shared.text.national import Language
from shared.text.plan import TextPlan, plan
from shared.text.received import Content, read_content
from shared.text.udh import LongMessage


class StatusClass(StrEnum):
    """What a command_status asks of the connector."""

    OK = "ok"
    THROTTLE = "throttle"
    """Slow this bind, keep the message and its order."""
    TEMPORARY = "temporary"
    """Try again with backoff, inside the message's validity."""
    PERMANENT = "permanent"
    """This message fails here and would fail again."""
    SESSION = "session"
    """The bind or its configuration is wrong: alarm, stop this bind, spend no message on it."""
    AMBIGUOUS = "ambiguous"
    """Carriers disagree about it, and this profile knows nothing better: do not repeat it on this carrier."""


class Status(NamedTuple):
    action: StatusClass
    reason: Reason


class TimeForm(StrEnum):
    """How a validity or schedule is written (SMPP 3.4, 7.1.1)."""

    RELATIVE = "relative"
    """From the SMSC's own clock: nobody's zone or clock error matters."""
    ABSOLUTE = "absolute"


class Dialect(StrEnum):
    """How an id is written, against its canonical form."""

    VERBATIM = "verbatim"
    HEX_TO_DECIMAL = "hex_to_decimal"
    DECIMAL_TO_HEX = "decimal_to_hex"


_HEX = re.compile(r"[0-9A-Fa-f]{1,64}").fullmatch
_DECIMAL = re.compile(r"[0-9]{1,64}").fullmatch


@dataclass(frozen=True, slots=True)
class IdRule:
    """From an id as the carrier wrote it to the canonical id.

    A conversion drops leading zeros and leaves an id that is no number as it is: a carrier that changes its ids'
    form must not lose its receipts on the way.
    """

    dialect: Dialect = Dialect.VERBATIM
    strip_zeros: bool = False
    case: Literal["keep", "lower", "upper"] = "keep"

    def __call__(self, raw: bytes | str) -> str:
        value = raw if isinstance(raw, str) else raw.decode("latin-1")
        value = value.partition("\0")[0].strip()
        if self.dialect is Dialect.HEX_TO_DECIMAL:
            if _HEX(value):
                return str(int(value, 16))
        elif self.dialect is Dialect.DECIMAL_TO_HEX and _DECIMAL(value):
            return format(int(value), "X" if self.case == "upper" else "x")
        if self.strip_zeros and value:
            value = value.lstrip("0") or "0"
        if self.case == "lower":
            return value.lower()
        return value.upper() if self.case == "upper" else value


@dataclass(frozen=True, slots=True)
class CarrierProfile:
    """One family's ways: every field is a fact about the carrier, and its default is plain SMPP."""

    name: str
    statuses: Mapping[int, Status]
    """What command_status means here; codes not listed are ambiguous."""
    response_id: IdRule = IdRule()
    """Makes the id of submit_sm_resp canonical."""
    receipt_id: IdRule = IdRule()
    """Makes the id of a receipt canonical."""
    receipt_id_from_text: bool = False
    """The receipt's text has the id to match, and receipted_message_id something else."""
    receipt_reasons: Mapping[str, Reason] = field(default_factory=dict)
    """Reason by a receipt's error_code (without leading zeros), where the carrier documents its codes."""
    allowed: frozenset[Encoding] = DEFAULT_ALLOWED
    """Encodings that reach handsets unharmed."""
    outgoing: Mapping[Encoding, int] = field(default_factory=lambda: OUTGOING)
    """data_coding to send for each encoding."""
    incoming: Mapping[int, Encoding] = field(default_factory=lambda: INCOMING)
    """How a received data_coding is read."""
    long_message: LongMessage = LongMessage.UDH8
    interface_version: int = INTERFACE_VERSION_34
    """0x33, 0x34 or 0x50, as the bind says (5.2.4)."""
    service_type: str = ""
    """Of every submit_sm (5.2.11)."""
    protocol_id: int = 0
    """Of every submit_sm (5.2.13)."""
    priority: Mapping[str, int] = field(default_factory=dict)
    """priority_flag (5.2.14) by purpose, 0 to 3; 0 for those not named."""
    registered_delivery: int = REGISTERED_DELIVERY_FINAL
    """What receipts are asked for (5.2.17)."""
    tlvs: Mapping[int, bytes] = field(default_factory=dict)
    """What this carrier wants in every submit_sm besides."""
    receipt_grammar: ReceiptGrammar = PLAIN_GRAMMAR
    """Labels and words of receipts that this carrier alone uses."""
    receipt_years: Literal[2, 4] = 2
    """Digits of the year in receipts' dates of twelve."""
    utc_offset: timedelta = timedelta(0)
    """What the carrier's clock shows: absolute times are written in it, receipts' dates are read in it."""
    time_forms: frozenset[TimeForm] = frozenset(TimeForm)
    """What validity_period and schedule_delivery_time may be. None of them: both stay empty."""
    national: frozenset[Language] = frozenset()
    """Languages whose tables reach this carrier's handsets unharmed. Opted into: many SMSCs drop the header."""
    transliterate: bool = False
    """Texts are changed to fit GSM 7-bit where that takes fewer parts."""
    numbering: Mapping[AddressKind, Numbering] = field(default_factory=lambda: PLAIN_NUMBERING)
    """TON and NPI of source addresses."""
    destination_numbering: Numbering = PLAIN_NUMBERING[AddressKind.INTERNATIONAL]
    number_prefix: Literal["", "+", "00"] = ""
    """Before international numbers, in both addresses."""

    def __post_init__(self) -> None:
        if self.interface_version not in (INTERFACE_VERSION_33, INTERFACE_VERSION_34, INTERFACE_VERSION_50):
            raise ValueError("interface_version is 0x33, 0x34 or 0x50")
        if not self.takes_tlvs and not self.long_message.by_udh:
            raise ValueError("SMPP 3.3 has no TLVs: its long messages are tied by a UDH")
        if not self.takes_tlvs and self.tlvs:
            raise ValueError("SMPP 3.3 has no TLVs")

    @property
    def takes_tlvs(self) -> bool:
        """Not before 3.4 (3.4, 3.2.4): none may be sent to a 3.3 peer."""
        return self.interface_version >= INTERFACE_VERSION_34

    @property
    def takes_transceiver(self) -> bool:
        """bind_transceiver came with 3.4 (4.1.5)."""
        return self.interface_version >= INTERFACE_VERSION_34

    def deviating(
        self,
        name: str,
        *,
        statuses: Mapping[int, Status] | None = None,
        receipt_reasons: Mapping[str, Reason] | None = None,
        outgoing: Mapping[Encoding, int] | None = None,
        incoming: Mapping[int, Encoding] | None = None,
        numbering: Mapping[AddressKind, Numbering] | None = None,
        **facts: Any,
    ) -> "CarrierProfile":
        """This profile under another name, with what differs. Tables are laid over this one's; other facts replace."""
        return replace(
            self,
            name=name,
            statuses={**self.statuses, **(statuses or {})},
            receipt_reasons={**self.receipt_reasons, **(receipt_reasons or {})},
            outgoing={**self.outgoing, **(outgoing or {})},
            incoming={**self.incoming, **(incoming or {})},
            numbering={**self.numbering, **(numbering or {})},
            **facts,
        )

    def canonical_id_from_response(self, message_id: bytes | str) -> str:
        """Of submit_sm_resp's message_id. Empty when that is."""
        return self.response_id(message_id)

    def canonical_id_from_receipt(self, message_id: bytes | str) -> str:
        """Of a receipt's id: equal to the one made from the response to the same message. Empty when that is."""
        return self.receipt_id(message_id)

    def read_receipt(self, pdu: DeliverSm) -> Receipt:
        """As `parse_receipt`, by this carrier's habits. The id in it is still as the carrier wrote it."""
        return parse_receipt(pdu, id_from_text=self.receipt_id_from_text, grammar=self.receipt_grammar)

    def receipt_date(self, raw: str) -> datetime | None:
        """The moment of a receipt's submit or done date, in UTC, by this carrier's clock; None for what is no date."""
        return read_receipt_date(raw, four_digit_years=self.receipt_years == 4, offset=self.utc_offset)

    def read_content(self, pdu: DeliverSm) -> Content:
        """What a handset's message or a part of one holds, for `shared.text.received.decode` and `.reassemble.join`. Never raises."""
        return read_content(
            pdu.content, pdu.data_coding, has_udh=bool(pdu.esm_class & ESM_UDHI), incoming=self.incoming, tlvs=pdu.tlvs
        )

    def plan(self, text: str, *, transliterate: bool = False) -> TextPlan:
        """How this carrier is sent `text`; a request may ask to transliterate too. Raises TextError."""
        if not self.national and not self.transliterate and not transliterate:
            return plan(text, self.allowed, self.long_message, self.outgoing)
        return plan(
            text,
            self.allowed,
            self.long_message,
            self.outgoing,
            national=self.national,
            transliterate=self.transliterate or transliterate,
        )

    def wire_time(self, at: datetime, now: datetime) -> str:
        """validity_period or schedule_delivery_time, in a form that this carrier takes; empty if it takes none.

        Relative where allowed and near enough. Raises ValueError when `at` is less than a second after `now`, or too
        far away for the only form allowed.
        """
        if not self.time_forms:
            return ""
        wait = at - now
        near = wait <= MAX_RELATIVE or TimeForm.ABSOLUTE not in self.time_forms
        if TimeForm.RELATIVE in self.time_forms and near:
            return format_relative(wait)
        if wait < timedelta(seconds=1):
            raise ValueError("the time is over")
        return format_absolute(at, self.utc_offset)

    def source(self, sender: str) -> Address:
        """The source address on the wire of a sender as people write it; empty leaves the choice to the SMSC."""
        return address(sender, self.numbering, self.number_prefix)

    def destination(self, number: str) -> Address:
        """The destination address on the wire of a number in E.164."""
        return Address(*self.destination_numbering, self.number_prefix + number.removeprefix("+"))

    def classify(self, command_status: int) -> StatusClass:
        return self.statuses.get(command_status, _UNLISTED).action

    def reason(self, command_status: int) -> Reason | None:
        """Catalogue reason; None for ESME_ROK."""
        if command_status == ESME_ROK:
            return None
        return self.statuses.get(command_status, _UNLISTED).reason

    def receipt_reason(self, error_code: str, state: MessageState | None) -> Reason | None:
        """Catalogue reason of what a receipt tells; None for delivered, or still on its way."""
        reason = _REASON_OF_STATE[state]
        if reason is None:
            return None
        return self.receipt_reasons.get(error_code, reason)


_UNLISTED = Status(StatusClass.AMBIGUOUS, Reason.CARRIER_ERROR)

_REASON_OF_STATE: dict[MessageState | None, Reason | None] = {
    MessageState.ENROUTE: None,
    MessageState.ACCEPTED: None,
    MessageState.DELIVERED: None,
    MessageState.EXPIRED: Reason.EXPIRED,
    MessageState.DELETED: Reason.DELETED_BY_CARRIER,
    MessageState.UNDELIVERABLE: Reason.UNDELIVERABLE,
    MessageState.UNKNOWN: Reason.LOST_BY_CARRIER,
    MessageState.REJECTED: Reason.REJECTED_BY_CARRIER,
    None: Reason.LOST_BY_CARRIER,
}
