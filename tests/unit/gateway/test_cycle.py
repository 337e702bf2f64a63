"""Answers as they leave: in one piece where they are whole, and never with a line that somebody smuggled in."""

import asyncio
import logging

import pytest
from uvicorn._types import HTTPScope
from uvicorn.protocols.http.flow_control import FlowControl

from gateway.cycle import Cycle

DATE = (b"date", b"Sun, 22 Nov 2026 01:44:38 GMT")
BODY = b'{"a":1}'
LENGTH = (b"content-length", b"7")


class Wire(asyncio.Transport):
    """Remembers what was written, piece by piece."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.pieces.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def a_cycle(wire: Wire, method: str = "POST", *, keep_alive: bool = True) -> Cycle:
    scope: HTTPScope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": "/v1/orders",
        "raw_path": b"/v1/orders",
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "client": None,
        "server": None,
    }
    return Cycle(
        scope=scope,
        transport=wire,
        flow=FlowControl(wire),
        logger=logging.getLogger("test"),
        access_logger=logging.getLogger("test"),
        access_log=False,
        default_headers=[DATE],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=keep_alive,
        on_response=lambda: None,
    )


async def test_an_answer_that_is_whole_leaves_in_one_piece() -> None:
    wire = Wire()
    cycle = a_cycle(wire)
    await cycle.answer(202, (LENGTH, (b"x-a", b"1")), BODY)
    assert wire.pieces == [
        b"HTTP/1.1 202 Accepted\r\ndate: %b\r\ncontent-length: 7\r\nx-a: 1\r\n\r\n" % DATE[1] + BODY
    ]
    assert cycle.response_complete
    assert not wire.closed


async def test_the_answer_to_head_has_no_body() -> None:
    wire = Wire()
    await a_cycle(wire, "HEAD").answer(200, (LENGTH,), b"")
    assert b"content-length: 7\r\n" in wire.pieces[0]
    assert b"".join(wire.pieces).endswith(b"\r\n\r\n")


@pytest.mark.parametrize("said", ["by the caller", "by the answer"])
async def test_a_connection_that_is_to_end_ends_with_the_answer(said: str) -> None:
    wire = Wire()
    headers = (LENGTH,) if said == "by the caller" else (LENGTH, (b"connection", b"close"))
    await a_cycle(wire, keep_alive=said != "by the caller").answer(202, headers, BODY)
    assert b"".join(wire.pieces).count(b"connection: close\r\n") == 1
    assert wire.closed


async def test_an_answer_without_content_has_no_length() -> None:
    wire = Wire()
    await a_cycle(wire).answer(204, ((b"allow", b"GET"),), b"")
    head = b"".join(wire.pieces)
    assert b"content-length" not in head
    assert b"transfer-encoding" not in head


@pytest.mark.parametrize("smuggled", [b"a\r\nset-cookie: b", b"a\nb", b"a\x00b", b"a\x7f"])
async def test_a_header_that_would_begin_a_line_of_its_own_is_never_sent(smuggled: bytes) -> None:
    wire = Wire()
    with pytest.raises(RuntimeError, match="control characters"):
        await a_cycle(wire).answer(202, (LENGTH, (b"x-a", smuggled)), BODY)
    assert wire.pieces == []


async def test_nothing_is_sent_to_a_caller_that_is_gone() -> None:
    wire = Wire()
    cycle = a_cycle(wire)
    cycle.disconnected = True
    await cycle.answer(202, (LENGTH,), BODY)
    assert wire.pieces == []


async def test_a_body_is_there_once_its_last_part_is() -> None:
    cycle = a_cycle(Wire())
    cycle.body += b"{"
    assert cycle.arrived() is None
    cycle.body += b"}"
    cycle.more_body = False
    assert cycle.arrived() == b"{}"
