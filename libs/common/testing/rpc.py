"""A mesh of one: keys on disk, servers on free ports, callers with any role. For tests that cross a real socket.

mesh = OneMachine(tmp_path)
async with mesh.serving((add_OrderServiceServicer_to_server, servicer)) as address:
    async with mesh.channel(address) as channel:
        with using(mesh.context("acme")):
            await OrderServiceStub(channel).GetOrder(request)
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import grpc

from libs.common.config import Environment, ProcessSettings
from libs.common.context import CallContext
from libs.common.identity import mint, new_keys
from libs.common.ids import new_id
from libs.common.rpc.channel import MeshChannel, open_channel
from libs.common.rpc.server import GrpcServer

CORRELATION_ID = "cor-of-a-test"
Registration = tuple[Callable[..., None], object]
"""A generated `add_…Servicer_to_server` and the servicer."""


class OneMachine:
    """Keys and settings of a mesh that lives in one test. folder: where its keys are written."""

    def __init__(self, folder: Path) -> None:
        keys = new_keys()
        self.private_key = keys.private_jwk
        jwks_file, mesh_key_file = folder / "jwks.json", folder / "mesh-key.json"
        jwks_file.write_text(keys.public_jwks, encoding="utf-8")
        mesh_key_file.write_text(keys.private_jwk, encoding="utf-8")
        self.settings = ProcessSettings(
            environment=Environment.DEVELOPMENT,
            jwks_file=jwks_file,
            mesh_key_file=mesh_key_file,
            drain_seconds=1.0,
        )

    @asynccontextmanager
    async def serving(self, *registrations: Registration) -> AsyncIterator[str]:
        """A server on a free port, stopped at the end; yields its address."""
        server = GrpcServer(self.settings, "test")
        for register, servicer in registrations:
            server.add(register, servicer)
        await server.start()
        try:
            yield f"127.0.0.1:{server.port}"
        finally:
            await server.stop()

    def channel(self, address: str, process_name: str = "test") -> MeshChannel:
        return open_channel(address, self.settings, process_name)

    def context(self, tenant: str) -> CallContext:
        """Surroundings of calls made by a process of the mesh."""
        return CallContext(tenant, "mesh", "test", frozenset({"mesh"}), CORRELATION_ID)

    def token(
        self,
        tenant: str,
        roles: Sequence[str],
        *,
        subject: str = "somebody",
        system: str = "salesforce",
        lifetime: timedelta = timedelta(minutes=5),
    ) -> str:
        """A token of somebody outside the mesh."""
        return mint(
            self.private_key,
            settings=self.settings,
            subject=subject,
            tenant=tenant,
            system=system,
            roles=roles,
            lifetime=lifetime,
        )

    def bearer(self, tenant: str, *roles: str) -> grpc.aio.Metadata:
        """Metadata of a call by somebody with these roles."""
        return grpc.aio.Metadata(
            ("authorization", f"Bearer {self.token(tenant, roles)}"), ("x-correlation-id", new_id("cor"))
        )
