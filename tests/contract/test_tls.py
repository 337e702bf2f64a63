"""Processes show each other certificates: who has none, or the wrong one, does not get a word in."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from ordermesh.connector.v1 import connector_service_pb2_grpc

from gateway.app import build
from gateway.config import GatewaySettings
from gateway.serving import DrainingServer, server_config
from libs.cli.certs import files_of, make_certificates
from libs.common import certificates as certificates_module
from libs.common.certificates import Certificates, CertificatesUnusable
from libs.common.config import Environment, ProcessSettings, load_settings
from libs.common.context import using
from libs.common.errors import OrdermeshError, Refused
from libs.common.rpc.channel import open_channel
from libs.common.rpc.server import GrpcServer
from libs.common.rpc.tls import certificates_of
from libs.common.testing.clock import FakeClock
from libs.common.testing.rpc import OneMachine
from libs.common.topology import Topology
from tests.contract.test_rpc.scripted import REGISTER, Describe, Scripted

if TYPE_CHECKING:
    from ordermesh.connector.v1.connector_service_pb2_grpc import ConnectorServiceAsyncStub as Stub


@pytest.fixture(autouse=True)
def looking_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """A renewed file is seen at the next look, not a second later."""
    monkeypatch.setattr(certificates_module, "LOOK_SECONDS", 0.0)


class Guarded(OneMachine):
    """A mesh whose processes have certificates."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder / "tls"
        make_certificates(self.folder, ["order", "gateway", "connector-netsuite"])

    def as_process(self, name: str, folder: Path | None = None) -> ProcessSettings:
        """Settings of one process, outside of development."""
        files = files_of(folder or self.folder, name)
        return self.settings.model_copy(
            update={
                "environment": Environment.PRODUCTION,
                "tls_certificate_file": files.certificate,
                "tls_key_file": files.key,
                "tls_ca_file": files.authorities,
            }
        )

    @asynccontextmanager
    async def listening(self, **changed: object) -> AsyncIterator[GrpcServer]:
        """The order service's server with a scripted servicer."""
        server = GrpcServer(self.as_process("order").model_copy(update=changed), "order")
        server.add(REGISTER, Scripted())  # type: ignore[abstract]
        await server.start()
        try:
            yield server
        finally:
            await server.stop()

    @asynccontextmanager
    async def calling(self, settings: ProcessSettings, server: GrpcServer) -> AsyncIterator["Stub"]:
        """A caller with these settings."""
        async with open_channel(f"127.0.0.1:{server.port}", settings, "gateway") as channel:
            with using(self.context("acme")):
                yield connector_service_pb2_grpc.ConnectorServiceStub(channel)


@pytest.fixture
def guarded(tmp_path: Path) -> Guarded:
    return Guarded(tmp_path)


async def test_a_process_of_the_mesh_gets_its_answer(guarded: Guarded) -> None:
    async with guarded.listening() as server, guarded.calling(guarded.as_process("gateway"), server) as stub:
        assert (await stub.Describe(Describe())).system == "scripted"


async def test_who_shows_no_certificate_is_not_let_in(guarded: Guarded) -> None:
    async with guarded.listening() as server, guarded.calling(guarded.settings, server) as stub:
        with pytest.raises(OrdermeshError):
            await stub.Describe(Describe())


async def test_a_certificate_of_another_authority_is_not_believed(guarded: Guarded, tmp_path: Path) -> None:
    make_certificates(tmp_path / "foreign", ["gateway"])
    foreign = guarded.as_process("gateway", tmp_path / "foreign")
    believing = foreign.model_copy(update={"tls_ca_file": guarded.as_process("gateway").tls_ca_file})
    async with guarded.listening() as server:
        for settings in (foreign, believing):
            async with guarded.calling(settings, server) as stub:
                with pytest.raises(OrdermeshError):
                    await stub.Describe(Describe())


async def test_a_process_that_calls_nobody_is_refused_whatever_its_token_says(guarded: Guarded) -> None:
    connector = guarded.as_process("connector-netsuite")
    async with guarded.listening() as server, guarded.calling(connector, server) as stub:
        with pytest.raises(Refused) as refused:
            await stub.Describe(Describe())
        assert refused.value.reason == "PERMISSION_DENIED"
    async with (
        guarded.listening(tls_peers="gateway,connector-netsuite") as server,
        guarded.calling(connector, server) as stub,
    ):
        await stub.Describe(Describe())


async def test_a_certificate_does_not_replace_a_token(guarded: Guarded) -> None:
    async with guarded.listening() as server:
        credentials = certificates_of(guarded.as_process("gateway"))
        assert credentials is not None
        shown = credentials.current()
        async with grpc.aio.secure_channel(
            f"127.0.0.1:{server.port}",
            grpc.ssl_channel_credentials(shown.authorities, shown.key, shown.certificate),
        ) as channel:
            stub = connector_service_pb2_grpc.ConnectorServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.Describe(Describe(), timeout=20)
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_renewed_certificates_are_taken_up_by_both_sides_without_a_restart(guarded: Guarded) -> None:
    async with guarded.listening() as server, guarded.calling(guarded.as_process("gateway"), server) as stub:
        await stub.Describe(Describe())
        (guarded.folder / "ca.crt").unlink()
        make_certificates(guarded.folder, ["order", "gateway"])  # of a new authority
        assert (await stub.Describe(Describe())).system == "scripted"
        async with guarded.calling(guarded.as_process("gateway"), server) as other:
            await other.Describe(Describe())


async def test_probes_are_told_health_and_nothing_else_without_a_certificate(guarded: Guarded) -> None:
    async with (
        guarded.listening(health_listen="127.0.0.1:0") as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.health_port}") as channel,
    ):
        health = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=20)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        stub = connector_service_pb2_grpc.ConnectorServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Describe(Describe(), timeout=20)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_files_that_do_not_fit_together_leave_the_last_ones_in_use(tmp_path: Path) -> None:
    make_certificates(tmp_path, ["order"])
    files, clock = files_of(tmp_path, "order"), FakeClock()
    certificates = Certificates(files, clock)
    before = certificates.current()
    key = files.key.read_bytes()
    make_certificates(tmp_path, ["order"])
    renewed = files.key.read_bytes()
    files.key.write_bytes(key)  # half of the new pair
    clock.advance(timedelta(seconds=2))
    assert certificates.current() == before
    files.key.write_bytes(renewed)
    clock.advance(timedelta(seconds=2))
    assert certificates.current().key == renewed


def test_a_process_whose_certificate_is_missing_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(CertificatesUnusable):
        Certificates(files_of(tmp_path, "order"))


@pytest.mark.parametrize("listen", ["0.0.0.0:50051", "[::]:50051", ":50051", "10.0.0.7:50051", "order:50051"])
def test_plain_text_off_this_machine_is_refused_at_start(
    listen: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ORDERMESH_LISTEN", listen)
    with pytest.raises(SystemExit, match="ORDERMESH_TLS_CERTIFICATE_FILE"):
        load_settings(ProcessSettings)
    monkeypatch.setenv("ORDERMESH_ENVIRONMENT", "development")
    assert load_settings(ProcessSettings).listen == listen
    monkeypatch.delenv("ORDERMESH_ENVIRONMENT")
    for part in ("CERTIFICATE", "KEY", "CA"):
        monkeypatch.setenv(f"ORDERMESH_TLS_{part}_FILE", str(tmp_path / part))
    assert load_settings(ProcessSettings).listen == listen
    monkeypatch.delenv("ORDERMESH_TLS_KEY_FILE")
    with pytest.raises(SystemExit, match="go together"):
        load_settings(ProcessSettings)


@pytest.mark.parametrize("listen", ["127.0.0.1:8080", "[::1]:8080", "localhost:0"])
def test_plain_text_on_loopback_is_fine(listen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERMESH_LISTEN", listen)
    assert load_settings(ProcessSettings).listen == listen


async def test_the_gateway_serves_https_and_takes_up_a_renewed_certificate(guarded: Guarded) -> None:
    settings = GatewaySettings.model_validate(guarded.as_process("gateway").model_dump())
    gateway = build(settings, Topology())
    server = DrainingServer(server_config(gateway, settings), gateway.load, 0.0, certificates_of(settings))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup()
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        first = await _shown(port, guarded)
        make_certificates(guarded.folder, ["gateway"])
        server.renew_certificate()
        assert await _shown(port, guarded) != first
    finally:
        await server.shutdown()


async def _shown(port: int, guarded: Guarded) -> bytes:
    """The gateway's certificate as a caller who believes the mesh's authority sees it."""
    trusted = ssl.create_default_context(cafile=guarded.folder / "ca.crt")
    async with httpx.AsyncClient(verify=trusted, base_url=f"https://127.0.0.1:{port}", timeout=20) as client:
        assert (await client.get("/health/live")).status_code == 200
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusted)
    certificate: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return certificate
