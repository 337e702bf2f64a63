"""One server with the scripted servicer, and a channel to it in the name of a process of the mesh."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ordermesh.connector.v1 import connector_service_pb2_grpc

from libs.common.context import using
from libs.common.rpc.channel import MeshChannel
from libs.common.testing.rpc import OneMachine

if TYPE_CHECKING:
    from ordermesh.connector.v1.connector_service_pb2_grpc import ConnectorServiceAsyncStub as Stub

from tests.contract.test_rpc.scripted import REGISTER, Scripted


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
