"""Shut until the service stands: a request that comes earlier is told to come again."""

from typing import Final

from shared.http.problems import ProblemError, response_of
from starlette.types import ASGIApp, Receive, Scope, Send

ALWAYS_OPEN: Final = frozenset({"/livez", "/readyz", "/metrics"})


class Gate:
    """ASGI middleware over a latch that the composition root opens."""

    def __init__(self, app: ASGIApp, latch: "Latch") -> None:
        self._app, self._latch = app, latch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._latch.is_open or scope["type"] != "http" or scope["path"] in ALWAYS_OPEN:
            await self._app(scope, receive, send)
            return
        problem = ProblemError(503, "starting", "the service is starting; try again", headers={"Retry-After": "1"})
        await response_of(problem)(scope, receive, send)


class Latch:
    is_open = False
