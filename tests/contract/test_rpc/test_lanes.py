"""Bulk calls in a service: a few at a time, and never in the way of orders."""

import asyncio

import pytest
from ordermesh.order.v1 import order_service_pb2 as pb
from ordermesh.order.v1 import order_service_pb2_grpc

from libs.common.context import using
from libs.common.errors import NotDone
from libs.common.rpc import lanes
from libs.common.rpc.call import ServicerContext
from libs.common.rpc.contract import BULK, FILES, methods
from libs.common.testing.rpc import OneMachine

REGISTER = order_service_pb2_grpc.add_OrderServiceServicer_to_server
CORRECTION = pb.HoldOrderRequest(order_id="ord_1", idempotency_key="k", reason="why")


class Listing(order_service_pb2_grpc.OrderServiceServicer):
    """Lists hang until they are let go."""

    def __init__(self) -> None:
        self.running = 0
        self.entered = asyncio.Event()
        self.released = asyncio.Event()

    async def ListOrders(  # noqa: N802
        self, request: pb.ListOrdersRequest, context: ServicerContext
    ) -> pb.ListOrdersResponse:
        self.running += 1
        self.entered.set()
        await self.released.wait()
        return pb.ListOrdersResponse()

    async def HoldOrder(  # noqa: N802
        self, request: pb.HoldOrderRequest, context: ServicerContext
    ) -> pb.HoldOrderResponse:
        return pb.HoldOrderResponse()


async def test_lists_wait_for_each_other_while_other_calls_are_answered(
    mesh: OneMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "WAITING_MAX", 1)
    mesh.settings = mesh.settings.model_copy(update={"bulk_rpcs_max": 1})
    servicer = Listing()  # type: ignore[abstract]  # the other methods answer UNIMPLEMENTED
    async with mesh.serving((REGISTER, servicer)) as address, mesh.channel(address) as channel:
        stub = order_service_pb2_grpc.OrderServiceStub(channel)
        with using(mesh.context("acme")):
            first = asyncio.ensure_future(stub.ListOrders(pb.ListOrdersRequest()))
            async with asyncio.timeout(20):
                await servicer.entered.wait()
            others = [asyncio.ensure_future(stub.ListOrders(pb.ListOrdersRequest())) for _ in range(2)]
            done, waiting = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED, timeout=20)
            [refused] = done
            assert isinstance(refused.exception(), NotDone)
            await stub.HoldOrder(CORRECTION)
            assert servicer.running == 1
            servicer.released.set()
            await asyncio.gather(first, *waiting)
            assert servicer.running == 2


def test_every_method_that_answers_with_pages_is_bulk() -> None:
    paged = {
        f"/{service.full_name}/{method.name}"
        for file in FILES
        for service in file.services_by_name.values()
        for method in service.methods
        if "page_size" in method.input_type.fields_by_name
    }
    assert paged
    assert not [path for path in paged if methods()[path].lane != BULK]
