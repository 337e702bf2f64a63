"""What a connector's HTTP client knows after an answer that never came whole: real sockets, broken byte by byte."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from connectors.kit.http import Call, HttpLimits, VendorHttp
from connectors.kit.tokens import Token
from connectors.netsuite import client as netsuite_client
from libs.common.errors import NotDone, OrdermeshError, OutcomeUnknown
from libs.common.testing.rawhttp import (
    Behave,
    RawServer,
    Visit,
    bomb,
    broken_chunks,
    broken_packing,
    cut_short,
    dripping,
    dripping_head,
    endless,
    hung_up,
    long_head,
    no_http,
    silent,
)

READ, WRITE = (Call("GET", "/record", effect=False), Call("PUT", "/record", effect=True, content=b"{}"))
IMPATIENT = HttpLimits(read_seconds=1.0, total_seconds=2.0)
SMALL = HttpLimits(answer_bytes_max=1024 * 1024)
WORKERS = 20
TRIES_MAX = 5
FOREVER = datetime.max.replace(tzinfo=UTC)


@asynccontextmanager
async def client(url: str, limits: HttpLimits | None = None) -> AsyncIterator[VendorHttp]:
    async with VendorHttp(url, None, limits=limits) as http:
        yield http


async def failure(http: VendorHttp, call: Call) -> OrdermeshError:
    with pytest.raises(OrdermeshError) as failed:
        await http.send(call)
    return failed.value


async def kinds(behave: Behave, limits: HttpLimits | None = None) -> tuple[type, type]:
    """What a read and a write end with whose requests have arrived: a machine may be too slow for a short limit."""
    async with RawServer(behave) as server, client(server.url, limits) as http:
        read = await failure(http, READ)
        for _ in range(TRIES_MAX):
            server.requests.clear()
            write = await failure(http, WRITE)
            if server.requests:
                return type(read), type(write)
    raise AssertionError("no request ever arrived")


async def test_a_vendor_that_takes_too_long_over_an_answer_leaves_a_write_in_doubt_and_a_read_undone() -> (
    None
):
    """Silence with the connection open, a byte at a time, a header that never ends: each is given up in time."""
    behaviours = (silent, dripping, dripping_head)
    found = await asyncio.gather(*(kinds(behave, IMPATIENT) for behave in behaviours))

    assert found == [(NotDone, OutcomeUnknown)] * len(behaviours)


@pytest.mark.parametrize("behave", [hung_up, cut_short, no_http, broken_chunks, broken_packing, long_head])
async def test_an_answer_that_breaks_leaves_a_write_in_doubt_and_a_read_undone(behave: Behave) -> None:
    assert await kinds(behave) == (NotDone, OutcomeUnknown)


@pytest.mark.parametrize("behave", [endless, bomb])
async def test_an_answer_larger_than_the_limit_is_cut_off_and_not_held(behave: Behave) -> None:
    assert await kinds(behave, SMALL) == (NotDone, OutcomeUnknown)


async def test_a_connection_that_was_never_made_is_not_done_even_for_a_write() -> None:
    """Refused; a listener whose queue is full; a server that never ends the TLS handshake."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port, refusing = deaf.getsockname()[1], nobody.getsockname()[1]
        limits = HttpLimits(connect_seconds=0.5)
        async with RawServer(silent) as server:
            urls = (
                f"http://127.0.0.1:{refusing}",
                f"http://127.0.0.1:{port}",
                server.url.replace("http:", "https:"),
            )
            fillers = [socket.socket() for _ in range(4)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            found = await asyncio.gather(*(_write_fails(url, limits) for url in urls))
            assert not server.requests
            for filler in fillers:
                filler.close()

    assert found == [NotDone] * len(urls)


async def _write_fails(url: str, limits: HttpLimits) -> type[OrdermeshError]:
    async with client(url, limits) as http:
        return type(await failure(http, WRITE))


async def test_a_write_that_waited_for_its_token_until_its_time_was_up_is_not_done() -> None:
    """The token's endpoint says nothing: the write itself was never sent."""

    async def fetch(http: VendorHttp) -> Token:
        await http.send_plain(Call("POST", "/token", effect=False))
        raise AssertionError("the endpoint is silent")

    async with (
        RawServer(silent) as server,
        VendorHttp(server.url, fetch, limits=HttpLimits(total_seconds=0.3)) as http,
    ):
        error = await failure(http, WRITE)

        assert (type(error), error.reason) == (NotDone, "SYSTEM_UNAVAILABLE")
        assert {visit.path for visit in server.requests} <= {"/token"}


class Doorkeeper:
    """A vendor with tokens: `POST /token` makes the next one, everything else wants the newest."""

    def __init__(self) -> None:
        self.issued = 0
        self.refuses_logins = False
        self.asked_for_tokens = 0
        self.asked, self.gate = asyncio.Event(), asyncio.Event()
        self.gate.set()

    async def behave(self, visit: Visit) -> None:
        if visit.path == "/token":
            self.asked_for_tokens += 1
            self.asked.set()
            await self.gate.wait()
            if self.refuses_logins:
                await visit.answer("400 Bad Request")
                return
            self.issued += 1
            await visit.answer(body=str(self.issued).encode())
        elif visit.header("Authorization") == f"Bearer {self.issued}":
            await visit.answer()
        else:
            await visit.answer("401 Unauthorized")

    async def fetch(self, http: VendorHttp) -> Token:
        answer = await http.send_plain(Call("POST", "/token", effect=False))
        if answer.status != 200:
            raise NotDone("SYSTEM_CREDENTIALS")
        return Token(answer.content.decode(), FOREVER)


async def test_a_token_that_dies_under_twenty_workers_is_renewed_once() -> None:
    keeper = Doorkeeper()
    async with (
        RawServer(keeper.behave) as server,
        VendorHttp(server.url, keeper.fetch, limits=HttpLimits(concurrency_max=WORKERS)) as http,
    ):
        await http.send(WRITE)
        keeper.issued += 1  # whoever holds the token from before is told 401

        answers = await asyncio.gather(*(http.send(WRITE) for _ in range(WORKERS)))

        assert {answer.status for answer in answers} == {200}
        assert keeper.asked_for_tokens == 2


async def test_a_login_that_is_refused_under_twenty_workers_is_one_bad_login() -> None:
    """Each of twenty would count, and a series of bad logins locks the user."""
    keeper = Doorkeeper()
    keeper.refuses_logins = True
    keeper.gate.clear()
    async with (
        RawServer(keeper.behave) as server,
        VendorHttp(server.url, keeper.fetch, limits=HttpLimits(concurrency_max=WORKERS)) as http,
    ):
        calls = [asyncio.create_task(http.send(WRITE)) for _ in range(WORKERS)]
        await keeper.asked.wait()
        keeper.gate.set()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)

        assert {(type(each), getattr(each, "reason", "")) for each in outcomes} == {
            (NotDone, "SYSTEM_CREDENTIALS")
        }
        assert keeper.asked_for_tokens == 1

        keeper.refuses_logins = False
        assert (await http.send(WRITE)).status == 200


async def test_a_worker_that_leaves_while_a_token_is_fetched_stops_it_for_nobody() -> None:
    keeper = Doorkeeper()
    keeper.gate.clear()
    async with RawServer(keeper.behave) as server, VendorHttp(server.url, keeper.fetch) as http:
        leaving, staying = (asyncio.create_task(http.send(WRITE)) for _ in range(2))
        await keeper.asked.wait()
        leaving.cancel()
        await asyncio.wait([leaving])
        keeper.gate.set()

        assert (await staying).status == 200
        assert keeper.asked_for_tokens == 1


async def test_a_token_that_stays_refused_is_renewed_once_and_no_more() -> None:
    async def never_enough(visit: Visit) -> None:
        await visit.answer("200 OK" if visit.path == "/token" else "401 Unauthorized", b"x")

    async with RawServer(never_enough) as server, VendorHttp(server.url, Doorkeeper().fetch) as http:
        answer = await http.send(WRITE)

        assert answer.status == 401
        assert [visit.path for visit in server.requests] == ["/token", "/record"] * 2


async def test_a_dead_connection_from_the_pool_never_sends_a_write_twice() -> None:
    """The server hangs up on the second request of a connection: the write is told in doubt, not sent again."""

    async def once(visit: Visit) -> None:
        if visit.number == 1:
            await visit.answer()
        else:
            visit.hang_up()

    async with RawServer(once) as server, client(server.url) as http:
        await http.send(READ)
        error = await failure(http, WRITE)

        assert type(error) is OutcomeUnknown
        assert [visit.number for visit in server.requests] == [1, 2]


async def test_no_more_calls_are_in_flight_than_the_vendor_bears() -> None:
    in_flight: list[int] = []
    now, most = 0, 0
    full = asyncio.Event()

    async def count(visit: Visit) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        in_flight.append(now)
        if now == 3:
            full.set()
        await full.wait()
        await asyncio.sleep(0)
        now -= 1
        await visit.answer()

    limits = HttpLimits(concurrency_max=3, total_seconds=timedelta(seconds=50).total_seconds())
    async with RawServer(count) as server, client(server.url, limits) as http:
        await asyncio.gather(*(http.send(READ) for _ in range(30)))

    assert (len(in_flight), most) == (30, 3)


async def test_pages_without_end_are_given_up_and_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netsuite_client, "ROWS_MAX", 5 * netsuite_client.PAGE_MAX)

    async def always_more(visit: Visit) -> None:
        await visit.answer(body=b'{"items": [{"id": "1"}], "hasMore": true}')

    async with RawServer(always_more) as server, client(server.url) as http:
        with pytest.raises(NotDone) as given_up:
            await netsuite_client.NetSuiteClient(http).query_all(
                "SELECT id FROM t WHERE id IN ({ids})", ["1"]
            )

        assert given_up.value.reason == "SYSTEM_UNAVAILABLE"
        assert len(server.requests) == 5


async def test_a_cookie_that_the_vendor_sets_is_sent_with_later_calls() -> None:
    """Some vendors keep a client at one of their machines that way."""

    async def set_once(visit: Visit) -> None:
        await (visit.answer(Set_Cookie="place=7; Path=/") if visit.number == 1 else visit.answer())

    async with RawServer(set_once) as server, client(server.url) as http:
        await http.send(READ)
        await http.send(READ)

        assert [visit.header("cookie") for visit in server.requests] == ["", "place=7"]


async def test_a_header_of_a_call_takes_the_place_of_the_usual_one_however_it_is_written() -> None:
    call = Call("POST", "/query", effect=False, headers={"ACCEPT": "text/csv", "Prefer": "transient"})

    async with RawServer(Visit.answer) as server, client(server.url) as http:
        await http.send(call)
        await http.send(READ)

        told = [(visit.header("accept"), visit.header("prefer")) for visit in server.requests]
        assert told == [("text/csv", "transient"), ("*/*", "")]
        assert server.requests[0].header("content-length") == "0"
