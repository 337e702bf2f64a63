"""How a simulator is run: its command line, uvicorn, and in-process serving for tests.

The HTTP protocol here can hang up on the caller without a byte of answer, which no ASGI message can express.
"""

import asyncio
import contextlib
import logging
import socket
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from struct import pack

import uvicorn
from starlette.types import ASGIApp, Receive, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HANG_UP = "ordermesh.hang_up"
# Longer than any client's idle time: a client never meets a connection the simulator closed on its own.
_KEEP_ALIVE_SECONDS = 300
_DRAIN_SECONDS = 2
_BACKLOG = 2048


class HangingUpProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with a way for the application to cut the connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {_HANG_UP: self._hang_up}  # type: ignore[dict-item]

    def _hang_up(self, rudely: bool) -> None:
        if rudely:
            # No linger time: the caller gets RST (connection reset by peer) instead of a clean end of stream.
            connection = self.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
        self.transport.abort()


async def hang_up(scope: Scope, receive: Receive, *, rudely: bool) -> None:
    """Ends the connection now; returns when the server has noticed, so that it sends nothing of its own.

    rudely: with RST. Under a transport without sockets (httpx.ASGITransport) it raises ConnectionResetError,
    which is what such a caller sees.
    """
    cut: Callable[[bool], None] | None = scope.get("extensions", {}).get(_HANG_UP)
    if cut is None:
        raise ConnectionResetError("the simulator hung up")
    cut(rudely)
    while (await receive())["type"] != "http.disconnect":
        pass


def arguments(prog: str, description: str) -> ArgumentParser:
    """The options every simulator has; a simulator adds its own."""
    parser = ArgumentParser(prog=prog, description=description)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, required=True, help="port to listen on; 0 picks a free one")
    parser.add_argument(
        "--state",
        type=Path,
        help="SQLite file that keeps the documents; none = memory only",
    )
    parser.add_argument(
        "--latency",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="time every vendor request takes at least",
    )
    return parser


def run(app: ASGIApp, *, host: str, port: int) -> None:
    """Serves until SIGINT or SIGTERM. Prints `listening on http://…` first, for whoever asked for port 0."""
    listener = _listen(host, port)
    print(f"listening on {_url(listener)}", flush=True)  # noqa: T201  the answer to --port 0
    uvicorn.Server(_config(app)).run(sockets=[listener])


@contextlib.asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """Serves on a free local port inside this event loop; gives the base URL. Leaves signals alone."""
    listener = _listen("127.0.0.1", 0)
    config = _config(app)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    if server.should_exit:
        raise RuntimeError("the application did not start, see its log")
    ticking = asyncio.create_task(server.main_loop())
    try:
        yield _url(listener)
    finally:
        ticking.cancel()
        await server.shutdown(sockets=[listener])


def _config(app: ASGIApp) -> uvicorn.Config:
    logging.getLogger("uvicorn.access").disabled = True
    return uvicorn.Config(
        app,
        http=HangingUpProtocol,
        loop="uvloop",
        ws="none",
        access_log=False,
        proxy_headers=False,
        log_level="warning",
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's algorithm off (40 ms per answer) only for sockets that name their protocol.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(_BACKLOG)  # now already: whoever reads the announced port may connect at once
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
