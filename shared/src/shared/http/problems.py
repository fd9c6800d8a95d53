"""Errors as RFC 9457 problem documents: which field, why, and what to do."""

from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from shared.errors import RetryLaterError
from shared.telemetry.logs import logger

MEDIA_TYPE = "application/problem+json"
_log = logger(part="http")


class ProblemError(Exception):
    """A request that is answered with a problem document.

    `code` is a stable word for programs; `errors` lists fields as {"field", "code", "detail"}. No detail repeats a
    number or a text.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: list[dict[str, Any]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.errors, self.headers = status, code, detail, errors, headers

    def body(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "type": f"urn:relais:problem:{self.code}",
            "title": self.code.replace("_", " "),
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            found["errors"] = self.errors
        return found


def field_problem(field: str, code: str, detail: str, status: int = 422) -> ProblemError:
    """The commonest problem: one field is wrong."""
    return ProblemError(status, code, f"{field}: {detail}", errors=[{"field": field, "code": code, "detail": detail}])


def response_of(problem: ProblemError) -> Response:
    return Response(
        msgspec.json.encode(problem.body()), status_code=problem.status, media_type=MEDIA_TYPE, headers=problem.headers
    )


def install(app: FastAPI) -> None:
    """Every error of the app becomes a problem document."""

    async def problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, ProblemError)
        return response_of(error)

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        errors = []
        for item in error.errors():
            place = [str(p) for p in item["loc"] if p != "body"]
            errors.append({"field": ".".join(place) or "body", "code": item["type"], "detail": item["msg"]})
        first = errors[0]
        return response_of(ProblemError(422, "invalid_request", f"{first['field']}: {first['detail']}", errors=errors))

    async def http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return response_of(
            ProblemError(error.status_code, "http_error", str(error.detail), headers=dict(error.headers or {}))
        )

    async def later(_: Request, error: Exception) -> Response:
        _log.warning("request put off", error=str(error))
        return response_of(
            ProblemError(503, "try_later", "a part behind this call is away; try again", headers={"Retry-After": "2"})
        )

    async def unexpected(request: Request, error: Exception) -> Response:
        _log.error("request failed", route=_route(request), exc_info=error)
        return response_of(ProblemError(500, "internal_error", "something failed here; the call may be repeated"))

    app.add_exception_handler(ProblemError, problem)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RetryLaterError, later)
    app.add_exception_handler(Exception, unexpected)


def _route(request: Request) -> str:
    route = request.scope.get("route")
    return getattr(route, "path", "unknown")
