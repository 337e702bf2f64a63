"""An order handed in by Salesforce ends paid in the ERP, once, whatever fails on the way."""

import pytest

from libs.cli.demo.faults import Wish
from libs.cli.mesh import Mesh
from libs.cli.stores import REDIS
from tests.e2e.journey import tell

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("mesh"),
    pytest.mark.timeout(240),
    pytest.mark.slow,
]


async def test_every_order_is_paid_once_while_vendors_fail(mesh: Mesh) -> None:
    outcome = await tell(mesh, Wish(orders=20, seed=1))
    assert outcome.verdict is not None
    assert outcome.verdict.faults == ()
    assert (outcome.verdict.paid, outcome.verdict.duplicates, outcome.verdict.lost) == (20, 0, 0)
    assert outcome.tally.unequal == []


async def test_the_refused_order_is_parked_with_reason_and_owner(mesh: Mesh) -> None:
    outcome = await tell(mesh, Wish(orders=2, seed=2))
    assert outcome.parked is not None
    assert outcome.parked.reason == "TAX_CODE_UNKNOWN"
    assert outcome.parked.owner == "OWNER_TEAM_FINANCE"
    assert outcome.parked.failure_class == "FAILURE_CLASS_BUSINESS"


@pytest.mark.faults
async def test_every_order_is_paid_once_while_a_service_is_killed_and_redis_is_away(mesh: Mesh) -> None:
    try:
        outcome = await tell(mesh, Wish(orders=20, seed=3, kill="order", stop_redis=True))
    finally:
        mesh.start_store(REDIS)
    assert outcome.verdict is not None
    assert outcome.verdict.holds, outcome.verdict.faults
    assert outcome.killed["order"] >= 1
