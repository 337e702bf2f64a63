"""A spent quota is no dead session: calls stop, nobody logs in again, and one call a minute asks whether it is over."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from ordermesh.connector.v1 import change_pb2

from connectors.kit.budget import PAUSE_MAX, SharedBudget
from connectors.kit.simulator import serving
from connectors.salesforce import app
from connectors.salesforce.client import QUOTA_LOOK_EVERY
from connectors.salesforce.config import Settings
from connectors.salesforce.connector import SalesforceConnector
from connectors.salesforce.simulator.app import Options, build
from connectors.salesforce.simulator.web import DAILY_CALLS
from libs.common.durable.lanes import QUOTA_PAUSE, Lane, LanePolicy
from libs.common.errors import NotDone
from libs.common.testing.clock import FakeClock

ORDER = change_pb2.KIND_ORDER
WORKERS = 20
QUERY = "/query"
QUOTA, THROTTLED = "SYSTEM_QUOTA_SPENT", "SYSTEM_THROTTLED"
MOMENT = timedelta(milliseconds=1)


@dataclass
class Org:
    """A connector with a budget of its own, and the simulated org behind it."""

    connector: SalesforceConnector
    http: httpx.AsyncClient
    clock: FakeClock

    async def fault(self, **fault: object) -> None:
        (await self.http.post("/_sim/faults", json=fault)).raise_for_status()

    async def calls(self) -> int:
        """Requests that have reached the org, logins included."""
        return int((await self.http.get("/_sim/ledger")).json()["requests"]["total"])

    async def look(self) -> str:
        """What one look-up ends with: a reason, or nothing."""
        try:
            await self.connector.find_by_key(ORDER, "ord_1")
        except NotDone as error:
            return error.reason
        return ""


@asynccontextmanager
async def opened(folder: Path, daily_calls: int = DAILY_CALLS) -> AsyncIterator[Org]:
    secret = folder / "secret"
    secret.write_text("s\n")
    clock = FakeClock()
    async with (
        serving(build(Options(daily_calls=daily_calls))) as url,
        httpx.AsyncClient(base_url=url) as http,
    ):
        settings = Settings(
            base_url=url, client_id="ordermesh", client_secret_file=secret, concurrency_max=WORKERS
        )
        budget = SharedBudget(None, "salesforce", 0, clock=clock)
        connector = app.build(settings, budget=budget, clock=clock)
        yield Org(connector, http, clock)
        await connector.close()


@pytest.fixture
async def org(tmp_path: Path) -> AsyncIterator[Org]:
    async with opened(tmp_path) as org:
        yield org


@pytest.fixture
async def spent(tmp_path: Path) -> AsyncIterator[Org]:
    """An org that has one call left for today; the connector is logged in and has used it."""
    async with opened(tmp_path, daily_calls=1) as org:
        assert await org.look() == ""
        yield org


async def test_a_spent_quota_under_load_stops_all_calls_and_refreshes_no_token(spent: Org) -> None:
    before = await spent.calls()

    told = Counter(await asyncio.gather(*(spent.look() for _ in range(WORKERS))))
    struck = await spent.calls() - before
    assert set(told) <= {QUOTA, THROTTLED}
    assert told[QUOTA] == struck > 0  # each call that went out was told so: none of them was a login

    assert {await spent.look() for _ in range(50)} == {THROTTLED}
    assert await spent.calls() - before == struck


async def test_one_call_a_minute_asks_whether_there_is_quota_again(spent: Org) -> None:
    assert await spent.look() == QUOTA
    before = await spent.calls()

    for minute in range(1, 4):
        spent.clock.advance(QUOTA_LOOK_EVERY)
        assert [await spent.look() for _ in range(3)] == [QUOTA, THROTTLED, THROTTLED]
        assert await spent.calls() == before + minute


async def test_a_spent_quota_pauses_its_own_lane_and_spends_no_attempt(spent: Org) -> None:
    sick, well = (Lane(f"connector:{name}", LanePolicy()) for name in ("salesforce", "netsuite"))
    with pytest.raises(NotDone) as told:
        await spent.connector.find_by_key(ORDER, "ord_1")

    sick.failed(told.value, spent.clock.now())

    assert not sick.spends_attempt(told.value)
    assert sick.free(spent.clock.now() + QUOTA_PAUSE - MOMENT) == 0
    assert sick.free(spent.clock.now() + QUOTA_PAUSE) > 0
    assert well.free(spent.clock.now()) > 0


@pytest.mark.parametrize(
    ("asked", "pause"),
    [
        ("7", timedelta(seconds=7)),
        ("99999999999999999999", PAUSE_MAX),
        ("Fri, 31 Dec 9999 23:59:59 GMT", PAUSE_MAX),
    ],
)
async def test_a_pause_that_is_asked_for_is_kept_by_all_calls_and_ends(
    org: Org, asked: str, pause: timedelta
) -> None:
    await org.fault(kind="throttle", path=QUERY, retryAfter=asked)
    assert await org.look() == THROTTLED
    before = await org.calls()

    org.clock.advance(pause - MOMENT)
    assert await org.look() == THROTTLED
    assert await org.calls() == before
    org.clock.advance(MOMENT)
    assert await org.look() == ""


@pytest.mark.parametrize("asked", ["0", "-5", "soon", "1.5", "Wed, 21 Oct 2015 07:28:00 GMT", None])
async def test_no_form_of_a_pause_is_taken_for_a_failure_of_ours(org: Org, asked: str | None) -> None:
    hint = {} if asked is None else {"retryAfter": asked}
    await org.fault(kind="throttle", path=QUERY, **hint)

    assert [await org.look(), await org.look()] == [THROTTLED, ""]
