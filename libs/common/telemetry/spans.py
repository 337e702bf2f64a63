"""Spans of our own making. Open this file to learn what a recorded trace costs, and what the collector is told of it.

OpenTelemetry's span with its sampler, locks and encoder takes several times as long as ours, which is one object while
it is open and a few bytes once the exporter's thread has written it. Only calls that gRPC's interceptors instrument
have spans of OpenTelemetry's; ours stand in its context, so that those become their children.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import TracebackType
from typing import Self

from opentelemetry import context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from libs.common.ids import new_span_id

Attribute = str | bool | int | float
SCOPE = "ordermesh"
HERE, REMOTE = 0x100, 0x300
"""Flags of OTLP: whether the parent is known to be of this process or of another."""
ATTRIBUTES_AT_HAND = 1024


class OwnSpan:
    """One span: open between `begin` and `end` or within `with`, which also makes it the parent of calls sent inside;
    afterwards what there is to tell."""

    __slots__ = (
        "_emit", "_token", "attributes", "began_ns", "context", "ended_ns", "failure", "kind", "links", "name",
        "parent_id", "parent_is", "traceparent",
    )  # fmt: skip

    def __init__(
        self,
        emit: "Callable[[OwnSpan], None]",
        name: str,
        trace_id: str,
        parent_id: str = "",
        *,
        recorded: bool = True,
        attributes: Mapping[str, Attribute] | None = None,
    ) -> None:
        """emit: gets the span when it has ended. parent_id: empty where the trace begins here."""
        span_id = new_span_id()
        self._emit = emit
        self.name = name
        self.context = SpanContext(int(trace_id, 16), int(span_id, 16), False, TraceFlags(recorded))
        self.traceparent = f"00-{trace_id}-{span_id}-{recorded:02x}"
        self.parent_id = parent_id
        self.parent_is = REMOTE if parent_id else HERE
        self.kind = trace_pb2.Span.SPAN_KIND_INTERNAL
        self.attributes = attributes
        self.links: Sequence[OwnSpan] = ()
        self.failure = ""

    def begin(self) -> Self:
        self.began_ns = time.time_ns()
        return self

    def end(self) -> None:
        self.ended_ns = time.time_ns()
        if self.context.trace_flags:
            self._emit(self)

    def __enter__(self) -> str:
        self._token = context.attach(set_span_in_context(NonRecordingSpan(self.context)))
        return self.begin().traceparent

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        context.detach(self._token)
        if error is not None:
            self.failure = f"{type(error).__name__}: {error}"
        self.end()


class Exporter(OTLPSpanExporter):
    """Sends spans of both kinds, in the exporter's thread."""

    def __init__(self, resource: Resource, endpoint: str, timeout: float) -> None:
        super().__init__(endpoint=endpoint, timeout=timeout)
        self._resource = resource_pb2.Resource(
            attributes=[_attribute(name, str(value)) for name, value in resource.attributes.items()]
        )

    def export(self, spans: Sequence[ReadableSpan | OwnSpan]) -> SpanExportResult:
        own = [span for span in spans if isinstance(span, OwnSpan)]
        others = [span for span in spans if isinstance(span, ReadableSpan)]
        sent = super().export(others) if others else SpanExportResult.SUCCESS
        if own and not self._client.export(self._written(own)).success:
            sent = SpanExportResult.FAILURE
        return sent

    def _written(self, spans: Sequence[OwnSpan]) -> bytes:
        of_scope = trace_pb2.ScopeSpans(scope=InstrumentationScope(name=SCOPE), spans=map(_written, spans))
        of_process = trace_pb2.ResourceSpans(resource=self._resource, scope_spans=[of_scope])
        return ExportTraceServiceRequest(resource_spans=[of_process]).SerializeToString()


def _written(span: OwnSpan) -> trace_pb2.Span:
    trace_id, span_id = _ids(span.context)
    told = trace_pb2.Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=bytes.fromhex(span.parent_id),
        name=span.name,
        kind=span.kind,
        start_time_unix_nano=span.began_ns,
        end_time_unix_nano=span.ended_ns,
        flags=span.parent_is,
    )
    if span.attributes:
        told.attributes.extend([_attribute(name, value) for name, value in span.attributes.items()])
    for linked in span.links:
        trace_id, span_id = _ids(linked.context)
        told.links.add(trace_id=trace_id, span_id=span_id, flags=HERE)
    if span.failure:
        told.status.code = trace_pb2.Status.STATUS_CODE_ERROR
        told.status.message = span.failure
    return told


def _ids(known: SpanContext) -> tuple[bytes, bytes]:
    return known.trace_id.to_bytes(16), known.span_id.to_bytes(8)


@lru_cache(ATTRIBUTES_AT_HAND, typed=True)
def _attribute(name: str, value: Attribute) -> KeyValue:
    match value:
        case bool():
            told = AnyValue(bool_value=value)
        case int():
            told = AnyValue(int_value=value)
        case float():
            told = AnyValue(double_value=value)
        case _:
            told = AnyValue(string_value=value)
    return KeyValue(key=name, value=told)
