"""How many requests, and how long they take, by route; and a span for each that a trace wants."""

import time
from typing import Any, Final

from opentelemetry.trace import SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from shared.telemetry.metrics import Metrics
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ROUTE: Final = "relais.route"  # in the scope: what to call the route, where its pattern says too little
_NO_ROUTE = "other"
_UNMEASURED = frozenset({"/livez", "/readyz", "/metrics"})
_propagator = TraceContextTextMapPropagator()


class Measure:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, metrics: Metrics, tracer: Tracer) -> None:
        self._app, self._tracer = app, tracer
        self._requests = metrics.counter("relais_http_requests")
        self._seconds = metrics.histogram("relais_http_seconds")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _UNMEASURED:
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with self._tracer.start_as_current_span(
                scope["method"], context=_context_of(scope), kind=SpanKind.SERVER, record_exception=False
            ):
                await self._app(scope, receive, watch)
        finally:
            route = {"route": _route_of(scope)}
            self._requests.add(1, {**route, "status": str(status)})
            self._seconds.record(time.perf_counter() - started, route)


def _context_of(scope: Scope) -> Any:
    for name, value in scope["headers"]:
        if name == b"traceparent":
            return _propagator.extract({"traceparent": value.decode("latin-1")})
    return None


def _route_of(scope: Scope) -> str:
    """Never the path itself: it may hold anything, and would make a label of everything."""
    named = scope.get(ROUTE)
    if named is not None:
        return str(named)
    path = getattr(scope.get("route"), "path", _NO_ROUTE)
    return _NO_ROUTE if "{path:path}" in path else str(path)
