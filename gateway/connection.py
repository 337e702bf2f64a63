"""The HTTP connection itself. Open this file when a request never reaches a route.

uvicorn's httptools protocol takes headers of any size, waits for them for ever, and answers broken requests in
plain text. Here headers are bounded in size, number and time, and every answer is a problem.
"""

import asyncio
from dataclasses import dataclass

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.problems import bare_problem

HEADER_BYTES_MAX = 32 * 1024
"""Request line and headers together. Tokens with many roles are the largest ordinary header, a few KiB."""
HEADERS_MAX = 100
REQUEST_SECONDS_MAX = 60.0
"""From connecting, or a request's first bytes, to its last byte. The body has a shorter bound of its own."""


@dataclass(frozen=True, slots=True)
class _Fault:
    status: int
    reason: str
    detail: str


BROKEN = _Fault(400, "MALFORMED_BODY", "this is not an HTTP request")
HEADERS_TOO_LARGE = _Fault(
    431, "BODY_TOO_LARGE", f"the headers have more than {HEADER_BYTES_MAX} bytes or {HEADERS_MAX} lines"
)
TOO_SLOW = _Fault(408, "MALFORMED_BODY", f"the request did not arrive within {REQUEST_SECONDS_MAX:g} s")


class BoundedConnection(HttpToolsProtocol):
    """One connection. Ordinary requests arrive whole and start no timer."""

    _fault = BROKEN
    _timer: asyncio.TimerHandle | None = None
    _arriving = False
    """True between the first and the last byte of a request."""
    _in_headers = False
    _header_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

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
        super().on_message_begin()
        self._arriving = self._in_headers = True
        self._header_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > HEADER_BYTES_MAX or len(self.headers) >= HEADERS_MAX:
            self._fault = HEADERS_TOO_LARGE
            raise ValueError(HEADERS_TOO_LARGE.detail)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_headers = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._arriving = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Called by the base class for whatever the parser refuses."""
        self._refuse(self._fault)

    def _refuse(self, fault: _Fault) -> None:
        body = bare_problem(fault.status, fault.reason, fault.detail)
        head = (
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

    def _too_slow(self) -> None:
        """Headers may still be answered; amid a body the application has spoken or will hear of the end."""
        self._timer = None
        if self.transport.is_closing():
            return
        if self._in_headers:
            self._refuse(TOO_SLOW)
        else:
            self.transport.close()
