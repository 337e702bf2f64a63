"""The HTTP connection itself. Open this file when a request never reaches a route.

uvicorn's httptools protocol takes headers of any size, waits for them for ever, and answers broken requests in
plain text. Here headers are bounded in size, number and time, and every answer is a problem.
"""

import asyncio
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar
from urllib.parse import unquote

import httptools
from uvicorn._types import HTTPScope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.cycle import Cycle
from gateway.exchange import LINE
from gateway.problems import PAUSED_STATUSES, RETRY_SECONDS_DEFAULT, bare_problem

HEADER_BYTES_MAX = 32 * 1024
"""Request line and headers together. Tokens with many roles are the largest ordinary header, a few KiB."""
TARGET_BYTES_MAX = 16 * 1024
"""Path and query. A filter of 1,000 characters and the longest page token, all of it escaped, are shorter."""
HEADERS_MAX = 100
REQUEST_SECONDS_MAX = 60.0
"""From connecting, or a request's first bytes, to its last byte. The body has a shorter bound of its own."""
TARGETS_AT_HAND = 256
ANSWER_SECONDS_MAX = 60.0
"""Time in which a caller may read nothing of an answer that is ready for it."""


@dataclass(frozen=True, slots=True)
class _Fault:
    status: int
    reason: str
    detail: str


BROKEN = _Fault(400, "MALFORMED_BODY", "this is not an HTTP request")
HEADERS_TOO_LARGE = _Fault(
    431, "BODY_TOO_LARGE", f"the headers have more than {HEADER_BYTES_MAX} bytes or {HEADERS_MAX} lines"
)
TARGET_TOO_LONG = _Fault(414, "BODY_TOO_LARGE", f"path and query have more than {TARGET_BYTES_MAX} bytes")
CROWDED = _Fault(503, "OVERLOADED", "too many connections are open")
TOO_SLOW = _Fault(408, "MALFORMED_BODY", f"the request did not arrive within {REQUEST_SECONDS_MAX:g} s")


class BoundedConnection(HttpToolsProtocol):
    """One connection. Ordinary requests arrive whole and start no timer."""

    connections_max: ClassVar[int] = 4096
    """Connections of this process at a time."""

    _fault = BROKEN
    _timer: asyncio.TimerHandle | None = None
    _unread_timer: asyncio.TimerHandle | None = None
    _arriving = False
    """True between the first and the last byte of a request."""
    _in_headers = False
    _header_bytes = 0
    _idle_since = 0.0
    """Loop time of the last answer's end."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.connections_max:
            self._refuse(CROWDED)
        else:
            self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._stop_unread_timer()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The answer waits in full buffers for a caller who does not read it."""
        super().pause_writing()
        self._stop_unread_timer()
        self._unread_timer = self.loop.call_later(ANSWER_SECONDS_MAX, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_unread_timer()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        before = self._header_bytes if self._in_headers else 0
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_headers and before + len(data) > HEADER_BYTES_MAX:
            self._refuse(HEADERS_TOO_LARGE)
        elif self._in_headers:
            self._header_bytes = before + len(data)
        if not self._arriving:
            self._stop_timer()
        elif self._timer is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._arriving = self._in_headers = True
        self._header_bytes = 0

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > TARGET_BYTES_MAX:
            self._fault = TARGET_TOO_LONG
            raise ValueError(TARGET_TOO_LONG.detail)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > HEADER_BYTES_MAX or len(self.headers) >= HEADERS_MAX:
            self._fault = HEADERS_TOO_LARGE
            raise ValueError(HEADERS_TOO_LARGE.detail)
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Like the base class, which also knows WebSockets and limits that nobody sets here."""
        self._in_headers = False
        version = self.parser.get_http_version()
        before = self.cycle
        self.scope = self._scope(version)
        self.cycle = Cycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        self.scope["extensions"] = {LINE: self.cycle}  # type: ignore[dict-item]  # no dict, as ASGI has it: this one is ours
        if before is None or before.response_complete:  # type: ignore[redundant-expr]
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _scope(self, version: str) -> HTTPScope:
        path, raw_path, query = _target(self.url)
        return {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": "https" if self.config.is_ssl else "http",
            "root_path": self.root_path,
            "headers": self.headers,
            "state": self.app_state.copy(),
            "method": self.parser.get_method().decode("ascii"),
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
        }

    def on_message_complete(self) -> None:
        self._arriving = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Like the base class, but that one timer looks after a connection for as long as it lives."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_again_in(self.timeout_keep_alive)

    def _unset_keepalive_if_required(self) -> None:
        """Called by the base class for all that is received: the timer looks by itself."""

    def timeout_keep_alive_handler(self) -> None:
        under_way = self._arriving or not self.cycle.response_complete
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if under_way or left > 0:
            self._look_again_in(self.timeout_keep_alive if under_way else left)
        else:
            self.transport.close()

    def _look_again_in(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def send_400_response(self, msg: str) -> None:
        """Called by the base class for whatever the parser refuses."""
        self._refuse(self._fault)

    def _refuse(self, fault: _Fault) -> None:
        again = RETRY_SECONDS_DEFAULT if fault.status in PAUSED_STATUSES else None
        body = bare_problem(fault.status, fault.reason, fault.detail, again)
        hint = b"" if again is None else b"retry-after: %d\r\n" % again
        head = hint + (
            b"content-type: application/problem+json\r\ncache-control: no-store\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n" % len(body)
        )
        self.transport.write(STATUS_LINE[fault.status] + head + body)
        self.transport.close()

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(REQUEST_SECONDS_MAX, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_unread_timer(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _too_slow(self) -> None:
        """Headers may still be answered; amid a body the application has spoken or will hear of the end."""
        self._timer = None
        if self.transport.is_closing():
            return
        if self._in_headers:
            self._refuse(TOO_SLOW)
        else:
            self.transport.close()


@lru_cache(TARGETS_AT_HAND)
def _target(url: bytes) -> tuple[str, bytes, bytes]:
    """Path, path as it was sent, and query."""
    parsed = httptools.parse_url(url)
    path = parsed.path.decode("ascii")
    return unquote(path) if "%" in path else path, parsed.path, parsed.query or b""
