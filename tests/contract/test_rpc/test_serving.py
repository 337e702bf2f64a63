"""A server's life: health, reflection, the end."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc  # type: ignore[import-untyped]
from ordermesh.connector.v1 import connector_service_pb2_grpc

from libs.common.config import Environment
from libs.common.context import using
from libs.common.rpc.server import GrpcServer
from libs.common.testing.rpc import OneMachine

if TYPE_CHECKING:
    pass

from tests.contract.test_rpc.scripted import ORDER, REGISTER, FindByKey, Scripted


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
        with suppress(grpc.aio.AioRpcError):  # it may have answered before it was asked
            await asking.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        if offered:
            names = {service.name for service in (await asking.read()).list_services_response.service}
            assert "ordermesh.connector.v1.ConnectorService" in names
        else:
            assert await asking.code() is grpc.StatusCode.UNIMPLEMENTED
        asking.cancel()
