"""An ERP that takes 5 ms for anything and forgets it. Open this file to see what everybody's calls meet.

`python -m benchmarks.erp_stub`. As little work as HTTP allows, so that it costs none of the machine that is measured: a
server such as uvicorn takes a twentieth of it. It also swallows the traces. At LEAVE it hangs up and refuses
connections until RETURN.
"""

import asyncio
import signal
from itertools import count
from typing import cast

import httptools
import uvloop

from libs.common.config import ProcessSettings, load_settings

LATENCY_SECONDS = 0.005
AT_ONCE = frozenset({b"/v1/traces", b"/at-once"})
ANSWER = b"HTTP/1.1 201 Created\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\nSO%08d"

LEAVE, RETURN = signal.SIGUSR1, signal.SIGUSR2

_numbers = count(1)
_lines: set["Line"] = set()


class Line(asyncio.Protocol):
    """One keep-alive connection; carries one request at a time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._requests = httptools.HttpRequestParser(self)
        self._path = b""
        _lines.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        _lines.discard(self)

    def data_received(self, data: bytes) -> None:
        self._requests.feed_data(data)

    def on_message_begin(self) -> None:
        self._path = b""

    def on_url(self, part: bytes) -> None:
        self._path += part

    def on_message_complete(self) -> None:
        if self._path in AT_ONCE:
            self._answer()
        else:
            asyncio.get_running_loop().call_later(LATENCY_SECONDS, self._answer)

    def hang_up(self) -> None:
        self._transport.abort()

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(ANSWER % next(_numbers))


async def main() -> None:
    host, port = load_settings(ProcessSettings).listen.rsplit(":", 1)
    loop = asyncio.get_running_loop()
    left, returned = asyncio.Event(), asyncio.Event()
    loop.add_signal_handler(LEAVE, left.set)
    loop.add_signal_handler(RETURN, returned.set)
    while True:
        server = await loop.create_server(Line, host, int(port), backlog=1024)
        await left.wait()
        server.close()
        for line in _lines:
            line.hang_up()
        await returned.wait()
        left.clear()
        returned.clear()


if __name__ == "__main__":
    uvloop.run(main())
