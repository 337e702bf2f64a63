"""How often a caller may ask, and what it is told about it."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from libs.common.clock import SystemClock
from libs.common.testing.clock import FakeClock
from tests.contract.test_gateway.mesh import Mesh, running_mesh


@pytest.fixture
def clock() -> FakeClock:
    """Stands still at the machine's time, for which tokens are made."""
    return FakeClock(SystemClock().now())


@pytest.fixture
async def mesh(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Mesh]:
    async with running_mesh(
        tmp_path,
        clock=clock,
        client_requests_per_minute=3 * 4,  # a gateway without Redis lives on a quarter
        tenant_requests_per_minute=5 * 4,
        bulk_requests_per_minute=1 * 4,
    ) as mesh:
        yield mesh


async def asked(mesh: Mesh, times: int, path: str = "/v1/orders/ord_1", **whose: str) -> list[int]:
    """Statuses of so many requests in a row."""
    headers = mesh.bearer(**whose)
    return [(await mesh.http.get(path, headers=headers)).status_code for _ in range(times)]


async def test_client_over_its_rate_is_told_when_to_come_back_in_header_and_body(mesh: Mesh) -> None:
    assert await asked(mesh, 3) == [200, 200, 200]
    answer = await mesh.get("/v1/orders/ord_1")
    assert answer.status_code == 429
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "20"
    problem = answer.json()
    assert problem["code"] == "RATE_LIMITED"
    assert problem["retryable"] is True
    assert problem["retryAfterSeconds"] == 20
    assert problem["facts"] == {
        "policy": "client",
        "quota": "12",
        "windowSeconds": "60",
        "remaining": "0",
        "resetSeconds": "60",
    }
    assert answer.headers["ratelimit"].startswith('"client";r=0;t=60, "tenant";')
    assert len(mesh.order.calls("GetOrder")) == 3


async def test_every_answer_says_which_quotas_hold_and_what_is_left(mesh: Mesh) -> None:
    answer = await mesh.get("/v1/orders/ord_1")
    policies = answer.headers["ratelimit-policy"]
    assert re.fullmatch(
        r'"client";q=12;w=60;pk=:[A-Za-z0-9+/]+=*:, "tenant";q=20;w=60;pk=:[A-Za-z0-9+/]+=*:', policies
    )
    assert re.fullmatch(r'"client";r=\d+;t=\d+, "tenant";r=\d+;t=\d+', answer.headers["ratelimit"])
    assert "acme" not in policies and "sf-integration" not in policies


async def test_a_refusal_says_what_is_left_too(mesh: Mesh) -> None:
    answer = await mesh.http.get("/v1/orders/ord_1?colour=red", headers=mesh.bearer())
    assert answer.status_code == 400
    assert "ratelimit" in answer.headers


async def test_strangers_are_told_nothing_of_quotas(mesh: Mesh) -> None:
    answer = await mesh.http.get("/v1/orders/ord_1")
    assert answer.status_code == 401
    assert "ratelimit" not in answer.headers and "ratelimit-policy" not in answer.headers


async def test_time_brings_requests_back(mesh: Mesh, clock: FakeClock) -> None:
    assert await asked(mesh, 4) == [200, 200, 200, 429]
    clock.advance(timedelta(seconds=20))
    assert await asked(mesh, 2) == [200, 429]


async def test_clients_of_one_tenant_share_its_rate_and_another_tenant_has_its_own(mesh: Mesh) -> None:
    assert await asked(mesh, 4, subject="one") == [200, 200, 200, 429]
    assert await asked(mesh, 3, subject="two") == [200, 200, 429]
    assert await asked(mesh, 1, subject="two", tenant="globex") == [200]


async def test_what_the_tenant_may_not_ask_costs_the_client_nothing(mesh: Mesh, clock: FakeClock) -> None:
    assert await asked(mesh, 3, subject="one") == [200, 200, 200]
    assert await asked(mesh, 8, subject="two") == [200, 200] + [429] * 6
    clock.advance(timedelta(seconds=12))  # one more for the tenant; "two" has one left of its own
    assert await asked(mesh, 2, subject="two") == [200, 429]


async def test_lists_have_a_quota_of_their_own_besides(mesh: Mesh) -> None:
    assert await asked(mesh, 2, "/v1/orders") == [200, 429]
    assert await asked(mesh, 1) == [200]


async def test_without_quotas_nothing_is_counted_or_told(tmp_path: Path) -> None:
    async with running_mesh(
        tmp_path,
        client_requests_per_minute=0,
        tenant_requests_per_minute=0,
        bulk_requests_per_minute=0,
    ) as mesh:
        answer = await mesh.get("/v1/orders")
        assert answer.status_code == 200
        assert "ratelimit" not in answer.headers
