"""Calls to a vendor over HTTP. Open this file to see what is known about a call that failed.

httpx in front, aiohttp underneath: a call costs a tenth of the CPU of httpx's own transport (`benchmarks/`).
A failed call is sorted here, in one place, by whether the request can have reached the vendor:

    no connection was made, or waiting for one took too long   NotDone
    anything after that, for a read                            NotDone (reading has no effect)
    anything after that, for a write                           OutcomeUnknown

What an answer means is the connector's own table (`connectors/<system>/errors.py`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import TracebackType
from typing import Protocol, Self

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from ordermesh.connector.v1 import change_pb2

from libs.common.clock import Clock, SystemClock
from libs.common.errors import NotDone, OrdermeshError, OutcomeUnknown

KEPT_SECONDS = 4.0
"""How long an idle connection is kept; less than servers do, so that a dead one is rarely tried."""
RECORDED_BYTES_MAX = 256 * 1024
NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
"""Causes that prove that no byte of the request left. `ServerDisconnectedError` is not one of them, although the
transport reports it as `httpx.ConnectTimeout`."""


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


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and until when to use it; vendors that state no lifetime get a long one."""

    value: str
    use_until: datetime


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


class TokenCache:
    """Fetches a token once, however many calls wait for it."""

    def __init__(self, fetch: Callable[[], Awaitable[Token]], clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._token: Token | None = None
        self._lock = asyncio.Lock()

    async def current(self) -> Token:
        async with self._lock:
            if self._token is None or self._clock.now() >= self._token.use_until:
                self._token = await self._fetch()
            return self._token

    def drop(self, token: Token) -> None:
        """The vendor refused it; a newer one that came meanwhile stays."""
        if self._token is token:
            self._token = None


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
        self._client = httpx.AsyncClient(
            base_url=base_url,
            transport=AiohttpTransport(client=self._session),
            timeout=httpx.Timeout(self._limits.read_seconds, connect=self._limits.connect_seconds),
            follow_redirects=False,
        )

    def _session(self) -> aiohttp.ClientSession:
        """aiohttp would send a GET or PUT a second time by itself when a kept connection turns out to be dead: a repeat
        that no budget counts and no look-up precedes. There is no public switch for it.
        """
        connections = aiohttp.TCPConnector(
            limit=self._limits.concurrency_max, keepalive_timeout=KEPT_SECONDS, ssl=httpx.create_ssl_context()
        )
        session = aiohttp.ClientSession(connector=connections)
        session._retry_connection = False
        return session

    async def send(self, call: Call) -> Answer:
        """Answer of any status. A refused token is renewed once and the call repeated: a 401 has no effect."""
        try:
            async with asyncio.timeout(self._limits.total_seconds):
                return await self._send_with_token(call)
        except TimeoutError as error:
            raise lost(call, "the call took too long") from error

    async def send_plain(self, call: Call) -> Answer:
        """Like `send`, without token: for the token endpoint itself."""
        await self._budget.spend()
        return await self._exchange(call, {})

    async def pause(self, span: timedelta) -> None:
        """The vendor asked to slow down; all processes that share the budget heed it."""
        await self._budget.pause(span)

    async def _send_with_token(self, call: Call) -> Answer:
        if self._tokens is None:
            async with self._slots:
                return await self.send_plain(call)
        for last in (False, True):
            token = await self._tokens.current()
            async with self._slots:
                await self._budget.spend()
                answer = await self._exchange(call, {"Authorization": f"Bearer {token.value}"})
            if last or not self._expired(answer):
                return answer
            self._tokens.drop(token)
        raise AssertionError("unreachable: the second round returns")

    async def _exchange(self, call: Call, headers: Mapping[str, str]) -> Answer:
        request = self._client.build_request(
            call.method,
            call.path,
            params=dict(call.params) or None,
            headers={**call.headers, **headers},
            content=call.content or None,
        )
        try:
            response = await self._client.send(request, stream=True)
            try:
                content = await self._read_bounded(response)
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError) as error:
            raise failed(call, error) from error
        return Answer(call, response.status_code, response.headers, content)

    async def _read_bounded(self, response: httpx.Response) -> bytes:
        chunks, size = [], 0
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > self._limits.answer_bytes_max:
                raise httpx.ReadError("the answer is longer than the limit")
            chunks.append(chunk)
        return b"".join(chunks)

    async def close(self) -> None:
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def failed(call: Call, error: Exception) -> OrdermeshError:
    """What is known after a call that brought no answer."""
    if isinstance(error, httpx.ConnectError | httpx.PoolTimeout) or isinstance(error.__cause__, NOT_SENT):
        return NotDone("SYSTEM_UNAVAILABLE", f"no connection ({type(error).__name__})")
    return lost(call, f"the connection was lost ({type(error).__name__})")


def lost(call: Call, detail: str) -> OrdermeshError:
    """The request may have arrived: in doubt for a write, to be repeated for a read."""
    return OutcomeUnknown("OUTCOME_UNKNOWN", detail) if call.effect else NotDone("SYSTEM_UNAVAILABLE", detail)
