"""Spans by OpenTelemetry. Only loaded where an exporter is configured; open it to change what is sent there."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version

import grpc
from opentelemetry import context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.grpc import aio_client_interceptors, aio_server_interceptor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from libs.common.config import ProcessSettings

Attribute = str | bool | int | float
EXPORT_SECONDS = 10


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
        self._provider = TracerProvider(
            resource=resource,
            sampler=ParentBased(TraceIdRatioBased(settings.sample_ratio)),
        )
        endpoint = f"{settings.otlp_endpoint.rstrip('/')}/v1/traces"
        exporter = OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("ordermesh")

    def server_interceptors(self) -> Sequence[grpc.aio.ServerInterceptor]:
        return (aio_server_interceptor(tracer_provider=self._provider),)  # type: ignore[no-untyped-call]

    def channel_interceptors(self) -> Sequence[grpc.aio.ClientInterceptor]:
        return tuple(aio_client_interceptors(tracer_provider=self._provider))  # type: ignore[no-untyped-call]

    def current_traceparent(self) -> str:
        found = get_current_span().get_span_context()
        if not found.is_valid:
            return ""
        return f"00-{found.trace_id:032x}-{found.span_id:016x}-{int(found.trace_flags):02x}"

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

    def close(self) -> None:
        self._provider.shutdown()


def _remote(traceparent: str) -> context.Context:
    return TraceContextTextMapPropagator().extract({"traceparent": traceparent})
