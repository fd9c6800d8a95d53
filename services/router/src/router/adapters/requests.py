"""What the router's HTTP calls have in common."""

from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import Request
from shared.http.problems import ProblemError

from router.domain.trouble import FieldTrouble

LARGEST_BODY = 16 * 1024 * 1024  # a price list of 50,000 rows
MOST_TOLD = 100


async def json_of(request: Request) -> Any:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise ProblemError(413, "too_large", f"the body is larger than {LARGEST_BODY} bytes")
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise ProblemError(400, "invalid_json", "the body is not JSON") from error


def problem_of(code: str, troubles: Sequence[FieldTrouble]) -> ProblemError:
    """Every trouble with its row, the first hundred."""
    first = troubles[0]
    more = f" and {len(troubles) - 1} more" if len(troubles) > 1 else ""
    told = [trouble._asdict() for trouble in troubles[:MOST_TOLD]]
    return ProblemError(422, code, f"{first.field}: {first.detail}{more}", errors=told)
