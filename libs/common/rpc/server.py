"""A gRPC process: one server with health, limits and an orderly end. Open this file to learn how a process is served.

server = GrpcServer(settings, "order")
server.add(add_OrderServiceServicer_to_server, servicer)
await server.serve_until_stopped(stop_on_signals())
"""

import asyncio
import signal
from collections.abc import Callable
from typing import TypeVar, cast

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped]

from libs.common.collecting import settle
from libs.common.config import ProcessSettings
from libs.common.identity import Verifier
from libs.common.rpc.door import Door
from libs.common.rpc.lanes import BulkLane
from libs.common.rpc.tls import KnownPeers, certificates_of, server_credentials
from libs.common.telemetry import server_interceptors

LOG = structlog.get_logger(__name__)
MESSAGE_BYTES_MAX = 8 * 1024 * 1024
"""Largest request and answer; a vendor's payload is at most 6 MiB."""
CONCURRENT_STREAMS_MAX = 1000
"""Calls at a time on one connection."""
KEEPALIVE_MS = 60_000
KEEPALIVE_TIMEOUT_MS = 10_000
"""A client that does not answer a ping in that time is gone, and its calls with it."""
PING_INTERVAL_MIN_MS = 10_000
PING_STRIKES_MAX = 2
"""Clients that ping more often than that, so many times, are sent away."""
METADATA_BYTES_MAX = 16 * 1024
"""Headers of one call; a token has at most 8 KiB. Larger ones are refused before anything else is read."""
HANDSHAKE_MS = 10_000
"""Time to agree on HTTP/2, TLS included; who connects and says nothing is dropped."""
NO_COMPRESSION = 1
"""Set of encodings taken: `identity` alone. A message that grows a thousandfold when unpacked is refused unread."""
CONNECTION_AGE_MAX_MS = 30 * 60 * 1000
"""Connections are renewed so often, so that clients learn of new instances."""
CONNECTION_AGE_GRACE_MS = 5 * 60 * 1000
PROBES_MAX = 16
"""Questions of probes at a time."""
OVERALL = ""
"""Name under which health tells of the whole process."""

SERVER_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_concurrent_streams", CONCURRENT_STREAMS_MAX),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.http2.min_ping_interval_without_data_ms", PING_INTERVAL_MIN_MS),
    ("grpc.http2.max_ping_strikes", PING_STRIKES_MAX),
    ("grpc.max_metadata_size", METADATA_BYTES_MAX),
    ("grpc.absolute_max_metadata_size", METADATA_BYTES_MAX),
    ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
    ("grpc.compression_enabled_algorithms_bitset", NO_COMPRESSION),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_connection_age_ms", CONNECTION_AGE_MAX_MS),
    ("grpc.max_connection_age_grace_ms", CONNECTION_AGE_GRACE_MS),
    ("grpc.so_reuseport", 0),  # two processes on one port would share its calls unnoticed
)

ServicerT = TypeVar("ServicerT")


class GrpcServer:
    """One process's gRPC server."""

    def __init__(
        self, settings: ProcessSettings, process_name: str, verifier: Verifier | None = None
    ) -> None:
        self._settings = settings
        self._process_name = process_name
        self._server = grpc.aio.server(
            interceptors=server_interceptors(),
            options=SERVER_OPTIONS,
            maximum_concurrent_rpcs=settings.concurrent_rpcs_max,
        )
        lane = BulkLane(settings.bulk_rpcs_max)
        self._certificates = certificates_of(settings)
        peers = [KnownPeers(settings.tls_peers.split(","))] if self._certificates is not None else []
        self._door = Door(self._server, verifier or Verifier(settings), lane, peers)
        self._health = health.aio.HealthServicer()
        self._probed: grpc.aio.Server | None = None
        self.port = 0
        """Port in use, known once started."""
        self.health_port = 0
        """Port of the probes, where there is one, known once started."""

    def add(self, register: Callable[[ServicerT, grpc.aio.Server], None], servicer: ServicerT) -> None:
        """Adds a service. register: the generated `add_…Servicer_to_server`."""
        known = len(self._door.services)
        register(servicer, cast(grpc.aio.Server, self._door))
        assert len(self._door.services) > known, "the generated code registers no methods by name"

    async def start(self) -> None:
        """Listens and reports SERVING. OSError-like RuntimeError when the address is taken."""
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if self._settings.in_development:
            names = (*self._door.services, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self._server)
        if self._certificates is None:
            self.port = self._server.add_insecure_port(self._settings.listen)
        else:
            self.port = self._server.add_secure_port(
                self._settings.listen, server_credentials(self._certificates)
            )
        await self._server.start()
        await self._serve_probes()
        await self.tell(health_pb2.HealthCheckResponse.SERVING)
        LOG.info("serving", port=self.port, services=self._door.services)

    async def _serve_probes(self) -> None:
        """Health in plain text, where a port is set for it: probes show no certificate."""
        if not self._settings.health_listen:
            return
        self._probed = grpc.aio.server(options=SERVER_OPTIONS, maximum_concurrent_rpcs=PROBES_MAX)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._probed)
        self.health_port = self._probed.add_insecure_port(self._settings.health_listen)
        await self._probed.start()

    async def tell(self, status: health_pb2.HealthCheckResponse.ServingStatus.ValueType) -> None:
        """What health answers, overall and for each service."""
        for name in (OVERALL, *self._door.services):
            await self._health.set(name, status)

    async def stop(self) -> None:
        """Reports NOT_SERVING, takes no new calls, and gives running ones `drain_seconds`."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(self._settings.drain_seconds)
        if self._probed is not None:
            await self._probed.stop(None)
        LOG.info("stopped", port=self.port)

    async def serve_until_stopped(self, stop: asyncio.Event) -> None:
        """Starts, waits for `stop`, and ends in order."""
        await self.start()
        settle()
        try:
            await stop.wait()
        finally:
            await self.stop()


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM or SIGINT sets."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
