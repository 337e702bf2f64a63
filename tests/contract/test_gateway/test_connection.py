"""The gateway on a socket: what happens to requests that are too large, too slow or none at all."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import uvicorn
from ordermesh.order.v1 import order_pb2, order_service_pb2

from gateway import connection
from gateway.cycle import Cycle
from gateway.serving import server_config
from libs.common.clock import SystemClock
from libs.common.testing.garbage import collector_off
from tests.contract.test_gateway.line import CALL_SECONDS, ORDER, Socket
from tests.contract.test_gateway.mesh import running_mesh, served


async def test_two_orders_on_one_connection(socket: Socket) -> None:
    line = await socket.connect()
    for _ in range(2):
        line.write(socket.head(f"Content-Length: {len(ORDER)}") + ORDER)
        assert (await line.hear()).status == 202
    assert len(socket.mesh.order.calls("SubmitOrder")) == 2


async def test_nothing_of_a_request_waits_for_the_garbage_collector(socket: Socket) -> None:
    """A connection keeps its last request until the next one comes."""
    line = await socket.connect()
    with collector_off(Cycle) as left:
        for _ in range(5):
            line.write(socket.head(f"Content-Length: {len(ORDER)}") + ORDER)
            assert (await line.hear()).status == 202
        assert len(left()) == 1


async def test_ten_megabytes_are_refused_and_the_caller_hears_it(socket: Socket) -> None:
    line = await socket.connect()
    line.write(socket.head("Content-Length: 10000000"))
    line.write(b" " * 10_000_000)
    heard = await line.hear()
    assert (heard.status, heard.code) == (413, "BODY_TOO_LARGE")


async def test_ten_megabytes_in_chunks_are_refused_and_the_caller_hears_it(socket: Socket) -> None:
    line = await socket.connect()
    line.write(socket.head("Transfer-Encoding: chunked"))
    line.write((b"186a0\r\n" + b" " * 100_000 + b"\r\n") * 100 + b"0\r\n\r\n")
    heard = await line.hear()
    assert (heard.status, heard.code) == (413, "BODY_TOO_LARGE")


async def test_caller_that_asks_first_need_not_send_what_is_refused(socket: Socket) -> None:
    line = await socket.connect()
    line.write(socket.head("Content-Length: 10000000", "Expect: 100-continue"))
    assert (await line.hear()).status == 413


async def test_connection_goes_on_after_a_refused_body(socket: Socket) -> None:
    line = await socket.connect()
    line.write(socket.head("Content-Length: 2000000") + b" " * 2_000_000)
    assert (await line.hear()).status == 413
    line.write(socket.head(f"Content-Length: {len(ORDER)}") + ORDER)
    assert (await line.hear()).status == 202


async def test_body_that_never_ends_is_given_up(socket: Socket) -> None:
    line = await socket.connect()
    line.write(socket.head("Content-Length: 100") + b"{")
    heard = await line.hear()
    assert heard.status == 408
    assert heard.headers["connection"] == "close"
    assert await line.is_closed()
    assert not socket.mesh.order.seen


async def test_headers_that_never_end_are_given_up(socket: Socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REQUEST_SECONDS_MAX", 0.05)
    line = await socket.connect()
    line.write(b"GET /v1/orders HTTP/1.1\r\nHost: gate")
    assert (await line.hear()).status == 408
    assert await line.is_closed()


async def test_connection_that_says_nothing_is_given_up(
    socket: Socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "REQUEST_SECONDS_MAX", 0.05)
    line = await socket.connect()
    assert await line.is_closed()


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([f"X-Padding: {'x' * 40_000}"], id="one long"),
        pytest.param([f"X-{n}: {'x' * 1000}" for n in range(40)], id="long together"),
        pytest.param([f"X-{n}: 1" for n in range(101)], id="many"),
    ],
)
async def test_headers_over_the_limit_are_refused(socket: Socket, headers: list[str]) -> None:
    line = await socket.connect()
    line.write(socket.head(*headers))
    heard = await line.hear()
    assert (heard.status, heard.code) == (431, "BODY_TOO_LARGE")
    assert heard.headers["content-type"] == "application/problem+json"
    assert await line.is_closed()


async def test_target_over_the_limit_is_refused(socket: Socket) -> None:
    line = await socket.connect()
    line.write(b"GET /v1/orders?filter=" + b"x" * 17_000 + b" HTTP/1.1\r\nHost: gateway\r\n\r\n")
    heard = await line.hear()
    assert (heard.status, heard.code) == (414, "BODY_TOO_LARGE")
    assert heard.headers["content-type"] == "application/problem+json"
    assert await line.is_closed()


async def test_target_without_end_is_refused_while_it_grows(socket: Socket) -> None:
    line = await socket.connect()
    line.write(b"GET /")
    for _ in range(20):
        line.write(b"x" * 1024)
    assert (await line.hear()).status == 414


async def test_longest_filter_and_page_token_fit(socket: Socket) -> None:
    line = await socket.connect()
    escaped = b"%C3%A4" * 1000
    line.write(b"GET /v1/orders?filter=%b&pageToken=%b HTTP/1.1\r\n" % (escaped, b"x" * 4000))
    line.write(b"Host: gateway\r\n\r\n")
    assert (await line.hear()).status == 401


async def test_header_without_end_is_refused_while_it_grows(socket: Socket) -> None:
    line = await socket.connect()
    line.write(b"GET / HTTP/1.1\r\nX-Padding: ")
    for _ in range(40):
        line.write(b"x" * 1024)
        await line.writer.drain()
    assert (await line.hear()).status == 431


@pytest.mark.parametrize(
    "request_line",
    [b"NONSENSE\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"],
)
async def test_what_is_no_request_is_answered_with_a_problem(socket: Socket, request_line: bytes) -> None:
    line = await socket.connect()
    line.write(request_line)
    heard = await line.hear()
    assert heard.status == 400
    assert heard.headers["content-type"] == "application/problem+json"


async def test_length_and_chunks_together_are_refused(socket: Socket) -> None:
    line = await socket.connect()
    line.write(socket.head("Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n")
    assert (await line.hear()).status == 400
    assert not socket.mesh.order.seen


async def test_caller_that_hangs_up_is_not_missed(socket: Socket) -> None:
    line = await socket.connect()
    line.write(socket.head("Content-Length: 100") + b"{")
    await line.writer.drain()
    line.writer.close()
    await line.writer.wait_closed()
    later = await socket.connect()
    later.write(socket.head(f"Content-Length: {len(ORDER)}") + ORDER)
    assert (await later.hear()).status == 202


async def test_body_longer_than_it_says_is_cut_and_the_rest_is_no_order(socket: Socket) -> None:
    line = await socket.connect()
    line.write(socket.head("Content-Length: 10") + ORDER)
    heard = await line.hear()
    assert (heard.status, heard.code) == (400, "MALFORMED_BODY")
    async with asyncio.timeout(CALL_SECONDS):
        await line.reader.read()  # to the end: what follows is no request, so the connection is closed
    assert not socket.mesh.order.seen


async def test_body_shorter_than_it_says_is_no_order(socket: Socket) -> None:
    line = await socket.connect()
    line.write(socket.head(f"Content-Length: {len(ORDER) + 50}") + ORDER)
    heard = await line.hear()
    assert (heard.status, heard.code) == (408, "MALFORMED_BODY")
    assert not socket.mesh.order.seen


@pytest.mark.parametrize("lengths", [("5", "6"), ("5, 6",), ("+5",), ("0x5",), ("5 5",), ("-1",)])
async def test_length_that_can_be_read_two_ways_is_refused(socket: Socket, lengths: tuple[str, ...]) -> None:
    line = await socket.connect()
    line.write(socket.head(*(f"Content-Length: {length}" for length in lengths)) + b"12345")
    assert (await line.hear()).status == 400
    assert not socket.mesh.order.seen


async def test_connections_over_the_limit_are_told_so_and_closed(tmp_path: Path) -> None:
    async with (
        running_mesh(tmp_path, connections_max=1) as mesh,
        served(mesh.gateway, mesh.settings) as port,
    ):
        socket = Socket(mesh, port)
        first = await socket.connect()
        first.write(b"GET /health/live HTTP/1.1\r\nHost: gateway\r\n\r\n")
        assert (await first.hear()).status == 200
        second = await socket.connect()
        heard = await second.hear()
        assert (heard.status, heard.code) == (503, "OVERLOADED")
        assert heard.headers["retry-after"] == "1"
        assert json.loads(heard.body)["retryAfterSeconds"] == 1
        assert await second.is_closed()
        first.write(b"GET /health/live HTTP/1.1\r\nHost: gateway\r\n\r\n")
        assert (await first.hear()).status == 200


async def test_caller_that_does_not_read_its_answer_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ANSWER_SECONDS_MAX", 0.05)
    path = str(tmp_path / "gateway.sock")
    async with running_mesh(tmp_path) as mesh:
        mesh.order.answers(
            "GetOrder", order_service_pb2.GetOrderResponse(order=order_pb2.Order(memo="m" * 6_000_000))
        )
        config = server_config(mesh.gateway, mesh.settings)
        config.uds = path  # its buffers are small everywhere
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        try:
            reader, writer = await asyncio.open_unix_connection(path, limit=1024)
            token = mesh.bearer()["Authorization"]
            head = f"GET /v1/orders/ord_1 HTTP/1.1\r\nHost: gateway\r\nAuthorization: {token}\r\n\r\n"
            writer.write(head.encode())
            async with asyncio.timeout(CALL_SECONDS):
                await reader.readexactly(1)  # it has begun
                await _until(lambda: not server.server_state.connections)
            writer.close()
        finally:
            await server.shutdown()


async def _until(holds: Callable[[], bool]) -> None:
    clock, never = SystemClock(), asyncio.Event()
    while not holds():
        await clock.wait(never, timedelta(milliseconds=10))
