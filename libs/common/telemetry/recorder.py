"""Spans by OpenTelemetry. Only loaded where an exporter is configured; open it to change what is sent there.

Ordinary calls of traces that are recorded are instrumented by OpenTelemetry's interceptors. Calls that travel together
(`Batch…`) are not: the interceptors know nothing of the traces of the entries. `batch` makes their spans.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import cast

import grpc
from opentelemetry import context
from opentelemetry.instrumentation.grpc import aio_client_interceptors, aio_server_interceptor, filters
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import NoOpTracer, Span, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from libs.common.config import ProcessSettings
from libs.common.ids import new_trace_id
from libs.common.telemetry import TRACEPARENT_KEY, accepted_traceparent, ids_in, makes_spans
from libs.common.telemetry.spans import HERE, SCOPE, Attribute, Exporter, OwnSpan

EXPORT_SECONDS = 10
_TOGETHER = "Batch"
"""How methods begin whose calls travel together."""
_ORDINARY = filters.negate(filters.method_prefix(_TOGETHER))


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
        self._sending = BatchSpanProcessor(Exporter(resource, endpoint, EXPORT_SECONDS))
        self._provider.add_span_processor(self._sending)
        self._disabled = isinstance(self._provider.get_tracer(SCOPE), NoOpTracer)  # by OTEL_SDK_DISABLED

    def server_interceptors(self) -> Sequence[grpc.aio.ServerInterceptor]:
        return (aio_server_interceptor(tracer_provider=self._provider, filter_=_has_span),)  # type: ignore[no-untyped-call]

    def channel_interceptors(self) -> Sequence[grpc.aio.ClientInterceptor]:
        return tuple(aio_client_interceptors(tracer_provider=self._provider, filter_=_ORDINARY))  # type: ignore[no-untyped-call]

    def samples(self, trace_id: str) -> bool:
        """Whether a trace that begins here is recorded; the same for a trace id wherever it is asked."""
        return int(trace_id[16:], 16) < self._samples_below

    def current_traceparent(self) -> str:
        return _traceparent_of(get_current_span())

    def span(self, name: str, traceparent: str, attributes: Mapping[str, Attribute] | None) -> OwnSpan:
        """traceparent: of a trace that is recorded; without one a trace begins, which may not be."""
        trace_id, parent_id = ids_in(traceparent)
        if trace_id:
            return OwnSpan(self._emit, name, trace_id, parent_id, attributes=attributes)
        trace_id = new_trace_id()
        return OwnSpan(self._emit, name, trace_id, recorded=self.samples(trace_id), attributes=attributes)

    def _emit(self, span: OwnSpan) -> None:
        """The queue takes whatever has a context, and the exporter tells the two kinds apart."""
        if not self._disabled:
            self._sending.on_end(cast(ReadableSpan, span))

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
        spans = [self.span(name, traceparent, None).begin() for traceparent in traceparents]
        for span in spans:
            span.kind = trace_pb2.Span.SPAN_KIND_SERVER
        whole = self.span(f"{name}, together", spans[0].traceparent, None).begin()
        whole.links, whole.parent_is = spans, HERE
        try:
            yield [span.traceparent for span in spans]
        finally:
            for span in (*spans, whole):
                span.end()

    def close(self) -> None:
        self._provider.shutdown()


def _has_span(call: grpc.HandlerCallDetails) -> bool:
    """False in a trace that its caller does not record: the interceptor would make nothing of it, at a price.

    Asked of each call, so it does without the filters that come with the interceptor.
    """
    if call.method.rpartition("/")[2].startswith(_TOGETHER):
        return False
    stated = next((value for name, value in call.invocation_metadata if name == TRACEPARENT_KEY), "")
    return makes_spans(accepted_traceparent(str(stated)))


def _traceparent_of(span: Span) -> str:
    found = span.get_span_context()
    if not found.is_valid:
        return ""
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-{int(found.trace_flags):02x}"


def _remote(traceparent: str) -> context.Context:
    return TraceContextTextMapPropagator().extract({TRACEPARENT_KEY: traceparent})
