"""The few routes that are called thousands of times a second, answered before FastAPI looks for them.

Their declarations stay with FastAPI, for OpenAPI. Finding a route and running it there costs about as much again as
taking the message.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from ingest.adapters.http.measure import ROUTE

Endpoint = Callable[[Request], Awaitable[Response]]


class HotRoad:
    """ASGI middleware. Errors become problem documents by the app's own handlers."""

    def __init__(self, app: ASGIApp, owner: FastAPI, endpoints: Mapping[tuple[str, str], Endpoint]) -> None:
        """`endpoints` by method and path; it may be filled until the first request."""
        self._app, self._owner, self._endpoints = app, owner, endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoints.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        scope[ROUTE] = scope["path"]
        request = Request(scope, receive)
        try:
            answer = await endpoint(request)
        except Exception as error:
            handler = self._owner.exception_handlers.get(type(error))
            if handler is None:
                raise  # Starlette's outermost layer answers 500
            answer = await handler(request, error)  # type: ignore[misc]
        await answer(scope, receive, send)


def endpoints_of(routes: Sequence[object]) -> dict[tuple[str, str], Endpoint]:
    """The endpoints of routes without parameters, by method and path."""
    return {(m, r.path): r.endpoint for r in routes if isinstance(r, APIRoute) for m in r.methods or ()}
