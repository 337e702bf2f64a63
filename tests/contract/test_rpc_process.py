"""A connector's process: serves when it says so, admits whom the topology names, and ends in order on SIGTERM."""

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from ordermesh.connector.v1 import change_pb2, connector_service_pb2, connector_service_pb2_grpc

from libs.common.context import using
from libs.common.errors import Refused
from libs.common.testing.rpc import OneMachine

ROOT = Path(__file__).resolve().parents[2]
TOPOLOGY = """
[systems.memory]
role = "erp"
address = "127.0.0.1:1"
tenants = ["acme"]
"""
START_SECONDS = 30
LOOK_UP = connector_service_pb2.FindByKeyRequest(kind=change_pb2.KIND_ORDER, key="ord_1")


class Running:
    """One process and where it listens."""

    def __init__(self, process: asyncio.subprocess.Process, address: str) -> None:
        self.process = process
        self.address = address

    async def stop(self) -> tuple[int, list[dict[str, object]]]:
        """Exit code, and the lines it wrote."""
        self.process.send_signal(signal.SIGTERM)
        output, _ = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, [json.loads(line) for line in output.splitlines()]


@pytest.fixture
def mesh(tmp_path: Path) -> OneMachine:
    return OneMachine(tmp_path)


@pytest.fixture
async def running(mesh: OneMachine, tmp_path: Path) -> AsyncIterator[Running]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    topology = tmp_path / "topology.toml"
    topology.write_text(TOPOLOGY)
    environment = {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'protos' / 'gen'}",
        "ORDERMESH_LISTEN": address,
        "ORDERMESH_TOPOLOGY_FILE": str(topology),
        "ORDERMESH_JWKS_FILE": str(mesh.settings.jwks_file),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("memory_process.py")),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            request = health_pb2.HealthCheckRequest(service="ordermesh.connector.v1.ConnectorService")
            answer = await health.Check(request, wait_for_ready=True, timeout=START_SECONDS)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        yield Running(process, address)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_connector_runs_as_a_process_until_it_is_told_to_stop(
    mesh: OneMachine, running: Running
) -> None:
    async with mesh.channel(running.address) as channel:
        stub = connector_service_pb2_grpc.ConnectorServiceStub(channel)
        with using(mesh.context("acme")):
            assert (await stub.Describe(connector_service_pb2.DescribeRequest())).system == "memory"
            assert not (await stub.FindByKey(LOOK_UP)).HasField("receipt")
        with using(mesh.context("globex")), pytest.raises(Refused) as refused:
            await stub.FindByKey(LOOK_UP)
        assert refused.value.reason == "SYSTEM_UNKNOWN"
    code, lines = await running.stop()
    assert code == 0
    assert [line["event"] for line in lines] == ["serving", "call refused", "stopped"]
    assert lines[1]["tenant"] == "globex"
    assert lines[1]["correlation_id"]
