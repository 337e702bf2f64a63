"""The gateway in front of the services of `world.py`, on a port of this machine. Open it to test a route end to end.

    async with at_the_edge(world) as edge:
        answer = await edge.http.get("/v1/orders", headers=edge.bearer("globex"))

Time passes by itself while somebody waits: a call with `Prefer: wait` comes back at once.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import uvicorn

from gateway.app import build
from gateway.config import GatewaySettings
from gateway.serving import server_config
from libs.common.config import Environment
from libs.common.identity import ROLES
from libs.common.topology import Topology
from tests.integration.services.world import World

CALL_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class AtTheEdge:
    """What a test holds in its hands."""

    world: World
    url: str
    http: httpx.AsyncClient

    def token(self, tenant: str = "acme", roles: Sequence[str] = ()) -> str:
        """roles: all but those of processes, unless said otherwise."""
        return self.world.machine.token(tenant, list(roles or sorted(ROLES - {"mesh"})))

    def bearer(self, tenant: str = "acme", *roles: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(tenant, roles)}"}


@asynccontextmanager
async def at_the_edge(world: World) -> AsyncIterator[AtTheEdge]:
    """Closed at the end; the world stays."""
    settings = GatewaySettings.model_validate(
        {
            "jwks_file": world.machine.settings.jwks_file,
            "mesh_key_file": world.machine.settings.mesh_key_file,
            "environment": Environment.DEVELOPMENT,
            "drain_seconds": 1.0,
            "listen": "127.0.0.1:0",
        }
    )
    config = server_config(build(settings, Topology.load(world.write_topology())), settings)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    passing = asyncio.create_task(_time_passes(world))
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        async with httpx.AsyncClient(base_url=url, timeout=CALL_SECONDS) as http:
            yield AtTheEdge(world, url, http)
    finally:
        passing.cancel()
        await server.shutdown()


async def _time_passes(world: World) -> None:
    """Whoever waits goes on at once."""
    while True:
        await world.clock.someone_waits()
        due = world.clock.due_in
        if due is not None:
            world.clock.advance(due)
        await asyncio.sleep(0)
