"""What a delivery receipt says, whichever of its dialects it is written in.

SMPP 3.4 appendix B calls the text `id:.. sub:.. dlvrd:.. submit date:.. done date:.. stat:.. err:.. text:..` only an
example of one vendor's. The TLVs receipted_message_id, message_state and network_error_code (5.3.2.12, 5.3.2.35,
5.3.2.31) are the specification's own and are preferred where they are there and mean something.

The excerpt after `text:` is the message's content: it is neither returned nor looked at, since it may hold anything,
labels included.
"""

import re
from collections.abc import Mapping
from enum import IntEnum
from typing import Final, NamedTuple

from msgspec import Struct

from shared.smpp import constants as c
from shared.smpp.pdu import DeliverSm

_LONGEST_ID: Final = 64  # 4.4.2
_LONGEST_WORD: Final = 32
_LOOKED_AT: Final = 1024  # octets; every label stands ahead of the excerpt, within the first 300


class MessageState(IntEnum):
    """5.2.28."""

    ENROUTE = 1
    DELIVERED = 2
    EXPIRED = 3
    DELETED = 4
    UNDELIVERABLE = 5
    ACCEPTED = 6
    UNKNOWN = 7
    REJECTED = 8

    @property
    def final(self) -> bool:
        """Nothing else is expected from this carrier.

        ENROUTE and ACCEPTED never are. Neither is UNKNOWN, though SMPP 5.0 (4.7.15) says so: a carrier that has lost
        sight of a message may still find it, and a DELIVRD that follows must count.
        """
        return self not in _PENDING

    @property
    def label(self) -> str:
        """The word for it in events: enroute, delivered, expired, deleted, undelivered, accepted, unknown, rejected."""
        return "undelivered" if self is MessageState.UNDELIVERABLE else self.name.lower()


_PENDING: Final = frozenset({MessageState.ENROUTE, MessageState.ACCEPTED, MessageState.UNKNOWN})
_BY_NUMBER: Final = {int(state): state for state in MessageState}

# Appendix B, table B-2, then the spellings that peers use instead
_BY_WORD: Final[dict[bytes, MessageState]] = {
    b"DELIVRD": MessageState.DELIVERED,
    b"EXPIRED": MessageState.EXPIRED,
    b"DELETED": MessageState.DELETED,
    b"UNDELIV": MessageState.UNDELIVERABLE,
    b"ACCEPTD": MessageState.ACCEPTED,
    b"UNKNOWN": MessageState.UNKNOWN,
    b"REJECTD": MessageState.REJECTED,
    b"ENROUTE": MessageState.ENROUTE,
    b"DELIVERED": MessageState.DELIVERED,
    b"DELIVERD": MessageState.DELIVERED,
    b"UNDELIVERABLE": MessageState.UNDELIVERABLE,
    b"UNDELIVERED": MessageState.UNDELIVERABLE,
    b"UNDELIVRD": MessageState.UNDELIVERABLE,
    b"FAILED": MessageState.UNDELIVERABLE,
    b"ACCEPTED": MessageState.ACCEPTED,
    b"REJECTED": MessageState.REJECTED,
    b"SCHEDULED": MessageState.ENROUTE,
    b"BUFFERED": MessageState.ENROUTE,
    b"BUFFRED": MessageState.ENROUTE,
}


class Receipt(Struct, frozen=True, gc=False):
    """Fields that the receipt does not hold are empty, or None.

    `carrier_message_id` is as the carrier wrote it: a `CarrierProfile` makes it canonical. `error_code` is the
    carrier's own, without leading zeros ("0" for 000), letters in upper case. Dates are as written: they carry no
    zone, and 12 digits are YYMMDDhhmmss at one carrier and YYYYMMDDhhmm at another. `network_type` is octet 1 of
    network_error_code (3 is GSM).
    """

    carrier_message_id: str = ""
    state: MessageState | None = None
    error_code: str = ""
    submit_date_raw: str = ""
    done_date_raw: str = ""
    submitted: int | None = None
    delivered: int | None = None
    network_type: int | None = None

    @property
    def final(self) -> bool:
        return self.state is not None and self.state.final


class ReceiptGrammar:
    """How one carrier's receipts deviate from what is read of all of them.

    `labels` maps a label of the carrier's to the one of appendix B that it stands for ("msgid" to "id"), `states` a
    word of the carrier's to its state. Both in any case; spaces and underscores within a label do not count. Raises
    ValueError for a label that stands for none.
    """

    __slots__ = ("aliases", "find_labels", "words")

    def __init__(
        self, labels: Mapping[str, str] | None = None, states: Mapping[str, MessageState] | None = None
    ) -> None:
        self.words: Final = {**_BY_WORD, **{word.upper().encode(): state for word, state in (states or {}).items()}}
        self.aliases: Final = {
            _squeezed(label.encode()): _squeezed(of.encode()) for label, of in (labels or {}).items()
        }
        unknown = set(self.aliases.values()) - _KNOWN_LABELS
        if unknown:
            raise ValueError("a receipt's label stands for one of: id sub dlvrd submitdate donedate stat err text")
        own = b"".join(b"|" + _spaced(label) for label in sorted(self.aliases, key=len, reverse=True))
        self.find_labels: Final = re.compile(_LABEL_START + _LABELS + own + _LABEL_END, re.I).finditer


def _squeezed(label: bytes) -> bytes:
    return label.lower().replace(b"_", b"").replace(b" ", b"")


def _spaced(label: bytes) -> bytes:
    return b"[ _]?".join(re.escape(bytes([octet])) for octet in label)


_KNOWN_LABELS: Final = frozenset((b"id", b"sub", b"dlvrd", b"submitdate", b"donedate", b"stat", b"err", b"text"))
_LABEL_START: Final = rb"(?:\A|[\s;,|])("
_LABELS: Final = rb"id|sub|dlvrd|submit[ _]?date|done[ _]?date|stat|err|text"
_LABEL_END: Final = rb")\s*:"
PLAIN_GRAMMAR: Final = ReceiptGrammar()


def is_receipt(pdu: DeliverSm) -> bool:
    """A receipt or an intermediate notification by esm_class (5.2.12), or by a receipted_message_id.

    The TLV alone counts because some carriers leave esm_class 0; a handset's message never has it.
    """
    kind = pdu.esm_class & c.ESM_TYPE_MASK
    return kind in (c.ESM_TYPE_RECEIPT, c.ESM_TYPE_INTERMEDIATE) or c.TLV_RECEIPTED_MESSAGE_ID in pdu.tlvs


def parse_receipt(pdu: DeliverSm, *, id_from_text: bool = False, grammar: ReceiptGrammar = PLAIN_GRAMMAR) -> Receipt:
    """Reads what can be read; never raises.

    `id_from_text` is for carriers whose receipted_message_id is not the id that they answered, while the text's is.
    """
    content = pdu.content
    if pdu.esm_class & c.ESM_UDHI and content:
        content = content[1 + content[0] :]
    if pdu.data_coding == 8:  # some carriers write even their receipts in UCS-2
        content = content.decode("utf-16-be", "ignore").encode("latin-1", "ignore")
    text = _read_text(content, grammar)
    tlvs = pdu.tlvs
    if not tlvs:
        return Receipt(
            text.message_id, text.state, text.error, text.submit_date, text.done_date, text.submitted, text.delivered
        )
    tlv_id = tlvs.get(c.TLV_RECEIPTED_MESSAGE_ID, b"").partition(b"\0")[0].strip().decode("latin-1")
    error, network_type = _read_network_error(tlvs)
    preferred, other = (text.message_id, tlv_id) if id_from_text else (tlv_id, text.message_id)
    return Receipt(
        (preferred or other)[:_LONGEST_ID],
        _BY_NUMBER.get(int.from_bytes(tlvs.get(c.TLV_MESSAGE_STATE, b"")[:4], "big"), text.state),
        # A zero says only that one of the two places was left empty
        error if error and error != "0" else text.error or error,
        text.submit_date,
        text.done_date,
        text.submitted,
        text.delivered,
        network_type,
    )


def _read_network_error(tlvs: Mapping[int, bytes]) -> tuple[str, int | None]:
    value = tlvs.get(c.TLV_NETWORK_ERROR_CODE, b"")
    if len(value) != 3:
        return "", None
    return str(value[1] << 8 | value[2]), value[0]


class _Text(NamedTuple):
    message_id: str
    state: MessageState | None
    error: str
    submit_date: str
    done_date: str
    submitted: int | None
    delivered: int | None


_EXAMPLE = re.compile(
    rb"id:([!-~]{1,64}) sub:(\d{1,3}) dlvrd:(\d{1,3}) submit date:(\d{10,14}) done date:(\d{10,14})"
    rb" stat:([A-Z]{6,13}) err:([0-9A-Za-z]{1,8})(?: [Tt]ext:|\Z)"
).match


def _read_text(content: bytes, grammar: ReceiptGrammar) -> _Text:
    found = _EXAMPLE(content)
    if found is not None:
        message_id, submitted, delivered, submit_date, done_date, state, error = found.groups()
        return _Text(
            message_id.decode("latin-1"),
            grammar.words.get(state),
            _error(error),
            submit_date.decode("latin-1"),
            done_date.decode("latin-1"),
            int(submitted),
            int(delivered),
        )
    return _read_dialect(content[:_LOOKED_AT], grammar)


def _read_dialect(content: bytes, grammar: ReceiptGrammar) -> _Text:
    """Any order, any of the labels missing, any case; a state may stand without its label."""
    words: dict[bytes, list[bytes]] = {}
    label, start = b"", 0
    for found in grammar.find_labels(content):
        if label:
            words.setdefault(label, content[start : found.start()].split())
        label, start = found[1].lower().replace(b"_", b"").replace(b" ", b""), found.end()
        if grammar.aliases:
            label = grammar.aliases.get(label, label)
        if label == b"text":
            break
    else:
        if label:
            words.setdefault(label, content[start:].split())

    def first(name: bytes) -> bytes:
        values = words.get(name)
        return values[0].rstrip(b",;|") if values else b""

    return _Text(
        first(b"id")[:_LONGEST_ID].decode("latin-1"),
        _state(first(b"stat"), words, grammar.words),
        _error(first(b"err")),
        first(b"submitdate")[:_LONGEST_WORD].decode("latin-1"),
        first(b"donedate")[:_LONGEST_WORD].decode("latin-1"),
        _count(first(b"sub")),
        _count(first(b"dlvrd")),
    )


def _state(
    word: bytes, words: Mapping[bytes, list[bytes]], states: Mapping[bytes, MessageState]
) -> MessageState | None:
    if word:
        state = states.get(word.upper())
        if state is not None:
            return state
        number = _count(word)
        return None if number is None else _BY_NUMBER.get(number)
    for name, values in words.items():
        if name != b"id":
            for unlabelled in values[1:]:
                state = states.get(unlabelled.upper().rstrip(b",;|"))
                if state is not None:
                    return state
    return None


def _count(word: bytes) -> int | None:
    return int(word) if 0 < len(word) <= 6 and word.isdigit() else None


def _error(word: bytes) -> str:
    code = word[:_LONGEST_WORD].decode("latin-1").upper()
    if code.isascii() and code.isdigit():
        return code.lstrip("0") or "0"
    return "" if code == "NULL" else code  # jSMPP's simulator writes err:null
