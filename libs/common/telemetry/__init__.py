"""Traces. Open this file to learn what is recorded, when, and how a trace goes on after hours in a table.

The trace context always travels: from call to call in metadata, and from row to row as `traceparent` text. Spans exist
only where `OTEL_EXPORTER_OTLP_ENDPOINT` is set; without it OpenTelemetry is not even imported, because its gRPC
interceptors cost more than the call.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING

from libs.common.config import ProcessSettings
from libs.common.ids import new_span_id, new_trace_id

if TYPE_CHECKING:
    import grpc

    from libs.common.telemetry.recorder import Recorder
    from libs.common.telemetry.spans import Attribute

TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-[\x21-\x7e]*)?"
)
TRACEPARENT_CHARACTERS_MAX = 128
TRACEPARENT_KEY = "traceparent"
"""Of the metadata of a call."""
_FLAGGED = frozenset("13579bdf")
"""Last digit of the flags of a trace that is recorded."""

_recorders: "list[Recorder]" = []
"""Empty or one entry: a process has one exporter, so it has one recorder."""


def configure_telemetry(settings: ProcessSettings, process_name: str) -> None:
    """Turns recording on when an exporter is configured; call it once, before servers and channels are made."""
    if settings.otlp_endpoint and not _recorders:
        recorder = import_module("libs.common.telemetry.recorder")
        _recorders.append(recorder.Recorder(settings, process_name))


def stop_telemetry() -> None:
    """Sends what is left and turns recording off. Blocks for at most the exporter's timeout."""
    while _recorders:
        _recorders.pop().close()


def is_recording() -> bool:
    """True when spans are made in this process."""
    return bool(_recorders)


def server_interceptors() -> "Sequence[grpc.aio.ServerInterceptor]":
    """Those that open a span for each call; none while nothing is recorded."""
    return _recorders[0].server_interceptors() if _recorders else ()


def channel_interceptors() -> "Sequence[grpc.aio.ClientInterceptor]":
    """Those that open a span for each call sent; none while nothing is recorded."""
    return _recorders[0].channel_interceptors() if _recorders else ()


def accepted_traceparent(text: str) -> str:
    """`text` when it is a W3C traceparent, else empty."""
    return text if len(text) <= TRACEPARENT_CHARACTERS_MAX and TRACEPARENT.fullmatch(text) else ""


def new_traceparent() -> str:
    """A fresh context. Whether its trace is recorded is decided here, before any span exists, and holds everywhere."""
    trace_id = new_trace_id()
    recorded = bool(_recorders) and _recorders[0].samples(trace_id)
    return f"00-{trace_id}-{new_span_id()}-{recorded:02x}"


def is_recorded(traceparent: str) -> bool:
    """True for a trace of which spans are made here."""
    return bool(_recorders) and traceparent[54:55] in _FLAGGED


def makes_spans(traceparent: str) -> bool:
    """True for a call in this context that is to have a span here, or whose trace begins with it."""
    return bool(_recorders) and (not traceparent or is_recorded(traceparent))


def ids_in(traceparent: str) -> tuple[str, str]:
    """Trace id and span id; both empty when it is not a traceparent."""
    match = TRACEPARENT.fullmatch(traceparent)
    return (match[1], match[2]) if match else ("", "")


def current_traceparent() -> str:
    """Context of the span that is open in this task. Empty when there is none."""
    return _recorders[0].current_traceparent() if _recorders else ""


def span(
    name: str, traceparent: str, attributes: "Mapping[str, Attribute] | None" = None
) -> AbstractContextManager[str]:
    """A span that goes on from a stored traceparent, for example that of an event row; yields its own traceparent.

    While nothing is recorded, or not this trace, it yields `traceparent` as it is.
    """
    if not _recorders or (traceparent and not is_recorded(traceparent)):
        return nullcontext(traceparent)
    return _recorders[0].span(name, traceparent, attributes)


@contextmanager
def spans_of_batch(name: str, traceparents: Sequence[str]) -> Iterator[Sequence[str]]:
    """Spans for calls that travel together, each in the trace of its own caller; yields their traceparents in order.

    Nothing is made for a trace that is not recorded: its traceparent goes on as it is.
    """
    recorded = [place for place, each in enumerate(traceparents) if is_recorded(each)] if _recorders else ()
    if not recorded:
        yield traceparents
        return
    with _recorders[0].batch(name, [traceparents[place] for place in recorded]) as opened:
        going_on = list(traceparents)
        for place, traceparent in zip(recorded, opened, strict=True):
            going_on[place] = traceparent
        yield going_on


@contextmanager
def continuing(traceparent: str) -> Iterator[None]:
    """Makes a stored traceparent the parent of calls sent in the block, unless a span is open already."""
    if not _recorders or current_traceparent():
        yield
        return
    with _recorders[0].parent(traceparent):
        yield
