"""A trace collector on a free port. Open this file to test what a process sends about itself.

with collecting() as collector:
    settings = ProcessSettings(otlp_endpoint=collector.endpoint)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Collector(ThreadingHTTPServer):
    """Takes what an exporter sends and remembers it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Reception)
        self.endpoint = f"http://127.0.0.1:{self.server_port}"
        self.paths: list[str] = []
        self.bodies: list[bytes] = []


class _Reception(BaseHTTPRequestHandler):
    """Answers 200 to everything."""

    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        self.server.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        self.server.paths.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class names it so)
        """Says nothing."""


@contextmanager
def collecting() -> Iterator[Collector]:
    """Listens for the block."""
    with Collector() as collector:
        thread = Thread(target=collector.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield collector
        finally:
            collector.shutdown()
            thread.join()
