"""Spans by OpenTelemetry. Only loaded where an exporter is configured; open it to change what is sent there.

Ordinary calls are instrumented by OpenTelemetry's interceptors. Calls that travel together (`Batch…`) are not: the
interceptors know nothing of the traces of the entries. `batch` makes their spans.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version

import grpc
from opentelemetry import context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.grpc import aio_client_interceptors, aio_server_interceptor, filters
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Link, Span, SpanKind, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from libs.common.config import ProcessSettings

Attribute = str | bool | int | float
EXPORT_SECONDS = 10
_ORDINARY = filters.negate(filters.method_prefix("Batch"))


class Recorder:
    """One process's spans."""

    def __init__(self, settings: ProcessSettings, process_name: str) -> None:
        resource = Resource.create(
            {
                "service.name": process_name,
                "service.namespace": "ordermesh",
                "service.version": version("ordermesh"),
                "deployment.environment.name": settings.environment.value,
            }
        )
        ratio = TraceIdRatioBased(settings.sample_ratio)
        self._samples_below = ratio.bound
        self._provider = TracerProvider(resource=resource, sampler=ParentBased(ratio))
        endpoint = f"{settings.otlp_endpoint.rstrip('/')}/v1/traces"
        exporter = OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("ordermesh")

    def server_interceptors(self) -> Sequence[grpc.aio.ServerInterceptor]:
        return (aio_server_interceptor(tracer_provider=self._provider, filter_=_ORDINARY),)  # type: ignore[no-untyped-call]

    def channel_interceptors(self) -> Sequence[grpc.aio.ClientInterceptor]:
        return tuple(aio_client_interceptors(tracer_provider=self._provider, filter_=_ORDINARY))  # type: ignore[no-untyped-call]

    def samples(self, trace_id: str) -> bool:
        """Whether a trace that begins here is recorded; the same for a trace id wherever it is asked."""
        return int(trace_id[16:], 16) < self._samples_below

    def current_traceparent(self) -> str:
        return _traceparent_of(get_current_span())

    def span(
        self, name: str, traceparent: str, attributes: Mapping[str, Attribute]
    ) -> AbstractContextManager[Span]:
        return self._tracer.start_as_current_span(name, context=_remote(traceparent), attributes=attributes)

    @contextmanager
    def parent(self, traceparent: str) -> Iterator[None]:
        token = context.attach(_remote(traceparent))
        try:
            yield
        finally:
            context.detach(token)

    @contextmanager
    def batch(self, name: str, traceparents: Sequence[str]) -> Iterator[list[str]]:
        """A span for each of these contexts in its own trace, and one in the first of them that links to all."""
        spans = [
            self._tracer.start_span(name, context=_remote(traceparent), kind=SpanKind.SERVER)
            for traceparent in traceparents
        ]
        links = [Link(span.get_span_context()) for span in spans]
        whole = self._tracer.start_span(f"{name}, together", set_span_in_context(spans[0]), links=links)
        try:
            yield [_traceparent_of(span) for span in spans]
        finally:
            for span in (*spans, whole):
                span.end()

    def close(self) -> None:
        self._provider.shutdown()


def _traceparent_of(span: Span) -> str:
    found = span.get_span_context()
    if not found.is_valid:
        return ""
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-{int(found.trace_flags):02x}"


def _remote(traceparent: str) -> context.Context:
    return TraceContextTextMapPropagator().extract({"traceparent": traceparent})
