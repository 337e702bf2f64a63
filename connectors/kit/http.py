"""Calls to a vendor over HTTP. Open this file to see what is known about a call that failed.

httpx in front, aiohttp underneath: a call costs a tenth of the CPU of httpx's own transport (`benchmarks/`).
Of a call that fails, `REACHES` says how far its request came; `libs/common/reach.py` says what follows from that. What
an answer means is the connector's own table (`connectors/<system>/errors.py`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from time import perf_counter
from types import TracebackType
from typing import Protocol, Self

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from ordermesh.connector.v1 import change_pb2

from connectors.kit.tokens import Token, TokenCache
from libs.common.clock import Clock, SystemClock
from libs.common.durable.crash import crash_point
from libs.common.errors import OrdermeshError
from libs.common.metrics import VENDOR_CALLS
from libs.common.reach import Reach, after

KEPT_SECONDS = 4.0
"""How long an idle connection is kept; less than servers do, so that a dead one is rarely tried."""
RECORDED_BYTES_MAX = 256 * 1024
ADDRESSES_MAX = 256
"""Paths whose whole address is kept."""
REACHES: Sequence[tuple[type[Exception], Reach]] = (
    (aiohttp.ClientConnectorError, Reach.NOT_SENT),
    (aiohttp.ConnectionTimeoutError, Reach.NOT_SENT),
    (aiohttp.InvalidURL, Reach.NOT_SENT),
    (aiohttp.NonHttpUrlClientError, Reach.NOT_SENT),
    (aiohttp.ServerFingerprintMismatch, Reach.NOT_SENT),
    (aiohttp.ClientError, Reach.SENT),
    (httpx.ConnectError, Reach.NOT_SENT),
    (httpx.PoolTimeout, Reach.NOT_SENT),
    (httpx.UnsupportedProtocol, Reach.NOT_SENT),
    (httpx.InvalidURL, Reach.NOT_SENT),
    (httpx.HTTPError, Reach.SENT),
    (OSError, Reach.SENT),
)
"""How far the request came, by what was raised; the first that fits wins, and the cause is asked before what the
transport made of it: a server that hung up is reported as `httpx.ConnectTimeout`."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bounds of every call."""

    connect_seconds: float = 5.0
    read_seconds: float = 20.0
    """Longest silence between two bytes of the answer."""
    total_seconds: float = 30.0
    """Longest duration of one call, the token included: a vendor that sends a byte a second does not hold a lane."""
    concurrency_max: int = 5
    answer_bytes_max: int = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the vendor. `effect` says whether it can change anything there."""

    method: str
    path: str
    effect: bool
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""

    @property
    def operation(self) -> str:
        """What stands in lineage and logs: no query, which may hold data."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Answer:
    """The vendor's answer, read to its end."""

    call: Call
    status: int
    headers: httpx.Headers
    content: bytes

    @property
    def exchange(self) -> change_pb2.Exchange:
        """What is kept of the call; headers are left out because tokens travel there."""
        return change_pb2.Exchange(
            operation=self.call.operation,
            request_body=self.call.content[:RECORDED_BYTES_MAX],
            status=str(self.status),
            response_body=self.content[:RECORDED_BYTES_MAX],
        )


class Budget(Protocol):
    """Calls the vendor bears, shared by all processes that speak to it."""

    async def spend(self) -> None:
        """Takes one call; raises NotDone SYSTEM_THROTTLED with `retry_after` when none is left."""

    async def pause(self, span: timedelta) -> None:
        """Nobody calls for that long: the vendor asked to slow down."""


class Unlimited:
    """A budget without bounds, for tests and vendors that set none."""

    async def spend(self) -> None:
        return None

    async def pause(self, span: timedelta) -> None:
        return None


class Journey:
    """How far the requests of one call have come so far: what is known when its time is up."""

    def __init__(self) -> None:
        self.reach = Reach.NOT_SENT


class VendorHttp:
    """One vendor's HTTP interface: token, budget, bounds and the sorting of failures."""

    def __init__(
        self,
        base_url: str,
        fetch_token: "Callable[[VendorHttp], Awaitable[Token]] | None",
        *,
        limits: HttpLimits | None = None,
        budget: Budget | None = None,
        clock: Clock | None = None,
        expired: Callable[[Answer], bool] = lambda answer: answer.status == 401,
    ) -> None:
        self._limits = limits or HttpLimits()
        self._budget = budget or Unlimited()
        self._expired = expired
        self._slots = asyncio.Semaphore(self._limits.concurrency_max)
        self._tokens = TokenCache(lambda: fetch_token(self), clock or SystemClock()) if fetch_token else None
        self._transport = AiohttpTransport(client=self._session)
        self._client = httpx.AsyncClient(
            base_url=base_url,
            transport=self._transport,
            timeout=httpx.Timeout(self._limits.read_seconds, connect=self._limits.connect_seconds),
            follow_redirects=False,
        )
        self._timeout = self._client.timeout.as_dict()
        # By names in lower case, as a call's own header takes the place of the usual one however it is written.
        self._usual = {name: (name, value) for name, value in self._client.headers.items()}
        self._address = lru_cache(ADDRESSES_MAX)(lambda path: self._client.build_request("GET", path).url)

    def _session(self) -> aiohttp.ClientSession:
        """aiohttp would send a GET or PUT a second time by itself when a kept connection turns out to be dead: a repeat
        that no budget counts and no look-up precedes. There is no public switch for it.
        """
        connections = aiohttp.TCPConnector(
            limit=self._limits.concurrency_max, keepalive_timeout=KEPT_SECONDS, ssl=httpx.create_ssl_context()
        )
        session = aiohttp.ClientSession(connector=connections, cookie_jar=aiohttp.DummyCookieJar())
        session._retry_connection = False
        return session

    async def send(self, call: Call) -> Answer:
        """Answer of any status. A refused token is renewed once and the call repeated: a 401 has no effect."""
        return await self._in_time(call, self._send_with_token)

    async def send_plain(self, call: Call) -> Answer:
        """Like `send`, without token: for the token endpoint itself."""
        return await self._in_time(call, self._send_plain)

    async def _in_time(self, call: Call, send: Callable[[Call, Journey], Awaitable[Answer]]) -> Answer:
        journey = Journey()
        try:
            async with asyncio.timeout(self._limits.total_seconds):
                return await send(call, journey)
        except TimeoutError as error:
            raise ended(call, journey.reach, "the call took too long") from error

    async def _send_plain(self, call: Call, journey: Journey) -> Answer:
        await self._budget.spend()
        return await self._exchange(call, {}, journey)

    async def pause(self, span: timedelta) -> None:
        """The vendor asked to slow down; all processes that share the budget heed it."""
        await self._budget.pause(span)

    async def _send_with_token(self, call: Call, journey: Journey) -> Answer:
        if self._tokens is None:
            async with self._slots:
                return await self._send_plain(call, journey)
        for last in (False, True):
            token = await self._tokens.current()
            async with self._slots:
                await self._budget.spend()
                answer = await self._exchange(call, {"Authorization": f"Bearer {token.value}"}, journey)
            if last or not self._expired(answer):
                return answer
            self._tokens.drop(token)
            journey.reach = Reach.NOT_SENT
        raise AssertionError("unreachable: the second round returns")

    async def _exchange(self, call: Call, headers: Mapping[str, str], journey: Journey) -> Answer:
        request = self._request(call, headers)
        if call.effect:
            crash_point("before_vendor_call")
        journey.reach = Reach.SENT
        began, status = perf_counter(), ""
        try:
            # Past the client's own `send`: its redirects, hooks and log lines are not used and cost as much again.
            response = await self._transport.handle_async_request(request)
            names = {name.lower() for name, _ in response.headers.raw}
            if b"set-cookie" in names:
                self._client.cookies.extract_cookies(response)
            try:
                content = await self._read_bounded(response, is_packed=b"content-encoding" in names)
                status = str(response.status_code)
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError) as error:
            raise ended(call, reach_of(error), f"the call ended with {type(error).__name__}") from error
        finally:
            VENDOR_CALLS.at(call.method, status).observe(perf_counter() - began)
        if call.effect:
            crash_point("after_vendor_call")
        return Answer(call, response.status_code, response.headers, content)

    def _request(self, call: Call, headers: Mapping[str, str]) -> httpx.Request:
        """As `build_request` makes it, without joining and reading the same address anew, and without the headers that
        aiohttp adds by itself: 6 µs where that takes 50."""
        sent = dict(self._usual)
        for name, value in (*call.headers.items(), *headers.items()):
            sent[name.lower()] = name, value
        request = httpx.Request(
            call.method,
            self._address(call.path),
            params=dict(call.params) or None,
            headers=list(sent.values()),
            cookies=self._client.cookies,
            stream=httpx.ByteStream(call.content),
            extensions={"timeout": self._timeout},
        )
        # All that it takes, and it need not be found out from each of them.
        request.headers.encoding = "ascii"
        request.read()
        return request

    async def _read_bounded(self, response: httpx.Response, *, is_packed: bool) -> bytes:
        """httpx's own way of reading costs a tenth of a call, and is needed only where there is something to unpack."""
        assert isinstance(response.stream, httpx.AsyncByteStream)
        chunks, size = [], 0
        async for chunk in response.aiter_bytes() if is_packed else aiter(response.stream):
            size += len(chunk)
            if size > self._limits.answer_bytes_max:
                raise httpx.ReadError("the answer is longer than the limit")
            chunks.append(chunk)
        return b"".join(chunks)

    async def close(self) -> None:
        if self._tokens is not None:
            await self._tokens.close()
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def reach_of(error: Exception) -> Reach:
    """How far the request came that ended so."""
    for raised in (error.__cause__, error):
        for kind, reach in REACHES:
            if isinstance(raised, kind):
                return reach
    return Reach.SENT


def ended(call: Call, reach: Reach, detail: str) -> OrdermeshError:
    """What is known of a call that brought no usable answer."""
    return after(reach, effect=call.effect, detail=detail, not_done="SYSTEM_UNAVAILABLE")
