"""Routes that read their own bodies: documented by FastAPI, decoded by msgspec, within limits."""

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from fastapi import Request, Response
from fastapi.routing import APIRoute
from shared.http.problems import ProblemError

from ingest.domain.faults import Fault

JSON = "application/json"
_encode = msgspec.json.Encoder().encode


class RawRoute(APIRoute):
    """Calls the endpoint with the request alone: no dependencies, no body model, no validation of the answer."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return self.endpoint


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(_encode(value), status_code=status, media_type=JSON, headers=headers)


def too_large(limit: int) -> ProblemError:
    return ProblemError(413, "too_large", f"the body may have at most {limit} bytes")


async def body_of(request: Request, limit: int) -> bytes:
    """The whole body. ProblemError 413 as soon as it is known to be longer than `limit` bytes."""
    declared = request.headers.get("content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise too_large(limit)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def refused(faults: list[Fault]) -> ProblemError:
    """The whole request is refused for these faults: 400 where it is not even JSON, else 422."""
    first = faults[0]
    status = 400 if first.code == "malformed_json" else 422
    code = "malformed_json" if status == 400 else "invalid_request"
    return ProblemError(status, code, f"{first.field}: {first.detail}", errors=[fault.entry() for fault in faults])


_raw_items: dict[str, msgspec.json.Decoder[Any]] = {}


def items_of(body: bytes, field: str, most: int) -> list[msgspec.Raw]:
    """The undecoded items of `{field: [...]}`. ProblemError when the body is anything else, or holds too many or none."""
    decoder = _raw_items.get(field)
    if decoder is None:
        shape = msgspec.defstruct("Batch", [(field, list[msgspec.Raw])], forbid_unknown_fields=True, gc=False)
        decoder = _raw_items[field] = msgspec.json.Decoder(shape)
    try:
        items: list[msgspec.Raw] = getattr(decoder.decode(body), field)
    except msgspec.ValidationError as error:
        raise refused([Fault(field, "wrong_type", f"the body must be an object with the one field {field}, an array")]) from error  # fmt: skip
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refused([Fault("body", "malformed_json", "is not valid JSON in UTF-8")]) from error
    if not items:
        raise refused([Fault(field, "too_few", "must hold at least one item")])
    if len(items) > most:
        raise refused([Fault(field, "too_many", f"must hold at most {most} items")])
    return items
