"""No minute has more calls than the vendor bears, in any order of what can befall Redis, processes and the way between.

Everything follows from a seed. Open this file when a seed fails: its number is in the test's name.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime, timedelta
from random import Random

import pytest
import redis.asyncio

from connectors.kit.budget import PROCESSES_MAX, SPAN, SharedBudget
from libs.common import redis_circuit
from libs.common.clock import SystemClock
from libs.common.errors import NotDone
from libs.common.redis_circuit import CIRCUIT
from libs.common.testing.stores import running_valkey

BUDGET = 40
STEPS = 300
CALLS = "ordermesh:budget:{erp}:calls"
RUN = "ordermesh:budget:{erp}:run"
ROUNDING = timedelta(milliseconds=5)
"""Redis counts whole milliseconds."""


class LeapingClock(SystemClock):
    """The machine's clock, which Redis reads, too; what is leapt over is added."""

    def __init__(self) -> None:
        self.leapt = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.leapt

    @property
    def leapt_ms(self) -> int:
        return int(self.leapt / timedelta(milliseconds=1))


class Way:
    """One process's own way to Redis. Cut, it hangs up on whoever comes."""

    def __init__(self, redis_port: int) -> None:
        self._redis_port = redis_port
        self._is_cut = False
        self._loses_answers = False
        self._open: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """URL of the way."""
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        server.close()
        self.cut()

    def cut(self) -> None:
        self._is_cut = True
        for writer in self._open:
            writer.transport.abort()

    def lose_answers(self) -> None:
        """Redis does what it is asked, and nobody hears of it."""
        self._loses_answers = True

    def mend(self) -> None:
        self._is_cut = self._loses_answers = False

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        back, out = await asyncio.open_connection("127.0.0.1", self._redis_port)
        ends = {writer, out}
        self._open |= ends
        with suppress(OSError):
            await asyncio.gather(self._carry(reader, out), self._carry(back, writer, is_answer=True))
        self._open -= ends
        for end in ends:
            end.transport.abort()

    async def _carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_answer: bool = False
    ) -> None:
        while data := await source.read(64 * 1024):
            if is_answer and self._loses_answers:
                break
            sink.write(data)
        sink.transport.abort()


class Account:
    """Processes that want as many calls as they can get, each with a way to one Redis that may be cut."""

    def __init__(
        self, client: "redis.asyncio.Redis", ways: list[Way], urls: list[str], chance: Random
    ) -> None:
        self.calls: list[tuple[datetime, datetime]] = []
        """When each call was asked for, and when it was granted."""
        self._client = client
        self._ways = ways
        self._urls = urls
        self._chance = chance
        self._clock = LeapingClock()
        self._processes = [self._start(url) for url in urls]
        self._snapshot: list[int] = []

    def _start(self, url: str) -> SharedBudget:
        return SharedBudget(url, "erp", BUDGET, clock=self._clock)

    async def close(self) -> None:
        for process in self._processes:
            await process.close()

    async def call(self) -> None:
        await self._call(self._chance.choice(self._processes), self._chance.randint(1, 12))

    async def call_all(self) -> int:
        """Calls granted when everybody wants all."""
        before = len(self.calls)
        for process in self._processes:
            await self._call(process, BUDGET)
        return len(self.calls) - before

    async def _call(self, process: SharedBudget, wanted: int) -> None:
        for _ in range(wanted):
            asked = self._clock.now()
            try:
                await process.spend()
            except NotDone:
                return
            self.calls.append((asked, self._clock.now()))

    async def time_passes(self) -> None:
        spans = (timedelta(seconds=1), CIRCUIT, SPAN / 4, SPAN / 2, SPAN - CIRCUIT)
        await self.leap(self._chance.choice(spans))

    async def leap(self, span: timedelta) -> None:
        """Redis's own clock cannot be moved, so what it has noted is moved the other way."""
        self._clock.leapt += span
        span_ms = int(span / timedelta(milliseconds=1))
        await self._put([int(time) - span_ms for time in await self._times()])

    async def process_restarts(self) -> None:
        seat = self._chance.randrange(len(self._processes))
        await self._processes[seat].close()
        self._processes[seat] = self._start(self._urls[seat])

    async def one_is_cut_off(self) -> None:
        self._chance.choice(self._ways).cut()

    async def one_hears_nothing(self) -> None:
        self._chance.choice(self._ways).lose_answers()

    async def all_are_cut_off(self) -> None:
        for way in self._ways:
            way.cut()

    async def one_is_back(self) -> None:
        self._chance.choice(self._ways).mend()

    async def all_are_back(self) -> None:
        for way in self._ways:
            way.mend()

    async def redis_is_emptied(self) -> None:
        await self._client.flushall()
        await self._client.script_flush()

    async def redis_drops_a_key(self) -> None:
        await self._client.delete(self._chance.choice((CALLS, RUN)))

    async def redis_saves(self) -> None:
        self._snapshot = [int(time) + self._clock.leapt_ms for time in await self._times()]

    async def redis_restarts(self) -> None:
        """With what it has saved, as another run."""
        await self._put([time - self._clock.leapt_ms for time in self._snapshot])
        await self._client.set(RUN, "the one before")

    async def _times(self) -> list[bytes | str]:
        times: list[bytes | str] = await self._client.lrange(CALLS, 0, -1)
        return times

    async def _put(self, times: list[int]) -> None:
        await self._client.delete(CALLS)
        if times:
            await self._client.rpush(CALLS, *times)


WHAT_HAPPENS: dict[Callable[[Account], Awaitable[None]], int] = {
    Account.call: 50,
    Account.time_passes: 20,
    Account.all_are_back: 4,
    Account.one_is_back: 4,
    Account.one_is_cut_off: 4,
    Account.one_hears_nothing: 2,
    Account.all_are_cut_off: 2,
    Account.process_restarts: 4,
    Account.redis_saves: 3,
    Account.redis_restarts: 2,
    Account.redis_is_emptied: 2,
    Account.redis_drops_a_key: 2,
}
"""How often, relative to each other."""


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine is no reason to take Redis for dead."""
    monkeypatch.setattr(redis_circuit, "TIMEOUT_SECONDS", 20.0)


@pytest.fixture(scope="module")
def own_redis() -> Iterator[str]:
    """One that may be emptied."""
    with running_valkey() as url:
        yield url


@asynccontextmanager
async def account(redis_url: str, chance: Random) -> AsyncIterator[Account]:
    async with AsyncExitStack() as opened:
        client = await opened.enter_async_context(redis.asyncio.Redis.from_url(redis_url))
        await client.flushall()
        port = client.connection_pool.connection_kwargs["port"]
        ways = [Way(port) for _ in range(PROCESSES_MAX)]
        urls = [await opened.enter_async_context(way.serving()) for way in ways]
        one = Account(client, ways, urls, chance)
        opened.push_async_callback(one.close)
        yield one


@pytest.mark.parametrize("seed", range(8))
async def test_no_minute_has_more_calls_than_the_vendor_bears(seed: int, own_redis: str) -> None:
    chance = Random(seed)
    async with account(own_redis, chance) as processes:
        for happens in chance.choices(list(WHAT_HAPPENS), list(WHAT_HAPPENS.values()), k=STEPS):
            await happens(processes)

        await processes.all_are_back()
        await processes.leap(SPAN)
        await processes.call_all()
        await processes.leap(SPAN)
        assert await processes.call_all() == BUDGET, "with Redis at hand, all of the budget is given again"

    for (asked, _), (_, granted) in zip(processes.calls, processes.calls[BUDGET:], strict=False):
        assert granted - asked >= SPAN - ROUNDING
