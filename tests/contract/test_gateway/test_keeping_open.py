"""Several requests on one connection, in whatever pieces they come, and when it ends."""

import asyncio
from pathlib import Path

import pytest

from tests.contract.test_gateway.backend import Told
from tests.contract.test_gateway.line import CALL_SECONDS, ORDER, Socket
from tests.contract.test_gateway.mesh import running_mesh, served


async def test_orders_that_come_in_one_piece_are_answered_one_after_the_other(socket: Socket) -> None:
    line = await socket.connect()
    broken = b"{" + ORDER[1:].replace(b"EUR", b"eur")
    line.write(
        b"".join(socket.head(f"Content-Length: {len(order)}") + order for order in (ORDER, broken, ORDER))
    )
    assert [(await line.hear()).status for _ in range(3)] == [202, 400, 202]


async def test_order_that_comes_in_pieces_is_taken(socket: Socket) -> None:
    line = await socket.connect()
    request = socket.head(f"Content-Length: {len(ORDER)}") + ORDER
    for start in range(0, len(request), 100):
        line.write(request[start : start + 100])
        await line.writer.drain()
    assert (await line.hear()).status == 202


async def test_order_in_chunks_is_taken(socket: Socket) -> None:
    line = await socket.connect()
    parts = (ORDER[:50], ORDER[50:])
    line.write(socket.head("Transfer-Encoding: chunked"))
    line.write(b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n")
    assert (await line.hear()).status == 202


async def test_caller_that_asks_first_is_told_to_go_on(socket: Socket) -> None:
    line = await socket.connect()
    line.write(socket.head(f"Content-Length: {len(ORDER)}", "Expect: 100-continue"))
    assert (await line.hear()).status == 100
    line.write(ORDER)
    assert (await line.hear()).status == 202


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET /health/live HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n",
        b"GET /health/live HTTP/1.0\r\n\r\n",
        b"GET /v1/orders/ord_1 HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n",
    ],
)
async def test_connection_ends_after_the_answer_where_the_caller_wants_it(
    socket: Socket, request_head: bytes
) -> None:
    line = await socket.connect()
    line.write(request_head)
    assert (await line.hear()).headers["connection"] == "close"
    assert await line.is_closed()


async def test_head_is_answered_without_a_body(socket: Socket) -> None:
    line = await socket.connect()
    token = socket.mesh.bearer()["Authorization"]
    line.write(f"HEAD /v1/orders HTTP/1.1\r\nHost: gateway\r\nAuthorization: {token}\r\n\r\n".encode())
    async with asyncio.timeout(CALL_SECONDS):
        head = await line.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    line.write(socket.head(f"Content-Length: {len(ORDER)}") + ORDER)
    assert (await line.hear()).status == 202  # what follows is the next answer and no body


async def test_connection_without_requests_ends_and_one_with_requests_does_not(tmp_path: Path) -> None:
    async with (
        running_mesh(tmp_path, keep_alive_seconds=1) as mesh,
        served(mesh.gateway, mesh.settings) as port,
    ):
        socket = Socket(mesh, port)
        released = asyncio.Event()
        mesh.order.told["SubmitOrder"] = Told(wait_for=released.wait)
        busy, idle = await socket.connect(), await socket.connect()
        idle.write(b"GET /health/live HTTP/1.1\r\nHost: gateway\r\n\r\n")
        assert (await idle.hear()).status == 200
        busy.write(b"GET /health/live HTTP/1.1\r\nHost: gateway\r\n\r\n")
        assert (await busy.hear()).status == 200
        busy.write(socket.head(f"Content-Length: {len(ORDER)}") + ORDER)
        assert await idle.is_closed()
        released.set()
        assert (await busy.hear()).status == 202
        assert await busy.is_closed()
