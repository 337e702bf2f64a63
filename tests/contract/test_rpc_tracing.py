"""Where spans are recorded, a trace runs through a call and on; what is sent names no person."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ordermesh.connector.v1 import change_pb2, connector_service_pb2, connector_service_pb2_grpc

from libs.common import telemetry
from libs.common.context import CallContext, current_context, using
from libs.common.errors import NotDone
from libs.common.rpc.call import ServicerContext
from libs.common.testing.collector import Collector, collecting
from libs.common.testing.rpc import OneMachine

STORED = f"00-{'a' * 32}-{'b' * 16}-01"
UNRECORDED = STORED[:-1] + "0"
REGISTER = connector_service_pb2_grpc.add_ConnectorServiceServicer_to_server


class Remembering(connector_service_pb2_grpc.ConnectorServiceServicer):
    """Remembers the contexts it was called in."""

    def __init__(self) -> None:
        self.contexts: list[CallContext] = []

    async def Describe(  # noqa: N802
        self, request: connector_service_pb2.DescribeRequest, context: ServicerContext
    ) -> connector_service_pb2.DescribeResponse:
        self.contexts.append(current_context())
        return connector_service_pb2.DescribeResponse()

    async def FindByKey(  # noqa: N802
        self, request: connector_service_pb2.FindByKeyRequest, context: ServicerContext
    ) -> connector_service_pb2.FindByKeyResponse:
        raise NotDone("SYSTEM_UNAVAILABLE")

    async def ReadChanges(  # noqa: N802
        self, request: connector_service_pb2.ReadChangesRequest, context: ServicerContext
    ) -> AsyncIterator[connector_service_pb2.ReadChangesResponse]:
        yield connector_service_pb2.ReadChangesResponse(cursor=telemetry.current_traceparent().encode())


@pytest.fixture
def mesh(tmp_path: Path) -> OneMachine:
    return OneMachine(tmp_path)


@pytest.fixture
def collector(mesh: OneMachine) -> Iterator[Collector]:
    with collecting() as collector:
        settings = mesh.settings.model_copy(update={"otlp_endpoint": collector.endpoint})
        telemetry.configure_telemetry(settings, "test")
        yield collector
        telemetry.stop_telemetry()


async def test_a_stored_trace_goes_on_through_calls_answers_errors_and_streams(
    mesh: OneMachine, collector: Collector
) -> None:
    servicer = Remembering()  # type: ignore[abstract]  # the other methods answer UNIMPLEMENTED
    async with mesh.serving((REGISTER, servicer)) as address, mesh.channel(address) as channel:
        stub = connector_service_pb2_grpc.ConnectorServiceStub(channel)
        with using(replace(mesh.context("acme"), traceparent=STORED)):
            await stub.Describe(connector_service_pb2.DescribeRequest())
            with pytest.raises(NotDone):
                await stub.FindByKey(
                    connector_service_pb2.FindByKeyRequest(kind=change_pb2.KIND_ORDER, key="k")
                )
            request = connector_service_pb2.ReadChangesRequest(kind=change_pb2.KIND_ORDER, limit=1)
            (streamed,) = [item.cursor.decode() async for item in stub.ReadChanges(request)]
    (context,) = servicer.contexts
    for traceparent in (context.traceparent, streamed):
        trace_id, span_id = telemetry.ids_in(traceparent)
        assert trace_id == "a" * 32
        assert span_id != "b" * 16
    telemetry.stop_telemetry()
    sent = b"".join(collector.bodies)
    assert bytes.fromhex("a" * 32) in sent
    assert b"Bearer" not in sent
    assert b"acme" not in sent


async def test_a_trace_the_caller_does_not_record_is_not_recorded_here(
    mesh: OneMachine, collector: Collector
) -> None:
    servicer = Remembering()  # type: ignore[abstract]  # the other methods answer UNIMPLEMENTED
    async with mesh.serving((REGISTER, servicer)) as address, mesh.channel(address) as channel:
        stub = connector_service_pb2_grpc.ConnectorServiceStub(channel)
        with using(replace(mesh.context("acme"), traceparent=UNRECORDED)):
            await stub.Describe(connector_service_pb2.DescribeRequest())
    assert servicer.contexts[0].traceparent == UNRECORDED
    telemetry.stop_telemetry()
    assert collector.bodies == []


async def test_recorded_and_unrecorded_traces_go_through_one_channel_each_as_it_is(
    mesh: OneMachine, collector: Collector
) -> None:
    servicer = Remembering()  # type: ignore[abstract]  # the other methods answer UNIMPLEMENTED
    async with mesh.serving((REGISTER, servicer)) as address, mesh.channel(address) as channel:
        stub = connector_service_pb2_grpc.ConnectorServiceStub(channel)
        for digit, flag in (("c", "00"), ("d", "01"), ("e", "00")):
            with using(replace(mesh.context("acme"), traceparent=f"00-{digit * 32}-{'b' * 16}-{flag}")):
                await stub.Describe(connector_service_pb2.DescribeRequest())
    traces = [telemetry.ids_in(context.traceparent)[0] for context in servicer.contexts]
    assert traces == ["c" * 32, "d" * 32, "e" * 32]
    telemetry.stop_telemetry()
    sent = b"".join(collector.bodies)
    assert [bytes.fromhex(digit * 32) in sent for digit in "cde"] == [False, True, False]
