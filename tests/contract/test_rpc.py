"""Between a socket and a servicer: what a caller meets, over a real connection."""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc  # type: ignore[import-untyped]
from ordermesh.connector.v1 import change_pb2, connector_service_pb2, connector_service_pb2_grpc
from ordermesh.order.v1 import order_pb2
from ordermesh.product.v1 import product_pb2

from libs.common.config import Environment
from libs.common.context import CallContext, current_context, using
from libs.common.errors import NotDone, OrdermeshError, OutcomeUnknown, Refused, Violation
from libs.common.rpc.call import ServicerContext
from libs.common.rpc.channel import MeshChannel
from libs.common.rpc.interceptors.deadline import ends_at
from libs.common.rpc.server import MESSAGE_BYTES_MAX, GrpcServer
from libs.common.telemetry import ids_in
from libs.common.testing.rpc import CORRELATION_ID, OneMachine

if TYPE_CHECKING:
    from ordermesh.connector.v1.connector_service_pb2_grpc import ConnectorServiceAsyncStub as Stub

FindByKey = connector_service_pb2.FindByKeyRequest
ReadChanges = connector_service_pb2.ReadChangesRequest
Describe = connector_service_pb2.DescribeRequest
ORDER = change_pb2.KIND_ORDER
SERVICE = "/ordermesh.connector.v1.ConnectorService"
REGISTER = connector_service_pb2_grpc.add_ConnectorServiceServicer_to_server
TRACEPARENT = f"00-{'a' * 32}-{'b' * 16}-01"
A_CHANGE = connector_service_pb2.ApplyChangeRequest(
    change=change_pb2.Change(
        kind=change_pb2.KIND_PRODUCT,
        intent=change_pb2.INTENT_UPSERT,
        key="prd_1",
        product=product_pb2.Product(),
    )
)


class Scripted(connector_service_pb2_grpc.ConnectorServiceServicer):
    """Does what the key of the request says, and remembers who asked."""

    def __init__(self) -> None:
        self.contexts: list[CallContext] = []
        self.errors: dict[str, Exception] = {}
        self.describe_error: Exception | None = None
        self.entered = asyncio.Event()
        self.released = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.seconds_left: list[float | None] = []

    async def Describe(  # noqa: N802
        self, request: connector_service_pb2.DescribeRequest, context: ServicerContext
    ) -> connector_service_pb2.DescribeResponse:
        self.contexts.append(current_context())
        self.seconds_left.append(context.time_remaining())
        if self.describe_error is not None:
            raise self.describe_error
        return connector_service_pb2.DescribeResponse(system="scripted")

    async def FindByKey(  # noqa: N802
        self, request: connector_service_pb2.FindByKeyRequest, context: ServicerContext
    ) -> connector_service_pb2.FindByKeyResponse:
        if request.key == "wait":
            await self.wait()
        if request.key in self.errors:
            raise self.errors[request.key]
        return connector_service_pb2.FindByKeyResponse()

    async def ReadChanges(  # noqa: N802
        self, request: connector_service_pb2.ReadChangesRequest, context: ServicerContext
    ) -> AsyncIterator[connector_service_pb2.ReadChangesResponse]:
        for number in range(3):
            yield connector_service_pb2.ReadChangesResponse(cursor=bytes([number]))
        if request.cursor == b"throttled":
            raise NotDone("SYSTEM_THROTTLED", retry_after=timedelta(seconds=9))
        if request.cursor == b"endless":
            await self.wait()

    async def ApplyChange(  # noqa: N802
        self, request: connector_service_pb2.ApplyChangeRequest, context: ServicerContext
    ) -> connector_service_pb2.ApplyChangeResponse:
        await self.wait()
        return connector_service_pb2.ApplyChangeResponse()

    async def wait(self) -> None:
        """Until the test lets go, or the call is cancelled."""
        self.entered.set()
        try:
            await self.released.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


@pytest.fixture
def mesh(tmp_path: Path) -> OneMachine:
    return OneMachine(tmp_path)


@pytest.fixture
def servicer() -> Scripted:
    return Scripted()  # type: ignore[abstract]  # the other methods answer UNIMPLEMENTED


@pytest.fixture
def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture
async def address(mesh: OneMachine, servicer: Scripted) -> AsyncIterator[str]:
    async with mesh.serving((REGISTER, servicer)) as address:
        yield address
        servicer.released.set()


@pytest.fixture
async def channel(mesh: OneMachine, address: str) -> AsyncIterator[MeshChannel]:
    async with mesh.channel(address, "order.relay") as channel:
        with using(mesh.context("acme")):
            yield channel


@pytest.fixture
def stub(channel: MeshChannel) -> "Stub":
    return connector_service_pb2_grpc.ConnectorServiceStub(channel)


async def refusal_at_once(make_call: Callable[[], Awaitable[object]]) -> OrdermeshError:
    """The error of a call that is refused where it is made."""
    with pytest.raises(OrdermeshError) as refused:
        await make_call()
    return refused.value


def raw(channel: MeshChannel, method: str) -> "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]":
    """A method called with bytes, as the gateway does."""
    return channel.unary_unary(f"{SERVICE}/{method}")


async def refusal(call: Awaitable[object]) -> OrdermeshError:
    with pytest.raises(OrdermeshError) as refused:
        await call
    return refused.value


# Who may call


async def test_a_call_of_the_mesh_tells_process_and_tenant(stub: "Stub", servicer: Scripted) -> None:
    await stub.Describe(Describe())
    (seen,) = servicer.contexts
    assert (seen.tenant, seen.actor, seen.system) == ("acme", "order.relay", "mesh")
    assert seen.roles == {"mesh"}


async def test_a_caller_s_own_token_goes_on_in_its_name(
    stub: "Stub", servicer: Scripted, mesh: OneMachine
) -> None:
    await stub.Describe(Describe(), metadata=mesh.bearer("globex", "admin"))
    (seen,) = servicer.contexts
    assert (seen.tenant, seen.actor, seen.system) == ("globex", "somebody", "salesforce")


@pytest.mark.parametrize("roles", [[], ["integration"], ["support_viewer", "approver"]])
async def test_a_method_refuses_roles_it_does_not_name(
    stub: "Stub", servicer: Scripted, mesh: OneMachine, roles: list[str]
) -> None:
    error = await refusal(stub.Describe(Describe(), metadata=mesh.bearer("acme", *roles)))
    assert (type(error), error.reason) == (Refused, "PERMISSION_DENIED")
    assert servicer.contexts == []


@pytest.mark.parametrize("value", ["", "Bearer x.y.z", "Basic YTpi"])
async def test_nobody_enters_without_a_valid_token(stub: "Stub", servicer: Scripted, value: str) -> None:
    error = await refusal(stub.Describe(Describe(), metadata=(("authorization", value),)))
    assert (type(error), error.reason) == (Refused, "UNAUTHENTICATED")
    assert servicer.contexts == []


async def test_a_stranger_s_request_is_not_even_read(channel: MeshChannel) -> None:
    error = await refusal(
        raw(channel, "Describe")(b"\xff\xff", metadata=(("authorization", "Bearer x.y.z"),))
    )
    assert error.reason == "UNAUTHENTICATED"


async def test_a_method_that_is_not_served_is_not_supported(channel: MeshChannel) -> None:
    error = await refusal(raw(channel, "Explode")(b""))
    assert (type(error), error.reason) == (Refused, "NOT_SUPPORTED")


# What is asked


async def test_a_broken_rule_is_refused_with_path_and_rule(stub: "Stub") -> None:
    error = await refusal(stub.FindByKey(FindByKey(kind=ORDER, key="k" * 65)))
    assert error.violations == (
        Violation("key", "must be at most 64 characters", "INVALID_FIELD", rule="string.max_len"),
    )


async def test_paths_lead_into_lists_and_maps(stub: "Stub") -> None:
    line = order_pb2.OrderLine(line_number=-1, sku="A-1")
    error = await refusal(
        stub.CheckAvailability(
            connector_service_pb2.CheckAvailabilityRequest(lines=[order_pb2.OrderLine(), line])
        )
    )
    assert "lines[1].line_number" in {violation.field for violation in error.violations}


async def test_bytes_that_are_no_message_are_refused(channel: MeshChannel) -> None:
    error = await refusal(raw(channel, "FindByKey")(b"\xff\xff\xff"))
    assert (type(error), error.reason) == (Refused, "MALFORMED_BODY")


async def test_a_request_over_the_limit_is_refused(channel: MeshChannel) -> None:
    error = await refusal(raw(channel, "FindByKey")(bytes(MESSAGE_BYTES_MAX + 1)))
    assert (type(error), error.reason) == (Refused, "BODY_TOO_LARGE")


# What comes back


@pytest.mark.parametrize(
    "sent",
    [
        Refused.field("ERP_REFUSED", "change.order.lines[0].sku", "no such item", owner="netsuite"),
        NotDone("SYSTEM_THROTTLED", retry_after=timedelta(seconds=30)),
        OutcomeUnknown("OUTCOME_UNKNOWN", "the connection was lost", metadata={"system": "netsuite"}),
    ],
)
async def test_an_error_arrives_as_it_was_raised(
    stub: "Stub", servicer: Scripted, sent: OrdermeshError
) -> None:
    servicer.errors["k"] = sent
    got = await refusal(stub.FindByKey(FindByKey(kind=ORDER, key="k")))
    assert (type(got), got.reason, got.detail, got.facts) == (
        type(sent),
        sent.reason,
        sent.detail,
        sent.facts,
    )


async def test_of_a_bug_the_caller_learns_the_correlation_id_and_nothing_else(
    stub: "Stub", servicer: Scripted
) -> None:
    servicer.errors["k"] = KeyError("hunter2")
    call = stub.FindByKey(FindByKey(kind=ORDER, key="k"))
    error = await refusal(call)
    assert error.reason == "INTERNAL"
    assert "hunter2" not in repr(error) + repr(error.facts)
    assert ("x-correlation-id", CORRELATION_ID) in tuple(await call.trailing_metadata())


async def test_what_we_answered_is_not_asked_again_by_grpc(stub: "Stub", servicer: Scripted) -> None:
    """`Describe` may be repeated on UNAVAILABLE, which is for lost connections and not for our own word."""
    servicer.describe_error = NotDone("UNAVAILABLE")
    await refusal(stub.Describe(Describe()))
    assert len(servicer.contexts) == 1


async def test_a_stream_brings_what_came_before_its_error(stub: "Stub") -> None:
    cursors = []

    async def read() -> None:
        async for item in stub.ReadChanges(ReadChanges(kind=ORDER, limit=9, cursor=b"throttled")):
            cursors.append(item.cursor)  # noqa: PERF401  (a comprehension would lose what came before the error)

    with pytest.raises(NotDone) as throttled:
        await read()
    assert cursors == [b"\0", b"\1", b"\2"]
    assert throttled.value.retry_after == timedelta(seconds=9)


async def test_leaving_a_stream_early_ends_the_call(stub: "Stub", servicer: Scripted) -> None:
    endless = stub.ReadChanges(ReadChanges(kind=ORDER, limit=9, cursor=b"endless"))
    changes = cast("AsyncGenerator[connector_service_pb2.ReadChangesResponse, None]", aiter(endless))
    async with asyncio.timeout(5):
        for _ in range(3):
            await anext(changes)
        await changes.aclose()
        await servicer.cancelled.wait()


# What goes along


async def test_correlation_causation_and_trace_are_handed_on(
    stub: "Stub", servicer: Scripted, mesh: OneMachine
) -> None:
    sent = replace(
        mesh.context("acme"), correlation_id="cor-7", causation_id="evt-7", traceparent=TRACEPARENT
    )
    with using(sent):
        await stub.Describe(Describe())
    (seen,) = servicer.contexts
    assert (seen.correlation_id, seen.causation_id, seen.traceparent) == ("cor-7", "evt-7", TRACEPARENT)


async def test_ids_are_made_where_the_caller_sends_none_that_can_be_used(
    stub: "Stub", servicer: Scripted
) -> None:
    call = stub.Describe(Describe(), metadata=(("x-correlation-id", "<script>"), ("traceparent", "00-zz")))
    await call
    (seen,) = servicer.contexts
    assert seen.correlation_id.startswith("cor_")
    assert ids_in(seen.traceparent) != ("", "")
    assert ("x-correlation-id", seen.correlation_id) in tuple(await call.trailing_metadata())


async def test_the_method_s_deadline_reaches_the_servicer_when_the_caller_sets_none(
    stub: "Stub", servicer: Scripted
) -> None:
    await stub.Describe(Describe())
    await stub.Describe(Describe(), timeout=3)
    first, second = servicer.seconds_left
    assert first is not None
    assert second is not None
    assert 5 < first < 11
    assert second < 4


async def test_a_deadline_that_passes_ends_the_work_and_says_what_is_known(
    stub: "Stub", servicer: Scripted
) -> None:
    async with asyncio.timeout(5):
        error = await refusal(stub.FindByKey(FindByKey(kind=ORDER, key="wait"), timeout=0.05))
        await servicer.cancelled.wait()
    assert (type(error), error.reason) == (NotDone, "DEADLINE_EXCEEDED")


async def test_no_call_is_sent_after_the_deadline_of_the_one_it_is_made_for(
    stub: "Stub", servicer: Scripted
) -> None:
    token = ends_at.set(asyncio.get_running_loop().time() - 1)
    error = await refusal_at_once(lambda: stub.Describe(Describe()))
    ends_at.reset(token)
    assert (type(error), error.reason) == (NotDone, "DEADLINE_EXCEEDED")
    assert servicer.contexts == []


# Connections that fail


async def test_a_refused_connection_is_not_done_even_for_a_write(mesh: OneMachine, free_port: int) -> None:
    async with mesh.channel(f"127.0.0.1:{free_port}") as channel:
        with using(mesh.context("acme")):
            stub = connector_service_pb2_grpc.ConnectorServiceStub(channel)
            error = await refusal(stub.ApplyChange(A_CHANGE))
    assert (type(error), error.reason) == (NotDone, "UNAVAILABLE")


async def test_a_write_whose_connection_breaks_is_perhaps_applied(
    mesh: OneMachine, servicer: Scripted
) -> None:
    server = GrpcServer(mesh.settings.model_copy(update={"drain_seconds": 0.0}), "test")
    server.add(REGISTER, servicer)
    await server.start()
    async with mesh.channel(f"127.0.0.1:{server.port}") as channel:
        with using(mesh.context("acme")):
            stub = connector_service_pb2_grpc.ConnectorServiceStub(channel)
            writing = asyncio.ensure_future(stub.ApplyChange(A_CHANGE))
            await servicer.entered.wait()
            await server.stop()
            error = await refusal(writing)
    assert (type(error), error.reason) == (OutcomeUnknown, "OUTCOME_UNKNOWN")


async def test_a_full_server_refuses_at_once_and_nothing_was_done(
    mesh: OneMachine, servicer: Scripted
) -> None:
    mesh.settings = mesh.settings.model_copy(update={"concurrent_rpcs_max": 1})
    async with mesh.serving((REGISTER, servicer)) as address, mesh.channel(address) as channel:
        with using(mesh.context("acme")):
            stub = connector_service_pb2_grpc.ConnectorServiceStub(channel)
            first = asyncio.ensure_future(stub.FindByKey(FindByKey(kind=ORDER, key="wait")))
            await servicer.entered.wait()
            error = await refusal(stub.ApplyChange(A_CHANGE))
            servicer.released.set()
            await first
    assert (type(error), error.reason) == (NotDone, "OVERLOADED")


# A process's life


async def test_health_is_told_to_anybody_overall_and_by_service(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", "ordermesh.connector.v1.ConnectorService"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_at_the_end_health_says_so_first_and_running_calls_are_finished(
    mesh: OneMachine, servicer: Scripted, free_port: int
) -> None:
    address = f"127.0.0.1:{free_port}"
    server = GrpcServer(mesh.settings.model_copy(update={"listen": address}), "test")
    server.add(REGISTER, servicer)
    stop = asyncio.Event()
    serving = asyncio.ensure_future(server.serve_until_stopped(stop))
    async with (
        asyncio.timeout(10),
        grpc.aio.insecure_channel(address) as plain,
        mesh.channel(address) as channel,
    ):
        health = health_pb2_grpc.HealthStub(plain)
        watch = health.Watch(health_pb2.HealthCheckRequest(), wait_for_ready=True)
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        stub = connector_service_pb2_grpc.ConnectorServiceStub(channel)
        with using(mesh.context("acme")):
            running = asyncio.ensure_future(stub.FindByKey(FindByKey(kind=ORDER, key="wait")))
        await servicer.entered.wait()
        stop.set()
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        servicer.released.set()
        await running
        watch.cancel()
        await serving


@pytest.mark.parametrize(
    ("environment", "offered"), [(Environment.DEVELOPMENT, True), (Environment.PRODUCTION, False)]
)
async def test_contracts_are_told_over_reflection_in_development_only(
    mesh: OneMachine, servicer: Scripted, environment: Environment, offered: bool
) -> None:
    mesh.settings = mesh.settings.model_copy(update={"environment": environment})
    async with mesh.serving((REGISTER, servicer)) as address, grpc.aio.insecure_channel(address) as channel:
        asking = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(timeout=5)
        await asking.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        if offered:
            names = {service.name for service in (await asking.read()).list_services_response.service}
            assert "ordermesh.connector.v1.ConnectorService" in names
        else:
            assert await asking.code() is grpc.StatusCode.UNIMPLEMENTED
        asking.cancel()
