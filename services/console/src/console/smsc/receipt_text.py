"""The body of a delivery receipt: text as in the example of SMPP 3.4, appendix B, and optional parameters."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from console.smsc import pdu

# What the text's `stat:` says, and the message_state that means the same (section 5.2.28).
STATES = {"DELIVRD": 2, "EXPIRED": 3, "DELETED": 4, "UNDELIV": 5, "ACCEPTD": 6, "UNKNOWN": 7, "REJECTD": 8}

_NETWORK_GSM = b"\x03"
_LATIN_ALPHABETS = (0, 1, 3)  # data_coding whose octets stay readable in the receipt's own default alphabet


def receipt_text(
    message_id: bytes, submitted: float, done: float, zone_s: int, stat: str, err: str, text: bytes
) -> bytes:
    """The text; `submitted` and `done` in Unix seconds, `zone_s` is what the SMSC's unstated zone adds to UTC."""
    return b"id:%b sub:001 dlvrd:%b submit date:%b done date:%b stat:%b err:%b text:%b" % (
        message_id,
        b"001" if stat == "DELIVRD" else b"000",
        _minute(int(submitted + zone_s) // 60),
        _minute(int(done + zone_s) // 60),
        stat.encode("ascii"),
        err.encode("ascii"),
        text,
    )


def receipt_parameters(message_id: bytes, stat: str, err: str) -> bytes:
    """receipted_message_id (closed by a NUL), message_state and network_error_code, on the wire."""
    return (
        pdu.parameter(pdu.RECEIPTED_MESSAGE_ID, message_id + b"\0")
        + pdu.parameter(pdu.MESSAGE_STATE, bytes((STATES[stat],)))
        + pdu.parameter(pdu.NETWORK_ERROR_CODE, _NETWORK_GSM + int(err).to_bytes(2, "big"))
    )


def wants_receipt(registered_delivery: int, stat: str) -> bool:
    """Whether the ESME asked for the receipt of this final state (section 5.2.17): 1 always, 2 on failure only."""
    match registered_delivery & 0x03:
        case 1:
            return True
        case 2:
            return stat != "DELIVRD"
        case _:
            return False


def first_characters(octets: bytes, esm_class: int, data_coding: int, count: int) -> bytes:
    """What a receipt repeats of its message: no user data header, and nothing of an alphabet other than Latin."""
    if data_coding not in _LATIN_ALPHABETS:
        return b""
    start = octets[0] + 1 if esm_class & pdu.ESM_UDHI and octets else 0
    return octets[start : start + count]


@lru_cache(maxsize=4096)
def _minute(minutes: int) -> bytes:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    return moment.strftime("%y%m%d%H%M").encode("ascii")
