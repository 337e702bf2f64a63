"""Whether everything behind the gateway serves. Open this file to change what readiness means.

Ready: every service and every connector of the topology answers SERVING on grpc.health.v1. Looked at once for all who
ask within half a second, so that probes cost the mesh nothing.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

from gateway.forward import CLOSE_SECONDS, address_of
from libs.common.config import ProcessSettings
from libs.common.rpc.channel import open_plain
from libs.common.topology import SERVICES, Topology

SERVING = "SERVING"
UNREACHABLE = "UNREACHABLE"
FRESH_SECONDS = 0.5
CHECK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Standing:
    """What each process says of itself: `SERVING`, `NOT_SERVING`, `UNREACHABLE`."""

    services: Mapping[str, str]
    systems: Mapping[str, str]

    @property
    def all_serve(self) -> bool:
        return all(status == SERVING for status in (*self.services.values(), *self.systems.values()))


class Readiness:
    """Asks everybody, over connections of its own."""

    def __init__(self, topology: Topology, settings: ProcessSettings) -> None:
        self._settings = settings
        self._systems = tuple(topology.systems)
        self._addresses = {
            target: address_of(target, topology)
            for target in (*SERVICES, *(f"system:{name}" for name in self._systems))
        }
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._standing = Standing({}, {})
        self._looked_at = float("-inf")
        self._lock = asyncio.Lock()

    async def look(self) -> Standing:
        """At most half a second old."""
        loop = asyncio.get_running_loop()
        async with self._lock:
            if loop.time() - self._looked_at >= FRESH_SECONDS:
                statuses = await asyncio.gather(*map(self._ask, self._addresses.values()))
                found = dict(zip(self._addresses, statuses, strict=True))
                self._standing = Standing(
                    {service: found[service] for service in SERVICES},
                    {name: found[f"system:{name}"] for name in self._systems},
                )
                self._looked_at = loop.time()
            return self._standing

    async def close(self) -> None:
        await asyncio.gather(*(channel.close(CLOSE_SECONDS) for channel in self._channels.values()))

    async def _ask(self, address: str) -> str:
        if address not in self._channels:
            self._channels[address] = open_plain(address, self._settings)
        stub = health_pb2_grpc.HealthStub(self._channels[address])
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=CHECK_SECONDS)
        except grpc.aio.AioRpcError:
            return UNREACHABLE
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
