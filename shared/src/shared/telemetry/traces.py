"""Traces over topics: W3C `traceparent` in the record's header; a batch links to its messages' spans.

Most messages are not sampled, and an unsampled one carries no header at all, so that tracing costs nothing there.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

HEADER = "traceparent"
MAX_LINKS = 128  # the SDK's own default limit of links a span
Headers = tuple[tuple[str, bytes], ...]
_propagator = TraceContextTextMapPropagator()


def setup_traces(service: str, ratio: float, endpoint: str | None) -> TracerProvider:
    """A tracer provider that keeps `ratio` of new traces and follows the decision of those that come in."""
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(ratio)), resource=Resource.create({"service.name": service})
    )
    if endpoint is not None:
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    return provider


def headers_now() -> Headers:
    """The current span's context as record headers; empty when it is not sampled."""
    context = trace.get_current_span().get_span_context()
    if not context.trace_flags.sampled:
        return ()
    return ((HEADER, f"00-{context.trace_id:032x}-{context.span_id:016x}-01".encode()),)


def header_of(headers: Headers) -> Headers:
    """What a record made from another one carries on: its trace context."""
    return tuple(item for item in headers if item[0] == HEADER)


@contextmanager
def batch_span(tracer: trace.Tracer, name: str, headers: Iterable[Headers]) -> Iterator[None]:
    """A span for a batch, linked to the sampled messages in it. No span at all when none is sampled."""
    links: list[trace.Link] = []
    for items in headers:
        for key, value in items:
            if key == HEADER and len(links) < MAX_LINKS:
                context = _propagator.extract({HEADER: value.decode("ascii", "replace")})
                links.append(trace.Link(trace.get_current_span(context).get_span_context()))
    if not links:
        yield
        return
    parent = trace.set_span_in_context(trace.NonRecordingSpan(links[0].context))
    with tracer.start_as_current_span(name, context=parent, links=links):
        yield
