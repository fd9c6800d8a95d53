"""How many requests, and how long they take, by route; and a span for each that a trace wants."""

import time
from random import getrandbits, random
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from shared.telemetry.metrics import Metrics
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ROUTE: Final = "relais.route"  # in the scope: what to call the route, where its pattern says too little
_NO_ROUTE = "other"
_UNMEASURED = frozenset({"/livez", "/readyz", "/metrics"})
_propagator = TraceContextTextMapPropagator()


class Measure:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, metrics: Metrics, tracer: Tracer, ratio: float) -> None:
        """`ratio`: the share of requests that begin a trace of their own."""
        self._app, self._tracer, self._ratio = app, tracer, ratio
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
            context = _wanted(scope, self._ratio)
            if context is None:
                await self._app(scope, receive, watch)
            else:
                with self._tracer.start_as_current_span(
                    scope["method"], context=context, kind=SpanKind.SERVER, record_exception=False
                ):
                    await self._app(scope, receive, watch)
        finally:
            route = _route_of(scope)
            self._requests.add(1, {"route": route, "status": str(status)})
            self._seconds.record(time.perf_counter() - started, {"route": route})


def _wanted(scope: Scope, ratio: float) -> Context | None:
    """The trace that a request belongs to, if it is a sampled one: the caller's, or by chance one of its own.

    Decided before any span is made, since even an unsampled one costs 20 us. A trace of our own is handed over as a
    caller would have: sampled, its parent unknown.
    """
    for name, value in scope["headers"]:
        if name == b"traceparent":
            context = _propagator.extract({"traceparent": value.decode("latin-1")})
            return context if trace.get_current_span(context).get_span_context().trace_flags.sampled else None
    if random() >= ratio:
        return None
    begun = SpanContext(getrandbits(128) or 1, getrandbits(64) or 1, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))  # fmt: skip
    return trace.set_span_in_context(NonRecordingSpan(begun), Context())


def _route_of(scope: Scope) -> str:
    """Never the path itself: it may hold anything, and would make a label of everything."""
    named = scope.get(ROUTE)
    if named is not None:
        return str(named)
    path = getattr(scope.get("route"), "path", _NO_ROUTE)
    return _NO_ROUTE if "{path:path}" in path else str(path)
