"""A feed that repeats itself, turns round, comes days late or speaks of strangers turns nothing back, stops nobody."""

import random
from collections.abc import Sequence

import pytest
from ordermesh.connector.v1 import change_pb2
from ordermesh.order.v1 import order_pb2

from libs.common.durable.tables import OPEN_STATES
from tests.builders import erp_invoice, erp_payment, erp_progress
from tests.integration.services.test_orders import ORDER, shown, submitted
from tests.integration.services.world import World

ACCEPTED, SHIPPED = change_pb2.ERP_ORDER_STATUS_ACCEPTED, change_pb2.ERP_ORDER_STATUS_SHIPPED
SEEDS = range(4)


def the_story(order_id: str) -> list[change_pb2.ExternalChange]:
    """What the ERP tells of one order, in order."""
    return [
        erp_progress("ne-1", order_id, ACCEPTED, minute=1),
        erp_progress("ne-1", order_id, SHIPPED, minute=2, shipped={"BOLT": "8"}),
        erp_invoice("55", order_id=order_id),
        erp_payment("9", invoice="55"),
    ]


async def tell(world: World, changes: Sequence[change_pb2.ExternalChange]) -> None:
    world.says(*changes)
    await world.run()


async def at_its_end(world: World, order_id: str) -> None:
    """Paid, told to the CRM without a step back, and nothing is left to do or parked."""
    assert (await shown(world, order_id)).state == order_pb2.ORDER_STATE_PAID
    told = [change.order.state for change in world.crm.told_of(ORDER)]
    assert told == sorted(told)
    assert told[-1] == order_pb2.ORDER_STATE_PAID
    for service in ("order", "invoice"):
        states = {
            str(row["state"]) for row in await world.rows(service, "SELECT DISTINCT state FROM delivery")
        }
        assert not states & {*OPEN_STATES, "PARKED"}, service


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_feed_that_repeats_and_turns_round_ends_where_the_story_ends(world: World, seed: int) -> None:
    order_id = await submitted(world)
    await world.run()
    told = the_story(order_id) * 3
    random.Random(seed).shuffle(told)

    await tell(world, told)
    while (await shown(world, order_id)).state != order_pb2.ORDER_STATE_PAID:
        world.pass_by(600)  # what came before what it needs is tried again
        await world.run()

    await at_its_end(world, order_id)


async def test_news_that_come_days_late_turn_nothing_back(world: World) -> None:
    order_id = await submitted(world)
    await world.run()
    story = the_story(order_id)
    for change in story:
        await tell(world, [change])
    await at_its_end(world, order_id)
    before = await shown(world, order_id)

    world.pass_by(5 * 24 * 3600)
    await tell(world, story[:2])

    assert await shown(world, order_id) == before
    await at_its_end(world, order_id)


async def test_news_of_records_nobody_knows_hold_up_nobody(world: World) -> None:
    """Orders, invoices and payments that somebody entered in the ERP by hand."""
    order_id = await submitted(world)
    await world.run()
    first, *rest = the_story(order_id)
    strangers = [
        erp_progress("ne-77", "ord_unknown", SHIPPED, minute=1),
        erp_invoice("66", order_id="ord_unknown"),
        erp_payment("10", invoice="no such invoice"),
    ]

    for change in (*strangers, first, *strangers, *rest):
        await tell(world, [change])

    assert (await shown(world, order_id)).state == order_pb2.ORDER_STATE_PAID
    assert await world.rows("order", "SELECT 1 FROM orders WHERE record_id = 'ord_unknown'") == []
