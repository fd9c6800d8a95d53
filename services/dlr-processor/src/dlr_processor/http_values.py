"""Reading what callers write in paths, queries and bodies; writing answers."""

import uuid
from datetime import UTC, datetime
from typing import Any

import msgspec
from fastapi.responses import Response
from shared.crypto.tokens import Caller
from shared.http.problems import ProblemError, field_problem


def answer(body: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json")


def tenant_of(caller: Caller) -> str:
    if caller.tenant_id in ("", "*") or "," in caller.tenant_id:
        raise ProblemError(403, "forbidden", "the token names no tenant")
    return caller.tenant_id


def canonical(text: str) -> str | None:
    """A UUID as the ledger writes it; None for anything else."""
    try:
        return str(uuid.UUID(text)) if len(text) in (32, 36) else None
    except ValueError:
        return None


def moment(field: str, text: str | None) -> int | None:
    """RFC 3339 to milliseconds."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            found = found.replace(tzinfo=UTC)
        value = int(found.timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise field_problem(field, "bad_time", "must be an RFC 3339 time such as 2025-01-31T08:00:00Z") from error
    if value < 0:
        raise field_problem(field, "bad_time", "lies before 1970")
    return value
