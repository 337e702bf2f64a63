"""Connections that fail: what is known then."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import grpc
from ordermesh.connector.v1 import connector_service_pb2_grpc

from libs.common.context import using
from libs.common.errors import NotDone, OutcomeUnknown
from libs.common.rpc.call import ServicerContext
from libs.common.rpc.server import GrpcServer
from libs.common.testing.rpc import OneMachine

if TYPE_CHECKING:
    pass

from tests.contract.test_rpc.scripted import (
    A_CHANGE,
    ORDER,
    REGISTER,
    SERVICE,
    Describe,
    FindByKey,
    Scripted,
    refusal,
)


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


async def shaky(tries: list[str]) -> tuple[grpc.aio.Server, str]:
    """A server that is not ours and says UNAVAILABLE to the first try of each method."""

    def behaviour(path: str) -> Callable[[bytes, ServicerContext], Awaitable[bytes]]:
        async def answer(request: bytes, context: ServicerContext) -> bytes:
            tries.append(path)
            if tries.count(path) == 1:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the proxy has lost its backend")
            return b""

        return answer

    names = ("FindByKey", "ApplyChange", "Describe")
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        name: grpc.unary_unary_rpc_method_handler(behaviour(name)) for name in names
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE[1:], handlers),))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    return server, address


async def test_grpc_repeats_a_read_whose_connection_was_lost_and_never_a_write_to_a_vendor(
    mesh: OneMachine,
) -> None:
    tries: list[str] = []
    server, address = await shaky(tries)
    async with mesh.channel(address) as channel:
        with using(mesh.context("acme")):
            stub = connector_service_pb2_grpc.ConnectorServiceStub(channel)
            await stub.Describe(Describe())
            error = await refusal(stub.ApplyChange(A_CHANGE))
    await server.stop(None)
    assert isinstance(error, OutcomeUnknown)
    assert "proxy" not in error.detail
    assert tries == ["Describe", "Describe", "ApplyChange"]
