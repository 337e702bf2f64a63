"""Orders: from the door to the last payment, over all four services."""

import asyncio

import pytest
from ordermesh.connector.v1 import change_pb2
from ordermesh.order.v1 import order_pb2, order_service_pb2_grpc
from ordermesh.order.v1 import order_service_pb2 as pb

from libs.common.durable.tx import Tx
from libs.common.errors import NotDone, OutcomeUnknown, Refused
from libs.common.testing.garbage import collector_off
from tests.builders import (
    CRM,
    ERP,
    a_submission,
    crm_customer,
    erp_customer,
    erp_invoice,
    erp_payment,
    erp_product,
    erp_progress,
)
from tests.integration.services.world import World

Stub = order_service_pb2_grpc.OrderServiceStub
ORDER = change_pb2.KIND_ORDER


async def calls(world: World) -> "order_service_pb2_grpc.OrderServiceAsyncStub":
    return Stub(await world.channel("order"))


async def with_master_data(world: World) -> str:
    """A customer and a product that everybody knows; the customer's id."""
    world.says(erp_customer("110"), crm_customer("001"), erp_product("7"))
    await world.run()
    names = await world.rows("order", "SELECT name FROM reference WHERE name LIKE 'customer/cus_%'")
    return str(names[0]["name"]).removeprefix("customer/")


async def submitted(world: World, key: str = "key-1") -> str:
    """Id of an order of 8 bolts at 12.50."""
    request = a_submission(customer_id=await with_master_data(world), key=key)
    return (await (await calls(world)).SubmitOrder(request)).order_id


async def shown(world: World, order_id: str) -> order_pb2.Order:
    return (await (await calls(world)).GetOrder(pb.GetOrderRequest(order_id=order_id))).order


async def test_an_order_goes_from_the_door_to_the_last_payment(world: World) -> None:
    order_id = await submitted(world)
    await world.run()
    order = await shown(world, order_id)
    assert (order.state, order.erp_number) == (order_pb2.ORDER_STATE_POSTED, "NO-ne-1")
    (posted,) = world.erp.told_of(ORDER)
    assert (posted.key, posted.reference_ids[order.customer_id]) == (order_id, "110")

    world.says(erp_progress("ne-1", order_id, change_pb2.ERP_ORDER_STATUS_ACCEPTED, minute=1))
    shipped = change_pb2.ERP_ORDER_STATUS_SHIPPED
    world.says(erp_progress("ne-1", order_id, shipped, minute=2, shipped={"BOLT": "8"}))
    world.says(erp_invoice("55", order_id=order_id))
    await world.run()
    world.says(erp_payment("9", invoice="55"))
    await world.run()

    order = await shown(world, order_id)
    assert order.state == order_pb2.ORDER_STATE_PAID
    assert order.lines[0].shipped_quantity.value == "8"
    states = [change.order.state for change in world.crm.told_of(ORDER)]
    assert states == sorted(states)
    assert states[0] == order_pb2.ORDER_STATE_RECEIVED
    assert states[-1] == order_pb2.ORDER_STATE_PAID
    assert len(world.erp.told_of(ORDER)) == 1


async def test_nothing_of_a_command_waits_for_the_garbage_collector(world: World) -> None:
    """What it holds is all that it has read and made, so each would make a pause longer."""
    with collector_off(Tx) as left:
        order_id = await submitted(world)
        await world.run()
        world.says(erp_invoice("55", order_id=order_id))
        await world.run()
        assert (await shown(world, order_id)).state == order_pb2.ORDER_STATE_INVOICED
        assert left() == []


async def test_a_submission_repeated_many_times_at_once_is_one_order(world: World) -> None:
    request = a_submission(customer_id=await with_master_data(world))
    stub = await calls(world)
    answers = await asyncio.gather(*(stub.SubmitOrder(request) for _ in range(20)))
    assert len({answer.SerializeToString() for answer in answers}) == 1
    assert await world.counts("order", "orders") == [1]


async def test_a_key_with_another_order_is_refused(world: World) -> None:
    await submitted(world)
    with pytest.raises(Refused) as refused:
        await submitted_with(world, quantity="9")
    assert refused.value.reason == "IDEMPOTENCY_KEY_REUSED"


async def submitted_with(world: World, quantity: str) -> None:
    customer_id = await with_master_data(world)
    await (await calls(world)).SubmitOrder(a_submission(customer_id=customer_id, skus={"BOLT": quantity}))


async def test_an_unknown_customer_and_sku_are_refused_together(world: World) -> None:
    with pytest.raises(Refused) as refused:
        await (await calls(world)).SubmitOrder(a_submission(skus={"NUT": "1"}))
    reasons = {violation.field: violation.reason for violation in refused.value.violations}
    assert reasons == {"order.sold_to": "CUSTOMER_UNKNOWN", "order.lines[0].sku": "PRODUCT_UNKNOWN"}
    assert await world.counts("order", "orders", "event", "idempotency") == [0, 0, 0]


async def test_an_erp_that_refuses_holds_the_order_up_and_a_lost_reply_books_it_once(world: World) -> None:
    order_id = await submitted(world)
    world.erp.refuses += [OutcomeUnknown("OUTCOME_UNKNOWN", "no answer"), NotDone("SYSTEM_UNAVAILABLE")]
    await world.run()
    assert await world.states("order", f"connector:{ERP}") == {"IN_DOUBT": 1}
    for _ in range(3):
        world.pass_by(60)
        await world.settle("order")
    assert (await shown(world, order_id)).state == order_pb2.ORDER_STATE_POSTED

    second = await submitted(world, key="key-2")
    world.erp.refuses += [Refused("ERP_REFUSED", "the period is closed")]
    await world.run()
    order = await shown(world, second)
    assert (order.state, order.standstill.reason) == (order_pb2.ORDER_STATE_RECEIVED, "ERP_REFUSED")
    assert [change.key for change in world.erp.told_of(ORDER)] == [order_id]


async def test_what_is_parked_on_the_way_to_the_erp_is_closed_once_the_erp_has_the_order(
    world: World,
) -> None:
    """Somebody has keyed the order into the ERP by hand."""
    order_id = await submitted(world)
    world.erp.refuses += [Refused("ERP_REFUSED", "the period is closed")]
    await world.run()
    assert await world.states("order", f"connector:{ERP}") == {"PARKED": 1}

    world.says(erp_progress("ne-9", order_id, change_pb2.ERP_ORDER_STATUS_ACCEPTED, minute=1))
    await world.run()

    order = await shown(world, order_id)
    assert (order.state, order.HasField("standstill")) == (order_pb2.ORDER_STATE_ACCEPTED, False)
    assert await world.states("order", f"connector:{ERP}") == {"DISCARDED": 1}
    told = await world.rows("order", "SELECT new_value FROM audit WHERE subject LIKE 'deliveries/%'")
    assert [row["new_value"] for row in told] == ["state=DISCARDED, because: SUPERSEDED"]
    assert not world.erp.told_of(ORDER)


async def test_an_order_cancelled_while_a_step_is_parked_leaves_nothing_in_the_queue(world: World) -> None:
    order_id = await submitted(world)
    await world.rows("order", "UPDATE delivery SET state = 'PARKED' WHERE target LIKE 'stage:%' RETURNING 1")
    request = pb.CancelOrderRequest(order_id=order_id, idempotency_key="k2", reason="changed their mind")
    await (await calls(world)).CancelOrder(request)
    assert await world.states("order", "stage:validate") == {"DISCARDED": 1}


async def test_an_order_cancelled_before_posting_never_reaches_the_erp(world: World) -> None:
    order_id = await submitted(world)
    request = pb.CancelOrderRequest(order_id=order_id, idempotency_key="k2", reason="changed their mind")
    await (await calls(world)).CancelOrder(request)
    await world.run()
    assert (await shown(world, order_id)).state == order_pb2.ORDER_STATE_CANCELLED
    assert not world.erp.told_of(ORDER)
    assert world.crm.told_of(ORDER)[-1].order.state == order_pb2.ORDER_STATE_CANCELLED


async def test_another_service_s_event_that_comes_twice_counts_once(world: World) -> None:
    order_id = await submitted(world)
    await world.run()
    world.says(erp_invoice("55", order_id=order_id, due="0"))
    await world.take_in("invoice")
    due_again = "UPDATE delivery SET state = 'PENDING' WHERE target = 'service:order' RETURNING 1"
    await world.settle()
    events = len(await world.events("order"))
    await world.rows("invoice", due_again)
    assert await world.settle("invoice") == 2
    assert len(await world.events("order")) == events
    assert (await shown(world, order_id)).state == order_pb2.ORDER_STATE_PAID


async def test_an_order_by_the_crm_s_account_id_is_the_same_customer_s(world: World) -> None:
    customer_id = await with_master_data(world)
    request = a_submission()
    request.order.sold_to.external.system, request.order.sold_to.external.external_id = CRM, "001"
    answer = await (await calls(world)).SubmitOrder(request)
    assert answer.order.customer_id == customer_id
