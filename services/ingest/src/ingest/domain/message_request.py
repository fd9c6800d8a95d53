"""Is this a message we can take? One object of POST /v1/messages, or one of a batch."""

import re
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec
from shared.contracts.fields import PURPOSES

from ingest.domain.faults import INTEGER, OBJECT, REQUIRED_STRING, STRING, Fault, shape_faults

TEXT_CHARACTERS: Final = 4_096  # about 27 parts of GSM 7-bit; carriers take less, and the segmenter decides
VARIABLES_BYTES: Final = 16 * 1024
SEND_AHEAD_MS: Final = 21 * 86_400_000  # the ledger keeps five weeks, and a message's receipts need two of them
VALIDITY_S: Final = (60, 259_200)  # a minute to three days: sealed topics keep 72 h
DEFAULT_VALIDITY_S: Final = 86_400
URL_CHARACTERS: Final = 2_048
CLIENT_REF_CHARACTERS: Final = 128

# ITU-T E.164, section 6.2: at most 15 digits, and no country code begins with 0.
_NUMBER = re.compile(r"\+[1-9][0-9]{7,14}")
# SMPP 3.4, section 5.2.5: a number or short code, or a name of up to 11 characters (3GPP TS 23.040, 9.1.2.5).
_SENDER = re.compile(r"\+?[0-9]{3,15}|(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9 ._&+-]{0,10}")
_TEMPLATE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class MessageRequest(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """As a caller writes it. `fault_of` tells whether its values are right."""

    to: str
    purpose: str = msgspec.field(name="class")
    sender: str | None = msgspec.field(name="from", default=None)
    text: str | None = None
    template: str | None = None
    variables: dict[str, Any] | None = None
    client_ref: str | None = None
    callback_url: str | None = None
    send_at: str | None = None
    validity_s: int | None = None


SHAPES: Final = {
    "to": REQUIRED_STRING, "class": REQUIRED_STRING, "from": STRING, "text": STRING, "template": STRING, "variables": OBJECT,
    "client_ref": STRING, "callback_url": STRING, "send_at": STRING, "validity_s": INTEGER,
}  # fmt: skip


class Checked(NamedTuple):
    """A message whose values are right."""

    to: str
    purpose: str
    sender: str | None
    content: str  # JSON: {"text"} or {"template", "variables"}; to be sealed
    client_ref: str | None
    callback_url: str | None
    send_at: int | None  # ms since 1970
    validity_s: int


_decode = msgspec.json.Decoder(MessageRequest).decode
_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def check_message(raw: bytes | msgspec.Raw, now_ms: int, *, loopback: bool) -> Checked | list[Fault]:
    """The message, or everything that is wrong with it. `raw` is JSON, not necessarily well formed inside strings.

    `loopback` permits callbacks over plain http to this machine.
    """
    try:
        request = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _why_not(raw, error)
    faults = _value_faults(request, now_ms, loopback)
    if faults:
        return faults
    if request.text is not None:
        content = _encode({"text": request.text})
    else:
        content = _encode({"template": request.template, "variables": request.variables or {}})
    return Checked(
        request.to, request.purpose, request.sender, content.decode(), request.client_ref, request.callback_url,
        moment_of(request.send_at) if request.send_at is not None else None,
        request.validity_s if request.validity_s is not None else DEFAULT_VALIDITY_S,
    )  # fmt: skip


def _why_not(raw: bytes | msgspec.Raw, error: Exception) -> list[Fault]:
    if isinstance(error, RecursionError):
        return [Fault("body", "too_deep", "is nested too deeply")]
    try:
        faults = shape_faults(_decode_any(raw), SHAPES)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [Fault("body", "malformed_json", "is not valid JSON in UTF-8")]
    # What only the decoder refuses, such as an integer beyond 64 bits.
    return faults or [Fault("body", "invalid", "has a value that cannot be read")]


def _value_faults(request: MessageRequest, now_ms: int, loopback: bool) -> list[Fault]:
    faults: list[Fault] = []
    if _NUMBER.fullmatch(request.to) is None:
        faults.append(
            Fault("to", "not_e164", "must be a number in E.164: `+`, the country code and the rest, 8 to 15 digits")
        )
    if request.purpose not in PURPOSES:
        faults.append(Fault("class", "unknown_class", "must be marketing, transactional or otp"))
    if request.sender is not None and _SENDER.fullmatch(request.sender) is None:
        faults.append(
            Fault("from", "bad_sender", "must be 3 to 15 digits, or 1 to 11 letters, digits and ` ._&+-` with a letter")
        )
    faults += _content_faults(request)
    if request.client_ref is not None:
        faults += label_faults("client_ref", request.client_ref, CLIENT_REF_CHARACTERS)
    if request.callback_url is not None:
        wrong = callback_trouble(request.callback_url, loopback)
        if wrong:
            faults.append(Fault("callback_url", "bad_url", wrong))
    if request.send_at is not None:
        faults += _send_at_faults(request.send_at, now_ms)
    if request.validity_s is not None and not VALIDITY_S[0] <= request.validity_s <= VALIDITY_S[1]:
        faults.append(Fault("validity_s", "out_of_range", f"must be from {VALIDITY_S[0]} to {VALIDITY_S[1]} seconds"))
    return faults


def _content_faults(request: MessageRequest) -> list[Fault]:
    text, template, variables = request.text, request.template, request.variables
    if text is not None:
        if template is not None:
            return [Fault("template", "excluded", "cannot stand beside text: give one of them")]
        if variables is not None:
            return [Fault("variables", "excluded", "belong to a template, not to text")]
        if not text.strip():
            return [Fault("text", "empty", "must say something")]
        if len(text) > TEXT_CHARACTERS:
            return [Fault("text", "too_long", f"must have at most {TEXT_CHARACTERS} characters")]
        if "\x00" in text:
            return [Fault("text", "bad_character", "must not hold the character U+0000")]
        return []
    if template is None:
        return [Fault("text", "missing", "is required, unless template names one")]
    if _TEMPLATE.fullmatch(template) is None:
        return [Fault("template", "bad_id", "must be a template's id: 1 to 64 letters, digits, `.`, `_` or `-`")]
    if variables:
        size = len(written := _encode(variables))
        if size > VARIABLES_BYTES:
            return [Fault("variables", "too_large", f"must take at most {VARIABLES_BYTES} bytes as JSON")]
        if b"\\u0000" in written:
            return [Fault("variables", "bad_character", "must not hold the character U+0000")]
    return []


def label_faults(field: str, value: str, longest: int) -> list[Fault]:
    """For the caller's own names of things."""
    if not 1 <= len(value) <= longest:
        return [Fault(field, "bad_length", f"must have 1 to {longest} characters")]
    if _CONTROL.search(value):
        return [Fault(field, "bad_character", "must not hold control characters")]
    return []


def _send_at_faults(send_at: str, now_ms: int) -> list[Fault]:
    # A moment that has passed means at once, so that a repeat of a good request stays good.
    moment = moment_of(send_at)
    if moment is None:
        return [Fault("send_at", "not_rfc3339", "must be a date and time of RFC 3339 with its offset")]
    if moment > now_ms + SEND_AHEAD_MS:
        return [Fault("send_at", "too_far", "must be at most 21 days ahead")]
    return []


# RFC 3339, section 5.6. Leap seconds are refused: no clock here knows them.
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def moment_of(written: str) -> int | None:
    """Milliseconds since 1970 of a date and time of RFC 3339; None when it is not one."""
    if _RFC3339.fullmatch(written) is None:
        return None
    try:
        return int(datetime.fromisoformat(written.upper()).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=4096)  # callers send the same address with every message
def callback_trouble(url: str, loopback: bool) -> str | None:
    """Why an address cannot be called back, or None. What it resolves to is judged when it is called."""
    if len(url) > URL_CHARACTERS or not url.isascii() or not url.isprintable() or " " in url:
        return f"must be a URL of at most {URL_CHARACTERS} ASCII characters"
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return "must be a URL"
    if not host or parts.username is not None or parts.password is not None or parts.fragment:
        return "must be a URL with a host, and without user, password or fragment"
    if parts.scheme == "https" or (parts.scheme == "http" and loopback and is_loopback(host)):
        return None
    return "must be an https URL"


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
