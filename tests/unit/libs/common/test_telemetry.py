"""The trace context travels always; spans exist only where somebody receives them."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2

from libs.common import telemetry
from libs.common.config import ProcessSettings
from libs.common.testing.collector import Collector, collecting

PARENT = f"00-{'a' * 32}-{'b' * 16}-01"
UNSAMPLED = f"00-{'a' * 32}-{'b' * 16}-00"


def spans_in(collector: Collector) -> list[trace_pb2.Span]:
    """In the order in which they ended."""
    requests = map(ExportTraceServiceRequest.FromString, collector.bodies)
    return [
        span
        for request in requests
        for of_process in request.resource_spans
        for of_scope in of_process.scope_spans
        for span in of_scope.spans
    ]


@pytest.fixture
def recording() -> Iterator[Collector]:
    """A process that records everything."""
    with collecting() as collector:
        settings = ProcessSettings(otlp_endpoint=collector.endpoint, sample_ratio=1.0)
        telemetry.configure_telemetry(settings, "test")
        yield collector
        telemetry.stop_telemetry()


def test_spans_reach_the_collector_when_the_process_ends(recording: Collector) -> None:
    with telemetry.span("deliver", PARENT):
        pass
    telemetry.stop_telemetry()
    assert recording.paths == ["/v1/traces"]
    assert not telemetry.is_recording()


def test_a_span_tells_where_it_belongs_what_it_was_about_and_why_it_failed(recording: Collector) -> None:
    about: dict[str, str | bool | int | float] = {
        "target": "netsuite",
        "tries": 2,
        "again": True,
        "share": 0.5,
    }

    def deliver_in_vain() -> None:
        with telemetry.span("deliver", PARENT, about) as outer:
            with telemetry.span("inside", outer):
                pass
            raise LookupError("nobody there")

    with pytest.raises(LookupError):
        deliver_in_vain()
    telemetry.stop_telemetry()
    inside, deliver = spans_in(recording)
    assert (deliver.name, deliver.trace_id.hex(), deliver.parent_span_id.hex()) == (
        "deliver",
        "a" * 32,
        "b" * 16,
    )
    assert {
        one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in deliver.attributes
    } == about
    assert deliver.start_time_unix_nano <= inside.start_time_unix_nano <= inside.end_time_unix_nano
    assert inside.end_time_unix_nano <= deliver.end_time_unix_nano
    assert deliver.status.code == trace_pb2.Status.STATUS_CODE_ERROR
    assert deliver.status.message == "LookupError: nobody there"
    assert inside.parent_span_id == deliver.span_id
    assert inside.status.code == trace_pb2.Status.STATUS_CODE_UNSET


def test_what_sends_spans_says_what_it_is(recording: Collector) -> None:
    with telemetry.span("deliver", PARENT):
        pass
    telemetry.stop_telemetry()
    (of_process,) = ExportTraceServiceRequest.FromString(recording.bodies[0]).resource_spans
    said = {one.key: one.value.string_value for one in of_process.resource.attributes}
    assert (said["service.name"], said["service.namespace"]) == ("test", "ordermesh")


def test_a_trace_that_begins_with_a_span_is_sampled_like_any_other() -> None:
    with collecting() as collector:
        telemetry.configure_telemetry(
            ProcessSettings(otlp_endpoint=collector.endpoint, sample_ratio=0.0), "test"
        )
        with telemetry.span("start", "") as traceparent:
            assert traceparent.endswith("-00")
        telemetry.stop_telemetry()
        assert collector.bodies == []


def test_without_an_exporter_nothing_is_recorded_and_opentelemetry_is_not_even_loaded() -> None:
    program = (
        "import sys\n"
        "import libs.common.rpc.server, libs.common.rpc.channel, libs.common.logging\n"
        "from libs.common.telemetry import *\n"
        "from libs.common.config import ProcessSettings\n"
        "configure_telemetry(ProcessSettings(), 'x')\n"
        "assert not is_recording() and server_interceptors() == () and channel_interceptors() == ()\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


def test_a_stored_context_passes_through_unchanged_while_nothing_is_recorded() -> None:
    with telemetry.span("deliver", PARENT) as traceparent, telemetry.continuing(PARENT):
        assert traceparent == PARENT
    assert telemetry.current_traceparent() == ""


@pytest.mark.usefixtures("recording")
def test_a_span_goes_on_from_a_stored_context() -> None:
    with telemetry.span("deliver", PARENT, {"target": "connector:netsuite"}) as traceparent:
        trace_id, span_id = telemetry.ids_in(traceparent)
        assert trace_id == "a" * 32
        assert span_id != "b" * 16
        assert traceparent.endswith("-01")
        assert telemetry.current_traceparent() == traceparent
    assert telemetry.current_traceparent() == ""


@pytest.mark.usefixtures("recording")
def test_the_caller_s_decision_not_to_record_is_kept() -> None:
    with telemetry.span("deliver", UNSAMPLED) as traceparent:
        assert traceparent.endswith("-00")


@pytest.mark.usefixtures("recording")
def test_without_a_context_a_new_trace_begins() -> None:
    with telemetry.span("start", "") as traceparent:
        assert telemetry.accepted_traceparent(traceparent) == traceparent


@pytest.mark.usefixtures("recording")
def test_an_open_span_comes_before_a_stored_context() -> None:
    with telemetry.continuing(PARENT):
        assert telemetry.current_traceparent() == PARENT
    with telemetry.span("outer", "") as outer, telemetry.continuing(PARENT):
        assert telemetry.current_traceparent() == outer


def test_where_nothing_is_recorded_a_fresh_trace_says_so() -> None:
    assert telemetry.new_traceparent().endswith("-00")


@pytest.mark.parametrize(("ratio", "flags"), [(1.0, "01"), (0.0, "00")])
def test_whether_a_fresh_trace_is_recorded_is_decided_when_it_begins(ratio: float, flags: str) -> None:
    with collecting() as collector:
        settings = ProcessSettings(otlp_endpoint=collector.endpoint, sample_ratio=ratio)
        telemetry.configure_telemetry(settings, "test")
        try:
            assert telemetry.new_traceparent().endswith(f"-{flags}")
        finally:
            telemetry.stop_telemetry()


def test_each_call_of_a_batch_goes_on_in_the_trace_of_its_caller(recording: Collector) -> None:
    traces = [f"00-{digit * 32}-{'b' * 16}-01" for digit in "acd"]
    traces.insert(1, UNSAMPLED)

    with telemetry.spans_of_batch("orders/Submit", traces) as going_on:
        kept = list(going_on)

    assert [telemetry.ids_in(trace)[0] for trace in kept] == [telemetry.ids_in(trace)[0] for trace in traces]
    assert kept[1] == UNSAMPLED
    assert len({telemetry.ids_in(trace)[1] for trace in kept}) == 4
    telemetry.stop_telemetry()
    sent = b"".join(recording.bodies)
    assert b"orders/Submit, together" in sent
    for trace in (kept[0], *kept[2:]):
        span_id = bytes.fromhex(telemetry.ids_in(trace)[1])
        assert sent.count(span_id) >= 2  # once as a span, once as a link of the batch


@pytest.mark.usefixtures("recording")
def test_of_a_batch_without_recorded_traces_nothing_is_made() -> None:
    with telemetry.spans_of_batch("orders/Submit", [UNSAMPLED, ""]) as going_on:
        assert list(going_on) == [UNSAMPLED, ""]
    telemetry.stop_telemetry()


def test_a_fresh_context_is_a_valid_one() -> None:
    fresh = telemetry.new_traceparent()
    assert telemetry.accepted_traceparent(fresh) == fresh
    assert telemetry.new_traceparent() != fresh


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00-abc-def-01",
        f"ff-{'a' * 32}-{'b' * 16}-01",
        f"00-{'0' * 32}-{'b' * 16}-01",
        f"00-{'a' * 32}-{'0' * 16}-01",
        f"00-{'A' * 32}-{'b' * 16}-01",
        PARENT + "\n",
        PARENT + "-" + "x" * 200,
    ],
)
def test_what_is_no_context_is_dropped(text: str) -> None:
    assert telemetry.accepted_traceparent(text) == ""


def test_what_is_no_context_has_no_ids() -> None:
    assert telemetry.ids_in("00-abc-def-01") == ("", "")
    assert telemetry.ids_in(PARENT) == ("a" * 32, "b" * 16)


def test_a_later_version_may_carry_more() -> None:
    later = f"01-{'a' * 32}-{'b' * 16}-01-what.ever"
    assert telemetry.accepted_traceparent(later) == later
