"""An order's stages: all in one step when all goes well, each for itself when something does not."""

from datetime import timedelta

import pytest
from ordermesh.connector.v1 import connector_service_pb2
from ordermesh.operations.v1 import operations_service_pb2, operations_service_pb2_grpc
from ordermesh.order.v1 import order_pb2
from ordermesh.order.v1 import order_service_pb2 as pb

from libs.common.durable.lanes import OPEN_AFTER_FAILURES
from libs.common.errors import NotDone, OrdermeshError, OutcomeUnknown, Refused
from libs.common.ids import new_id
from tests.builders import ERP, a_submission, erp_customer
from tests.integration.services.test_orders import ORDER, calls, shown, submitted, with_master_data
from tests.integration.services.world import World

ALL_ASKED = ["availability", "credit", "tax", "together"]
WAY = ["OrderReceived", "OrderValidated", "OrderCreditCleared", "OrderAvailabilityConfirmed", "OrderTaxed"]
STAGES = ("stage:credit", "stage:availability", "stage:tax")
BUSY = timedelta(seconds=60)


async def handed_in(world: World, count: int) -> list[str]:
    """Orders that nothing was done about yet."""
    customer_id = await with_master_data(world)
    stub = await calls(world)
    requests = [a_submission(customer_id=customer_id, key=new_id("key")) for _ in range(count)]
    return [(await stub.SubmitOrder(request)).order_id for request in requests]


async def one_step(world: World) -> None:
    """Everything that is due now is tried once."""
    assert await world.apps["order"].relay.run_once()


async def told(world: World) -> list[str]:
    """What happened to the order, without what the CRM's answers add."""
    return [event for event in await world.events("order") if event != "OrderLinked"]


async def own_deliveries(world: World) -> dict[str, dict[str, int]]:
    """Stages that needed a delivery of their own."""
    states = {target: dict(await world.states("order", target)) for target in STAGES}
    return {target: counted for target, counted in states.items() if counted}


async def test_one_step_takes_an_order_through_all_stages_and_asks_each_question_once(world: World) -> None:
    order_id = await submitted(world)
    await one_step(world)
    assert sorted(world.erp.asked) == ALL_ASKED
    assert await told(world) == WAY
    assert await own_deliveries(world) == {}
    assert await world.heard("order") == [f"connector:{ERP}"]
    await world.settle()
    assert sorted(world.erp.asked) == ALL_ASKED
    assert (await shown(world, order_id)).state == order_pb2.ORDER_STATE_POSTED
    stages = "SELECT old_value, new_value FROM audit WHERE field = 'stage' AND rule = 'stage:validate'"
    assert [tuple(row.values()) for row in await world.rows("order", stages)] == [("VALIDATE", "POST")]


@pytest.mark.parametrize(
    ("question", "waits_at", "come"),
    [("credit", "stage:credit", 2), ("availability", "stage:availability", 3), ("tax", "stage:tax", 4)],
)
@pytest.mark.parametrize(
    "error", [NotDone("RECORD_LOCKED"), OutcomeUnknown("OUTCOME_UNKNOWN"), Refused("PRODUCT_UNKNOWN")]
)
async def test_a_question_without_an_answer_gets_a_delivery_of_its_own(
    world: World, question: str, waits_at: str, come: int, error: OrdermeshError
) -> None:
    order_id = await submitted(world)
    world.erp.leaves_open[question] = [error]
    await one_step(world)
    assert await told(world) == WAY[:come]
    assert await own_deliveries(world) == {waits_at: {"PENDING": 1}}
    tries = await world.rows("order", "SELECT state, attempt FROM delivery WHERE target = 'stage:validate'")
    assert [tuple(row.values()) for row in tries] == [("DELIVERED", 1)]
    await world.settle()
    assert (await told(world))[:5] == WAY
    assert (await shown(world, order_id)).state == order_pb2.ORDER_STATE_POSTED
    assert world.erp.asked.count(question) == 2


async def test_a_stage_of_its_own_retries_and_parks_as_itself_and_its_replay_goes_on_to_the_end(
    world: World,
) -> None:
    order_id = await submitted(world)
    gone = Refused("ERP_REFUSED", "the period is closed")
    world.erp.leaves_open["credit"] = [NotDone("RECORD_LOCKED"), NotDone("RECORD_LOCKED"), gone, gone]
    await world.settle()
    assert await own_deliveries(world) == {"stage:credit": {"RETRYING": 1}}
    world.pass_by(60)
    await world.settle()
    assert await own_deliveries(world) == {"stage:credit": {"PARKED": 1}}
    standstill = (await shown(world, order_id)).standstill
    assert standstill.reason == "ERP_REFUSED"

    desk = operations_service_pb2_grpc.OperationsServiceStub(await world.channel("order"))
    look = operations_service_pb2.PreviewExceptionRequest(exception_id=standstill.exception_id)
    assert (await desk.PreviewException(look)).preview.refusal_reason == "ERP_REFUSED"
    preview = (await desk.PreviewException(look)).preview
    assert {change.path: (change.old_value, change.new_value) for change in preview.differences} == {
        "stage": ("CREDIT", "POST")
    }
    replay = operations_service_pb2.ReplayExceptionRequest(
        exception_id=standstill.exception_id, idempotency_key="k1", reason="opened again"
    )
    await desk.ReplayException(replay)
    await world.settle()
    assert await own_deliveries(world) == {"stage:credit": {"DELIVERED": 1}}
    assert (await shown(world, order_id)).state == order_pb2.ORDER_STATE_POSTED


async def test_an_order_that_fails_validation_asks_nobody(world: World) -> None:
    await submitted(world)
    world.says(erp_customer("110", minute=5, inactive=True))
    await world.take_in("customer")
    await world.settle("customer")
    await one_step(world)
    assert await world.states("order", "stage:validate") == {"PARKED": 1}
    assert world.erp.asked == []


async def test_a_hold_drops_what_was_said_beyond_it_and_approval_asks_again(world: World) -> None:
    order_id = await submitted(world)
    world.erp.credit = connector_service_pb2.CREDIT_VERDICT_OVER_LIMIT
    await world.settle()
    order = await shown(world, order_id)
    assert (order.state, order.stage) == (order_pb2.ORDER_STATE_ON_HOLD, order_pb2.ORDER_STAGE_CREDIT)
    assert await told(world) == [*WAY[:2], "OrderHeld"]
    assert await own_deliveries(world) == {}

    world.erp.asked.clear()
    request = pb.ApproveOrderRequest(order_id=order_id, idempotency_key="k2", reason="an old friend")
    boss = world.machine.bearer("acme", "approver")
    await (await calls(world)).ApproveOrder(request, metadata=boss)
    await world.settle()
    assert sorted(world.erp.asked) == ["availability", "tax", "together"]
    assert await own_deliveries(world) == {"stage:availability": {"DELIVERED": 1}}
    assert (await shown(world, order_id)).state == order_pb2.ORDER_STATE_POSTED


async def test_an_order_corrected_while_the_erp_is_asked_is_asked_about_again(world: World) -> None:
    order_id = await submitted(world)
    stub = await calls(world)

    async def correct() -> None:
        await stub.CorrectOrder(
            pb.CorrectOrderRequest(order_id=order_id, idempotency_key="k2", reason="typo", memo="new")
        )

    world.erp.while_asked = correct
    await one_step(world)
    assert await told(world) == ["OrderReceived", "OrderCorrected", "OrderValidated"]
    assert await own_deliveries(world) == {"stage:credit": {"PENDING": 1}}
    await world.settle()
    (posted,) = world.erp.told_of(ORDER)
    assert posted.order.memo == "new"
    assert world.erp.asked.count("tax") == 2


@pytest.mark.parametrize("decision", ["hold", "cancel"])
async def test_an_order_that_people_stop_while_the_erp_is_asked_goes_no_further(
    world: World, decision: str
) -> None:
    order_id = await submitted(world)
    stub = await calls(world)

    async def decide() -> None:
        if decision == "hold":
            await stub.HoldOrder(pb.HoldOrderRequest(order_id=order_id, idempotency_key="k2", reason="wait"))
        else:
            await stub.CancelOrder(
                pb.CancelOrderRequest(order_id=order_id, idempotency_key="k2", reason="no")
            )

    world.erp.while_asked = decide
    await world.settle()
    assert await told(world) == ["OrderReceived", "OrderHeld" if decision == "hold" else "OrderCancelled"]
    assert not world.erp.told_of(ORDER)
    if decision == "hold":
        await stub.ReleaseOrder(pb.ReleaseOrderRequest(order_id=order_id, idempotency_key="k3", reason="go"))
        await world.settle()
        assert (await shown(world, order_id)).state == order_pb2.ORDER_STATE_POSTED


async def test_an_erp_that_asks_for_a_pause_is_left_alone_by_the_orders_that_follow(world: World) -> None:
    (first,) = await handed_in(world, 1)
    world.erp.leaves_open["credit"] = [NotDone("SYSTEM_THROTTLED", "slower", retry_after=BUSY)]
    await world.settle()
    assert await own_deliveries(world) == {"stage:credit": {"PENDING": 1}}
    world.erp.asked.clear()

    (second,) = await handed_in(world, 1)
    await world.settle()
    assert world.erp.asked == []
    assert await own_deliveries(world) == {"stage:credit": {"PENDING": 2}}

    world.pass_by(BUSY.total_seconds() + 1)
    await world.settle()
    for order_id in (first, second):
        assert (await shown(world, order_id)).state == order_pb2.ORDER_STATE_POSTED


async def test_a_tax_question_that_nobody_answers_holds_up_neither_credit_nor_availability(
    world: World,
) -> None:
    away = NotDone("SYSTEM_UNAVAILABLE", "the tax office is closed")
    world.erp.leaves_open["tax"] = [away] * (OPEN_AFTER_FAILURES + 1)
    await handed_in(world, OPEN_AFTER_FAILURES)
    await one_step(world)
    assert not world.apps["order"].relay.lanes["stage:tax"].is_sound(world.clock.now())
    world.erp.asked.clear()

    await handed_in(world, 1)
    await one_step(world)
    assert sorted(world.erp.asked) == ["availability", "credit", "together"]
    assert await own_deliveries(world) == {"stage:tax": {"PENDING": OPEN_AFTER_FAILURES + 1}}

    for _ in range(3):
        world.pass_by(60)
        await world.settle()
    assert len(world.erp.told_of(ORDER)) == OPEN_AFTER_FAILURES + 1
