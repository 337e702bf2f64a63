"""Where metrics are told: `GET /metrics` on a port of its own. Open this file to change who may ask, or how often.

    async with serving_metrics(settings, "order-relay", depths.read):
        …

Plain text on loopback and in development, mutual TLS where certificates are mounted (Prometheus shows one of the same
authority), plain text elsewhere only where `ORDERMESH_METRICS_PLAIN_TEXT` says so. Nothing is served, and no server is
loaded, while `ORDERMESH_METRICS_LISTEN` is empty; counting goes on, it costs nothing worth saving.

A reading sets what is only known when it is asked for, such as the depth of a queue. It runs when somebody asks, at
most once in FRESH_SECONDS and for at most READING_SECONDS.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import structlog
from prometheus_client.exposition import choose_encoder

from libs.common.certificates import Certificates
from libs.common.config import ProcessSettings
from libs.common.metrics import BUILD, READINGS_FAILED
from libs.common.metrics.declaring import REGISTRY

if TYPE_CHECKING:
    import uvicorn

LOG = structlog.get_logger(__name__)
PATH = "/metrics"
FRESH_SECONDS = 2.0
READING_SECONDS = 5.0
CONNECTIONS_MAX = 16
KEEP_ALIVE_SECONDS = 75
BACKLOG = 16

Reading = Callable[[], Awaitable[None]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


@asynccontextmanager
async def serving_metrics(
    settings: ProcessSettings, process_name: str, *readings: Reading
) -> AsyncIterator[int]:
    """Tells metrics as long as the block runs; yields the port, 0 for none. Raises OSError for a taken port."""
    BUILD.at(version("ordermesh"), process_name).set(1)
    if not settings.metrics_listen:
        yield 0
        return
    files = None if settings.metrics_plain_text else settings.certificate_files
    page = MetricsPage(readings, Certificates(files) if files is not None else None)
    listening = _listen(settings.metrics_listen)
    try:
        server = await _started(page, listening)
        port: int = listening.getsockname()[1]
        LOG.info("metrics", port=port, tls=files is not None)
        try:
            yield port
        finally:
            await server.shutdown([listening])
    finally:
        listening.close()


class MetricsPage:
    """The ASGI application behind the port."""

    def __init__(self, readings: Sequence[Reading], certificates: Certificates | None = None) -> None:
        self._readings = readings
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self._certificates = certificates
        self._generation = certificates.current().generation if certificates is not None else 0
        self.context: ssl.SSLContext | None = None
        """That of the server, to be renewed."""

    async def __call__(self, scope: dict[str, Any], receive: object, send: Send) -> None:
        self._renew_certificate()
        if scope["path"] != PATH:
            await _answer(send, 404, b"metrics are at /metrics\n")
        elif scope["method"] not in ("GET", "HEAD"):
            await _answer(send, 405, b"", [(b"allow", b"GET, HEAD")])
        else:
            await self._read()
            accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
            encode, media_type = choose_encoder(accept)
            body = encode(REGISTRY)
            shown = body if scope["method"] == "GET" else b""
            await _answer(send, 200, shown, [(b"content-type", media_type.encode())])

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        async with self._reading:
            if loop.time() - self._read_at < FRESH_SECONDS:
                return
            for reading in self._readings:
                try:
                    async with asyncio.timeout(READING_SECONDS):
                        await reading()
                except Exception as error:  # noqa: BLE001  (whatever fails, the rest is told)
                    READINGS_FAILED.at().inc()
                    LOG.info("metrics_not_read", cause=type(error).__name__)
            self._read_at = loop.time()

    def _renew_certificate(self) -> None:
        """Takes up the newest files for those who connect from then on."""
        if self._certificates is None or self.context is None:
            return
        generation = self._certificates.current().generation
        if generation != self._generation:
            self._generation = generation
            files = self._certificates.files
            self.context.load_cert_chain(files.certificate, files.key)
            self.context.load_verify_locations(files.authorities)

    def server_context(self) -> dict[str, Any]:
        """What uvicorn is told of certificates: whoever asks must show one."""
        if self._certificates is None:
            return {}
        files = self._certificates.files
        return {
            "ssl_certfile": files.certificate,
            "ssl_keyfile": files.key,
            "ssl_ca_certs": str(files.authorities),
            "ssl_cert_reqs": ssl.CERT_REQUIRED,
        }


async def _started(page: MetricsPage, listening: socket.socket) -> "uvicorn.Server":
    """Part of this process: it takes no signals, and ends when it is told to."""
    library = import_module("uvicorn")
    config: uvicorn.Config = library.Config(
        page,
        interface="asgi3",
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        limit_concurrency=CONNECTIONS_MAX,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=1,
        **page.server_context(),
    )
    config.load()
    page.context = config.ssl
    server: uvicorn.Server = library.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup([listening])
    return server


def _listen(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if ":" not in host:
        return socket.create_server((host, int(port)), backlog=BACKLOG)
    both = host == "::" and socket.has_dualstack_ipv6()
    return socket.create_server(
        (host, int(port)), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=both
    )


async def _answer(send: Send, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
    length = (b"content-length", str(len(body)).encode())
    told = [*headers, length, (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": body})
