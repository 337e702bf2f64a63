"""One request on a connection, and its answer. Open this file when an answer leaves otherwise than the edge gave it.

uvicorn sends head and body apart and looks at every header by itself. An ordinary answer of the edge leaves in one
piece here; one that ends the connection, and the pages, go uvicorn's way.
"""

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from gateway.exchange import Headers

_CONTROLS = bytes({*range(0x20), 0x7F} - {0x09})


class Cycle(RequestResponseCycle):
    """The request is read while the application already runs. A `Line`."""

    def arrived(self) -> bytes | None:
        """See `Line`."""
        return None if self.more_body else bytes(self.body)

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """See `Line`."""
        if not self.keep_alive or b"connection" in dict(headers):
            await self.send({"type": "http.response.start", "status": status, "headers": headers})
            await self.send({"type": "http.response.body", "body": body})
            return
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        head = _lines((*self.default_headers, *headers))
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[status], head, body))
        self.message_event.set()
        self.on_response()


def _lines(headers: Headers) -> bytes:
    """Names come from code, values perhaps from outside: none may end its line."""
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    if len(lines.translate(None, _CONTROLS)) != len(lines) - 2 * len(headers):
        raise RuntimeError("a header holds control characters")
    return lines
