"""A connector behind its gRPC contract on a port of its own, as the conformance suite asks for it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ordermesh.connector.v1 import connector_service_pb2_grpc

from connectors.kit.port import Connector
from connectors.kit.servicer import ConnectorServicer
from libs.common.context import using
from libs.common.rpc.sharing import share
from libs.common.testing.rpc import OneMachine
from libs.common.testing.suites.connector import Connect

if TYPE_CHECKING:
    from ordermesh.connector.v1.connector_service_pb2_grpc import ConnectorServiceAsyncStub

REGISTER = connector_service_pb2_grpc.add_ConnectorServiceServicer_to_server


def connecting(folder: Path, tenant: str, build: Callable[[], Connector]) -> Connect:
    """Each call builds a connector, serves it, and takes it down at the end. folder: where keys are written."""
    mesh = OneMachine(folder)

    @asynccontextmanager
    async def connect() -> "AsyncIterator[ConnectorServiceAsyncStub]":
        connector = build()
        servicer = ConnectorServicer(connector, lambda tenant: None)
        try:
            async with mesh.serving((REGISTER, servicer)) as address, mesh.channel(address) as channel:
                with using(mesh.context(tenant)):
                    yield share(connector_service_pb2_grpc.ConnectorServiceStub(channel), channel)
        finally:
            await connector.close()

    return connect
