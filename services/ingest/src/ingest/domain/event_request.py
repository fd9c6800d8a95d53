"""Is this an event we can take? One object of POST /v1/events/batch: what a person did, as the tenant tells it."""

import re
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec
from shared.contracts.fields import MICROS

from ingest.domain.faults import NUMBER_OR_STRING, OBJECT, REQUIRED_STRING, STRING, Fault, shape_faults
from ingest.domain.message_request import label_faults, moment_of

PROPERTIES_BYTES: Final = 16 * 1024
REF_CHARACTERS: Final = 128
AHEAD_MS: Final = 5 * 60_000  # clocks differ a little; an event of tomorrow is a mistake
LARGEST: Final = Decimal(10) ** 12  # the topic's decimal has 18 digits, six of them behind the point

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
_CURRENCY = re.compile(r"[A-Z]{3}")


class EventRequest(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """As a caller writes it."""

    contact: str
    name: str
    id: str | None = None
    at: str | None = None
    value: Decimal | None = None
    currency: str | None = None
    properties: dict[str, Any] | None = None


SHAPES: Final = {
    "contact": REQUIRED_STRING, "name": REQUIRED_STRING, "id": STRING, "at": STRING, "value": NUMBER_OR_STRING,
    "currency": STRING, "properties": OBJECT,
}  # fmt: skip


class CheckedEvent(NamedTuple):
    """An event whose values are right."""

    contact: str
    name: str
    id: str | None
    at: int | None  # ms since 1970
    value: int | None  # millionths
    currency: str | None
    properties: str | None  # JSON, to be sealed


_decode = msgspec.json.Decoder(EventRequest).decode
_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def check_event(raw: bytes | msgspec.Raw, now_ms: int) -> CheckedEvent | list[Fault]:
    """The event, or everything that is wrong with it."""
    try:
        request = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _why_not(raw, error)
    faults = _value_faults(request, now_ms)
    if faults:
        return faults
    return CheckedEvent(
        request.contact, request.name, request.id, moment_of(request.at) if request.at is not None else None,
        int(request.value * MICROS) if request.value is not None else None, request.currency,
        _encode(request.properties).decode() if request.properties else None,
    )  # fmt: skip


def _why_not(raw: bytes | msgspec.Raw, error: Exception) -> list[Fault]:
    if isinstance(error, RecursionError):
        return [Fault("body", "too_deep", "is nested too deeply")]
    try:
        faults = shape_faults(_decode_any(raw), SHAPES)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [Fault("body", "malformed_json", "is not valid JSON in UTF-8")]
    return faults or [Fault("value", "not_a_number", "must be a decimal number")]


def _value_faults(request: EventRequest, now_ms: int) -> list[Fault]:
    faults = label_faults("contact", request.contact, REF_CHARACTERS)
    if request.id is not None:
        faults += label_faults("id", request.id, REF_CHARACTERS)
    if _NAME.fullmatch(request.name) is None:
        faults.append(Fault("name", "bad_name", "must be 1 to 64 letters, digits, `_`, `.`, `:` or `-`"))
    if request.at is not None:
        moment = moment_of(request.at)
        if moment is None:
            faults.append(Fault("at", "not_rfc3339", "must be a date and time of RFC 3339 with its offset"))
        elif moment > now_ms + AHEAD_MS:
            faults.append(Fault("at", "in_the_future", "must not lie in the future"))
    faults += _money_faults(request.value, request.currency)
    if request.properties:
        written = _encode(request.properties)
        if len(written) > PROPERTIES_BYTES:
            faults.append(Fault("properties", "too_large", f"must take at most {PROPERTIES_BYTES} bytes as JSON"))
        elif b"\\u0000" in written:
            faults.append(Fault("properties", "bad_character", "must not hold the character U+0000"))
    return faults


def _money_faults(value: Decimal | None, currency: str | None) -> list[Fault]:
    faults = []
    if value is not None:
        if not value.is_finite() or abs(value) >= LARGEST:
            faults.append(Fault("value", "out_of_range", "must lie between -10^12 and 10^12"))
        else:
            exponent = value.as_tuple().exponent
            if isinstance(exponent, int) and exponent < -6 and value * MICROS != int(value * MICROS):
                faults.append(Fault("value", "too_precise", "must have at most six decimals"))
        if currency is None:
            faults.append(Fault("currency", "missing", "is required beside a value"))
    if currency is not None and _CURRENCY.fullmatch(currency) is None:
        faults.append(Fault("currency", "not_iso4217", "must be three capital letters of ISO 4217"))
    return faults
