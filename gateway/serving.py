"""The gateway as a process: uvicorn with bounds, and an orderly end. Open this file to change how it starts and stops.

SIGTERM or SIGINT: `/health/ready` says 503 for `announce_seconds` while requests are still taken, then listening ends,
requests under way have `drain_seconds`, exit code 0. A second signal skips the announcement.
"""

import asyncio
import gc
from types import FrameType

import structlog
import uvicorn

from gateway.app import Gateway, build
from gateway.config import GatewaySettings
from gateway.connection import BoundedConnection
from gateway.edge import Load
from libs.common.logging import start_logging
from libs.common.telemetry import configure_telemetry, stop_telemetry
from libs.common.topology import Topology

LOG = structlog.get_logger(__name__)
PROCESS_NAME = "gateway"
BACKLOG = 2048


def serve(settings: GatewaySettings) -> None:
    """Runs until a signal. Blocks."""
    start_logging(settings, PROCESS_NAME)
    configure_telemetry(settings, PROCESS_NAME)
    try:
        gateway = build(settings, Topology.load(settings.topology_file))
        gc.collect()
        gc.freeze()  # descriptors, routes and documents stay: the collector need not look at them again
        server = DrainingServer(server_config(gateway, settings), gateway.load, settings.announce_seconds)
        server.run()
    finally:
        stop_telemetry()


def server_config(gateway: Gateway, settings: GatewaySettings) -> uvicorn.Config:
    host, _, port = settings.listen.rpartition(":")
    return uvicorn.Config(
        gateway.app,
        host=host.strip("[]"),
        port=int(port),
        loop="uvloop",
        http=BoundedConnection,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
    )


class DrainingServer(uvicorn.Server):
    """uvicorn's server that says it is about to stop before it does, and ends with exit code 0."""

    def __init__(self, config: uvicorn.Config, load: Load, announce_seconds: float) -> None:
        super().__init__(config)
        self._load = load
        self._announce_seconds = announce_seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called in the event loop's thread. The base class would raise the signal again at the end."""
        LOG.info("stopping", signal=sig, under_way=self._load.under_way)
        if self._load.draining or not self._announce_seconds:
            self._load.draining = True
            self.should_exit = True
            return
        self._load.draining = True
        asyncio.get_running_loop().call_later(self._announce_seconds, self._end)

    def _end(self) -> None:
        self.should_exit = True
