"""Reading a body within bounds. Open this file to learn what is refused before a body is looked at.

Bounds of headers and of the connection itself are in `connection.py`, those of depth and keys in `shape.py`.
"""

import asyncio
from dataclasses import dataclass

from gateway.exchange import AtTheEdge, Exchange

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what a caller may send."""

    body_bytes_max: int = MIB
    inbound_bytes_max: int = 6 * MIB
    """Of a vendor's payload: Salesforce sends up to 6 MB."""
    depth_max: int = 64
    keys_max: int = 50_000
    receive_seconds: float = 15.0
    """Time for the whole body to arrive, however busy the line is."""


class CallerGone(Exception):
    """The caller hung up; nobody is left to answer."""


async def read_body(exchange: Exchange, bytes_max: int, seconds: float) -> bytes:
    """The whole body. Refused when it is too long, too slow, or not as long as it said."""
    stated = _stated_length(exchange)
    if stated is not None and stated > bytes_max:
        raise _too_large(bytes_max)
    body = exchange.arrived
    if body is None:
        body = await _read_in_time(exchange, bytes_max, seconds)
    elif len(body) > bytes_max:
        raise _too_large(bytes_max)
    if stated is not None and stated != len(body):
        raise AtTheEdge(400, "MALFORMED_BODY", "the body is not as long as Content-Length says")
    return body


async def _read_in_time(exchange: Exchange, bytes_max: int, seconds: float) -> bytes:
    try:
        async with asyncio.timeout(seconds):
            return await _read_bounded(exchange, bytes_max)
    except TimeoutError:
        raise AtTheEdge(
            408,
            "MALFORMED_BODY",
            f"the body did not arrive within {seconds:g} s",
            headers={"Connection": "close"},
        ) from None


async def _read_bounded(exchange: Exchange, bytes_max: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await exchange.receive()
        if message["type"] == "http.disconnect":
            raise CallerGone
        chunk = message.get("body", b"")
        assert isinstance(chunk, bytes)
        if chunk:
            chunks.append(chunk)
            size += len(chunk)
        if size > bytes_max:
            raise _too_large(bytes_max)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _stated_length(exchange: Exchange) -> int | None:
    stated = exchange.headers.get(b"content-length")
    if stated is None:
        return None
    if not stated.isdigit() or len(stated) > 15:
        raise AtTheEdge(400, "MALFORMED_BODY", "Content-Length is not a number")
    return int(stated)


def _too_large(bytes_max: int) -> AtTheEdge:
    """The connection stays open: the server drops the rest, so that a caller who is still sending hears the answer."""
    return AtTheEdge(413, "BODY_TOO_LARGE", f"the body has more than {bytes_max} bytes")
