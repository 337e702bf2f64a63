"""The store that `make bench` takes away: commands over it are answered as ever, one at a time and many at once."""

import asyncio

from ordermesh.order.v1 import order_service_pb2_grpc

from benchmarks.null_order import NullStore
from tests.builders import a_submission
from tests.integration.services.test_orders import with_master_data
from tests.integration.services.world import World


async def test_orders_over_the_null_store_are_answered_and_kept_nowhere(world: World) -> None:
    customer_id = await with_master_data(world)
    unit = world.apps["order"].unit
    unit.store = NullStore(unit.store)
    stub = order_service_pb2_grpc.OrderServiceStub(await world.channel("order"))
    requests = [a_submission(customer_id=customer_id, key=f"key-{number}") for number in range(6)]
    for request in requests:
        request.order.ClearField("source")  # a link is looked at once it is written

    alone = await stub.SubmitOrder(requests.pop())
    together = await asyncio.gather(*(stub.SubmitOrder(request) for request in requests))

    assert len({answer.order_id for answer in (alone, *together)}) == 6
    assert await world.rows("order", "SELECT 1 FROM orders") == []
