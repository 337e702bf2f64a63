"""A server that misbehaves below HTTP, byte by byte. Open this file to test what a client makes of a broken answer.

    async with RawServer(silent) as server:
        …a client of server.url…
        assert server.requests

Simulators answer in a vendor's words and can lose or delay a whole answer; what breaks within one is here.
"""

import asyncio
import gzip
import itertools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Self

from libs.common.clock import SystemClock

HEAD_END = b"\r\n\r\n"
HEAD_BYTES_MAX = 64 * 1024
DRIP_EVERY = timedelta(milliseconds=20)
BOMB_MEGABYTES = 64
CHUNK = b"x" * 64 * 1024

Behave = Callable[["Visit"], Awaitable[None]]
"""What the server does once a request has arrived; the connection stays open until the server ends."""


class Visit:
    """One request on one connection."""

    def __init__(self, number: int, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        self.number = number
        """From 1, over all connections of the server."""
        self.head = head
        self.body = body
        self._writer = writer

    @property
    def path(self) -> str:
        return self.head.split(b" ", 2)[1].decode()

    def header(self, name: str) -> str:
        """Empty when it was not sent."""
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return ""

    async def say(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self, status: str = "200 OK", body: bytes = b"{}", **headers: str) -> None:
        """A whole answer. headers: with `_` for `-`."""
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines])
        await self.say(head.encode() + HEAD_END + body)

    def hang_up(self) -> None:
        self._writer.transport.abort()


class RawServer:
    """Listens on a free local port. behave: may be exchanged at any time."""

    def __init__(self, behave: Behave) -> None:
        self.behave = behave
        self.requests: list[Visit] = []
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(1)

    @property
    def url(self) -> str:
        assert self._server is not None, "it does not listen"
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=HEAD_BYTES_MAX)
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._converse(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    head = await reader.readuntil(HEAD_END)
                    visit = Visit(next(self._numbers), head, b"", writer)
                    visit.body = await reader.readexactly(int(visit.header("Content-Length") or "0"))
                    self.requests.append(visit)
                    await self.behave(visit)
        finally:
            writer.transport.abort()


async def silent(visit: Visit) -> None:
    """Half-open: the request has arrived, nothing comes back, nobody hangs up."""
    await asyncio.Event().wait()


async def dripping(visit: Visit) -> None:
    """Promises a long answer and sends it a byte at a time, each soon enough to keep a reader waiting."""
    clock = SystemClock()
    await visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        await visit.say(b" ")
        await clock.wait(asyncio.Event(), DRIP_EVERY)


async def dripping_head(visit: Visit) -> None:
    """The same before the first header is whole."""
    clock = SystemClock()
    await visit.say(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        await visit.say(b"x")
        await clock.wait(asyncio.Event(), DRIP_EVERY)


async def endless(visit: Visit) -> None:
    """An answer without end."""
    await visit.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await visit.say(b"%x\r\n" % len(CHUNK) + CHUNK + b"\r\n")


async def bomb(visit: Visit) -> None:
    """A small answer that unpacks to a large one."""
    packed = gzip.compress(bytes(BOMB_MEGABYTES * 1024 * 1024), 9)
    await visit.answer(body=packed, Content_Encoding="gzip")


async def cut_short(visit: Visit) -> None:
    """Hangs up in the middle of the body."""
    await visit.say(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"id": ')
    visit.hang_up()


async def hung_up(visit: Visit) -> None:
    """Hangs up without a word once it has the request."""
    visit.hang_up()


async def no_http(visit: Visit) -> None:
    """Says something that is no answer at all."""
    await visit.say(b"220 mail.example ESMTP\r\n\r\n")


async def broken_chunks(visit: Visit) -> None:
    """Begins well and loses count."""
    await visit.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n")


async def broken_packing(visit: Visit) -> None:
    """Says that the body is packed; it is not."""
    await visit.answer(body=b"this is no gzip", Content_Encoding="gzip")


async def long_head(visit: Visit) -> None:
    """A header longer than any sensible one."""
    await visit.answer(X_Long="x" * 200_000)
