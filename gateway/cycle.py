"""One request on a connection, and its answer. Open this file when an answer leaves otherwise than the edge gave it.

uvicorn sends head and body apart and looks at every header by itself. An ordinary answer, which is whole and as long as
it says, leaves in one piece here; any other one goes uvicorn's way.
"""

from collections.abc import Sequence

from uvicorn._types import ASGISendEvent, HTTPResponseBodyEvent, HTTPResponseStartEvent
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

UNUSUAL_HEADERS = frozenset({b"connection", b"transfer-encoding"})
_CONTROLS = bytes({*range(0x20), 0x7F} - {0x09})


class Cycle(RequestResponseCycle):
    """The request is read while the application already runs."""

    _start: HTTPResponseStartEvent | None = None
    """Begin of an answer whose body is yet to come."""

    def arrived(self) -> bytes | None:
        """The whole body; None while something of it is missing."""
        return None if self.more_body else bytes(self.body)

    async def send(self, message: ASGISendEvent) -> None:
        """Keeps the head back until it is known what follows."""
        start, self._start = self._start, None
        if message["type"] == "http.response.start" and start is None and not self.response_started:
            self._start = message
        elif start is None:
            await super().send(message)
        elif message["type"] == "http.response.body" and self._is_ordinary(start, message):
            await self._send_whole(start, message.get("body", b""))
        else:
            await super().send(start)
            await super().send(message)

    def _is_ordinary(self, start: HTTPResponseStartEvent, content: HTTPResponseBodyEvent) -> bool:
        stated = dict(start.get("headers", ()))
        return (
            self.keep_alive
            and not content.get("more_body", False)
            and stated.get(b"content-length") == b"%d" % len(content.get("body", b""))
            and self.scope["method"] != "HEAD"
            and UNUSUAL_HEADERS.isdisjoint(stated)
        )

    async def _send_whole(self, start: HTTPResponseStartEvent, body: bytes) -> None:
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        head = _lines([*self.default_headers, *start["headers"]])
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[start["status"]], head, body))
        self.message_event.set()
        self.on_response()


def _lines(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Names come from code, values perhaps from outside: none may end its line."""
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    if len(lines.translate(None, _CONTROLS)) != len(lines) - 2 * len(headers):
        raise RuntimeError("a header holds control characters")
    return lines
