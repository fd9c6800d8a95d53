"""The body of a delivery receipt: text as in the example of SMPP 3.4, appendix B, and optional parameters."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, get_args

from console.smsc import pdu

# What the text's `stat:` says, and the message_state that means the same (section 5.2.28).
STATES = {
    "ENROUTE": 1,
    "DELIVRD": 2,
    "EXPIRED": 3,
    "DELETED": 4,
    "UNDELIV": 5,
    "ACCEPTD": 6,
    "UNKNOWN": 7,
    "REJECTD": 8,
}

ReceiptLayout = Literal[
    "appendix_b",
    "no_labels",
    "no_stat_label",
    "numeric_stat",
    "upper_labels",
    "capital_text",
    "one_digit",
    "four_digit_err",
    "short",
    "dates_with_zone",
]
"""Texts that carriers were seen to write; appendix B is only the specification's example of one vendor's."""

_APPENDIX_B = (
    b"id:%(id)b sub:001 dlvrd:%(dlvrd)b submit date:%(from)b done date:%(to)b stat:%(stat)b err:%(err)b text:%(text)b"
)
_LAYOUTS: dict[ReceiptLayout, bytes] = {
    "appendix_b": _APPENDIX_B,
    "no_labels": b"%(id)b 001 %(dlvrd)b %(from)b %(to)b %(stat)b %(err)b %(text)b",
    "no_stat_label": _APPENDIX_B.replace(b"stat:", b""),
    "numeric_stat": _APPENDIX_B.replace(b"%(stat)b", b"%(state)d"),
    "upper_labels": b"ID:%(id)b SUB:001 DLVRD:%(dlvrd)b SUBMIT DATE:%(from)b DONE DATE:%(to)b"
    b" STAT:%(stat)b ERR:%(err)b TEXT:%(text)b",
    "capital_text": _APPENDIX_B.replace(b"text:", b"Text: "),
    "one_digit": _APPENDIX_B.replace(b"001", b"1")
    .replace(b"%(dlvrd)b", b"%(delivered)d")
    .replace(b"%(err)b", b"%(code)d"),
    "four_digit_err": _APPENDIX_B.replace(b"%(err)b", b"%(code)04d"),
    "short": b"id:%(id)b submit date:%(from_s)b done date:%(to_s)b stat:%(stat)b err:%(err)b",
    "dates_with_zone": b"id:%(id)b sub:001 dlvrd:%(dlvrd)b submit date:%(from_s)b+00 done date:%(to_s)b+00"
    b" stat:%(stat)b err:%(err)b",
}
assert set(_LAYOUTS) == set(get_args(ReceiptLayout))

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


def receipt_text_as(
    layout: ReceiptLayout,
    message_id: bytes,
    submitted: float,
    done: float,
    zone_s: int,
    stat: str,
    err: str,
    text: bytes,
) -> bytes:
    """The same in another carrier's words."""
    delivered = stat == "DELIVRD"
    return _LAYOUTS[layout] % {
        b"id": message_id,
        b"dlvrd": b"001" if delivered else b"000",
        b"delivered": delivered,
        b"from": _minute(int(submitted + zone_s) // 60),
        b"to": _minute(int(done + zone_s) // 60),
        b"from_s": _second(int(submitted + zone_s)),
        b"to_s": _second(int(done + zone_s)),
        b"stat": stat.encode("ascii"),
        b"state": STATES[stat],
        b"err": err.encode("ascii"),
        b"code": int(err),
        b"text": text,
    }


def receipt_parameters(message_id: bytes, stat: str, err: str) -> bytes:
    """receipted_message_id (closed by a NUL), message_state and network_error_code, on the wire."""
    return pdu.parameter(pdu.RECEIPTED_MESSAGE_ID, message_id + b"\0") + _state_parameters(stat, err)


@lru_cache(maxsize=1024)  # messages end in few ways
def _state_parameters(stat: str, err: str) -> bytes:
    return pdu.parameter(pdu.MESSAGE_STATE, bytes((STATES[stat],))) + pdu.parameter(
        pdu.NETWORK_ERROR_CODE, _NETWORK_GSM + int(err).to_bytes(2, "big")
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


def _second(seconds: int) -> bytes:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return moment.strftime("%y%m%d%H%M%S").encode("ascii")
