"""A second door with HTTPS: simple-salesforce speaks nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from connectors.kit.simulator.serving import HangingUpProtocol


@dataclass(frozen=True)
class Tls:
    """Where HTTPS is served, and with which PEM files. port 0 picks a free one."""

    certificate: Path
    key: Path
    host: str = "127.0.0.1"
    port: int = 0


@contextlib.asynccontextmanager
async def serving_tls(app: ASGIApp, tls: Tls) -> AsyncIterator[str]:
    """Serves the application over HTTPS inside this event loop; gives the base URL."""
    listener = socket.create_server((tls.host, tls.port))
    config = uvicorn.Config(
        app,
        http=HangingUpProtocol,
        ws="none",
        lifespan="off",  # The plain door of the same application starts and stops it.
        access_log=False,
        log_level="warning",
        ssl_certfile=tls.certificate,
        ssl_keyfile=tls.key,
    )
    server = _SecondServer(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"https://{tls.host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        await task
        listener.close()


class _SecondServer(uvicorn.Server):
    """Leaves the signals to the first server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
