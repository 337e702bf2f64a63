"""Metrics of the services: how orders move is counted, and whose they are is not told."""

from ordermesh.order.v1 import order_service_pb2_grpc

from libs.common.metrics.declaring import REGISTRY
from tests.builders import a_submission
from tests.integration.services.test_orders import with_master_data
from tests.integration.services.world import World

MOVED = "ordermesh_transitions_total"


def moves(from_state: str, to_state: str) -> float:
    labels = {"collection": "orders", "from_state": from_state, "to_state": to_state}
    return REGISTRY.get_sample_value(MOVED, labels) or 0.0


async def test_each_order_is_counted_where_it_comes_in_and_where_it_moves_on(world: World) -> None:
    received, posted = moves("", "RECEIVED"), moves("RECEIVED", "POSTED")
    customer_id = await with_master_data(world)
    stub = order_service_pb2_grpc.OrderServiceStub(await world.channel("order"))
    ids = [
        (await stub.SubmitOrder(a_submission(customer_id=customer_id, key=key))).order_id
        for key in ("key-1", "key-2")
    ]
    await world.run()
    assert moves("", "RECEIVED") - received == 2
    assert moves("RECEIVED", "POSTED") - posted == 2
    values = {
        value
        for family in REGISTRY.collect()
        for sample in family.samples
        for value in sample.labels.values()
    }
    assert values.isdisjoint({*ids, customer_id, "acme", "globex", "key-1"})
