"""The gateway as a process: uvicorn with bounds, and an orderly end. Open this file to change how it starts and stops.

SIGTERM or SIGINT: `/health/ready` says 503 for `announce_seconds` while requests are still taken, then listening ends,
requests under way have `drain_seconds`, exit code 0. A second signal skips the announcement.
"""

import asyncio
from types import FrameType

import structlog
import uvicorn

from gateway.app import Gateway, build
from gateway.config import GatewaySettings
from gateway.connection import BoundedConnection
from gateway.lanes import Load
from libs.common.certificates import Certificates
from libs.common.collecting import settle
from libs.common.logging import start_logging
from libs.common.rpc.tls import certificates_of
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
        settle()
        server = DrainingServer(
            server_config(gateway, settings),
            gateway.load,
            settings.announce_seconds,
            certificates_of(settings),
        )
        server.run()
    finally:
        stop_telemetry()


def server_config(gateway: Gateway, settings: GatewaySettings) -> uvicorn.Config:
    host, _, port = settings.listen.rpartition(":")
    files = settings.certificate_files
    return uvicorn.Config(
        gateway.app,
        host=host.strip("[]"),
        port=int(port),
        loop="uvloop",
        http=bounded(settings.connections_max),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
        ssl_certfile=files.certificate if files is not None else None,
        ssl_keyfile=files.key if files is not None else None,
    )


def bounded(connections_max: int) -> type[BoundedConnection]:
    """uvicorn makes one object of this class per connection and tells it nothing of ours."""
    return type("Connection", (BoundedConnection,), {"connections_max": connections_max})


class DrainingServer(uvicorn.Server):
    """uvicorn's server that says it is about to stop before it does, ends with exit code 0, and takes up a renewed
    certificate for those who connect from then on."""

    def __init__(
        self,
        config: uvicorn.Config,
        load: Load,
        announce_seconds: float,
        certificates: Certificates | None = None,
    ) -> None:
        super().__init__(config)
        self._load = load
        self._announce_seconds = announce_seconds
        self._certificates = certificates
        self._generation = certificates.current().generation if certificates is not None else 0

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        self.renew_certificate()
        return await super().on_tick(counter)

    def renew_certificate(self) -> None:
        """Takes up the newest certificate; connections that stand keep theirs."""
        if self._certificates is None or self.config.ssl is None:
            return
        material = self._certificates.current()
        if material.generation != self._generation:
            self._generation = material.generation
            self.config.ssl.load_cert_chain(
                self._certificates.files.certificate, self._certificates.files.key
            )

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
