"""Requests and answers as JSON: decoded by type with msgspec, every refusal naming its field."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Final, TypeVar
from zoneinfo import available_timezones

import msgspec
from fastapi import Request, Response
from msgspec import Meta
from shared.http.problems import ProblemError, field_problem

T = TypeVar("T")
LARGEST_BODY: Final = 8 * 1024 * 1024

ID: Final = r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}$"
# A ref travels in the clear and stands in keys: it is never a phone number, and the prefix `number:` is ours.
REF: Final = r"^(?!number:)(?!\+[0-9 ])[^\x00-\x1f\x7f/]{1,128}$"
LOCALE: Final = r"^[A-Za-z]{2,3}([_\-][A-Za-z0-9]{2,8}){0,3}$"  # the common part of BCP 47
ZONE: Final = r"^[A-Za-z][A-Za-z0-9_+\-]*(/[A-Za-z0-9_+\-]+){0,2}$"

Id = Annotated[str, Meta(pattern=ID)]
Ref = Annotated[str, Meta(pattern=REF)]
Locale = Annotated[str, Meta(pattern=LOCALE)]
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
Words = Annotated[str, Meta(max_length=2000, pattern=r"^[^\x00]*$")]

_PATH: Final = re.compile(r" - at `\$(.*)`$")


async def read(request: Request) -> bytes:
    """The whole body; 413 above the limit."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST_BODY:
            raise ProblemError(
                413, "too_large", f"the body is larger than {LARGEST_BODY // 1024**2} MiB: send less at once"
            )
    return bytes(body)


async def body_of(request: Request, decoder: "msgspec.json.Decoder[T]") -> T:
    """The decoded body. 400 when it is not JSON, 422 when it is not what is asked for."""
    return decoded(await read(request), decoder)


def decoded(raw: bytes | msgspec.Raw, decoder: "msgspec.json.Decoder[T]", within: str = "") -> T:
    """`within`: path of what `raw` is a part of."""
    if b"\\u0000" in bytes(raw):
        raise ProblemError(422, "invalid_request", "a text holds U+0000, which cannot be stored")
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        trouble = field_error(error, within)
        raise ProblemError(
            422, "invalid_request", f"{trouble['field']}: {trouble['detail']}", errors=[trouble]
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ProblemError(400, "malformed_json", "the body is not JSON in UTF-8") from None


def field_error(error: msgspec.ValidationError, within: str = "") -> dict[str, str]:
    """msgspec's refusal as a field, such as `contacts.3.ref`, and why."""
    message = str(error)
    found = _PATH.search(message)
    place = found.group(1) if found else ""
    detail = message[: found.start()] if found else message
    path = re.sub(r"\[(\d+)\]", r".\1", place).replace("[...]", "").lstrip(".")
    missing = re.search(r"(missing required|unknown) field `(.{1,100})`", detail)
    if missing:
        path = f"{path}.{missing.group(2)}".lstrip(".")
        detail = "is required" if missing.group(1).startswith("missing") else "is not a field here"
    elif "matching regex" in detail:
        detail = _PATTERNS.get(path.rsplit(".", 1)[-1], "is not written as this field must be")
    return {"field": ".".join(p for p in (within, path) if p) or "body", "code": "invalid_value", "detail": detail}


_PATTERNS: Final = {
    "ref": "1 to 128 printable characters without /, not a phone number, not starting with `number:`",
    "contact": "1 to 128 printable characters without /, not a phone number, not starting with `number:`",
    "locale": "a language tag such as fr or fr-CA",
    "pool": "a name that a template can write: letters, digits and _, not starting with a digit",
    "feed": "a name that a template can write: letters, digits and _, not starting with a digit",
    "default_locale": "a language tag such as fr or fr-CA",
    "time_zone": "an IANA name such as Europe/Paris",
}


def checked_id(value: str, field: str, pattern: str = ID) -> str:
    """An id from the path."""
    if not re.match(pattern, value):
        raise written_wrong(field)
    return value


def written_wrong(field: str) -> ProblemError:
    """The refusal of a value that is not written as this field must be."""
    return field_problem(field, "invalid_value", _PATTERNS.get(field, "1 to 64 letters, digits, _ . -"))


def answer(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")


def not_found(what: str) -> ProblemError:
    return ProblemError(404, "not_found", f"there is no such {what}")


def written(at_ms: int | None) -> str | None:
    """Milliseconds as RFC 3339, as the public API writes times."""
    if at_ms is None:
        return None
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def millis(at: datetime) -> int:
    return int(at.timestamp() * 1000)


@lru_cache(maxsize=1)
def zones() -> frozenset[str]:
    """IANA names of time zones."""
    return frozenset(available_timezones())
