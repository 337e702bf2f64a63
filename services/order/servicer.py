"""OrderService, method by method: parse, run, render. Open this file to follow a call to its command or query."""

import asyncio
from datetime import timedelta

import grpc.aio
from google.protobuf.message import Message
from ordermesh.order.v1 import order_pb2, order_service_pb2_grpc
from ordermesh.order.v1 import order_service_pb2 as pb

from libs.common.clock import Clock
from libs.common.context import current_context
from libs.common.durable.idempotency import once
from libs.common.durable.jobs import Answered
from libs.common.durable.operations.queries import standstill
from libs.common.durable.operations.wire import exception_id, failure_class, owner_team
from libs.common.durable.reads import Reads
from libs.common.durable.store import Store
from libs.common.durable.unit import Unit
from libs.common.identity import Verifier
from libs.common.listing import parse_page
from libs.common.rpc.batch import Batch
from services.order import commands, queries, wire
from services.order.domain import Order, State
from services.order.store import OrderTx

Context = grpc.aio.ServicerContext[Message, Message]
SUBMIT = "/ordermesh.order.v1.OrderService/SubmitOrder"
WAIT_STEP = timedelta(milliseconds=50)


class OrderServicer(order_service_pb2_grpc.OrderServiceServicer):
    """Takes orders in, decides about them and remembers what became of them."""

    def __init__(
        self, unit: Unit[OrderTx], reads: Reads[Order], store: Store, clock: Clock, verifier: Verifier
    ) -> None:
        self._unit = unit
        self._reads = reads
        self._store = store
        self._clock = clock
        self._submissions = Batch(SUBMIT, pb.SubmitOrderRequest, self._begin_submit, verifier)

    async def SubmitOrder(self, request: pb.SubmitOrderRequest, context: Context) -> pb.SubmitOrderResponse:
        command = wire.parse_submit_order(request)
        return await self._unit.run_once(
            commands.submit_order, command, wire.render_submitted_order, once(request)
        )

    async def BatchSubmitOrders(
        self, request: pb.BatchSubmitOrdersRequest, context: Context
    ) -> pb.BatchSubmitOrdersResponse:
        return pb.BatchSubmitOrdersResponse(outcomes=await self._submissions.run(request.entries))

    def _begin_submit(self, request: pb.SubmitOrderRequest) -> "asyncio.Future[Answered]":
        """`SubmitOrder` for one of many; answers in bytes."""
        command = wire.parse_submit_order(request)
        return self._unit.enlist(commands.submit_order, command, wire.submitted_order, once(request))

    async def CorrectOrder(
        self, request: pb.CorrectOrderRequest, context: Context
    ) -> pb.CorrectOrderResponse:
        command = wire.parse_correct_order(request)
        return await self._unit.run_once(
            commands.correct_order, command, wire.render_corrected_order, once(request)
        )

    async def HoldOrder(self, request: pb.HoldOrderRequest, context: Context) -> pb.HoldOrderResponse:
        command = wire.parse_decision(request)
        return await self._unit.run_once(commands.hold_order, command, wire.render_held_order, once(request))

    async def ReleaseOrder(
        self, request: pb.ReleaseOrderRequest, context: Context
    ) -> pb.ReleaseOrderResponse:
        command = wire.parse_decision(request)
        return await self._unit.run_once(
            commands.release_order, command, wire.render_released_order, once(request)
        )

    async def ApproveOrder(
        self, request: pb.ApproveOrderRequest, context: Context
    ) -> pb.ApproveOrderResponse:
        command = wire.parse_decision(request)
        return await self._unit.run_once(
            commands.approve_order, command, wire.render_approved_order, once(request)
        )

    async def CancelOrder(self, request: pb.CancelOrderRequest, context: Context) -> pb.CancelOrderResponse:
        command = wire.parse_decision(request)
        return await self._unit.run_once(
            commands.cancel_order, command, wire.render_cancelled_order, once(request)
        )

    async def GetOrder(self, request: pb.GetOrderRequest, context: Context) -> pb.GetOrderResponse:
        until = self._clock.now() + request.wait.ToTimedelta()
        order = await self._shown(request.order_id)
        while order.state == order_pb2.ORDER_STATE_RECEIVED and not order.HasField("standstill"):
            left = until - self._clock.now()
            if left <= timedelta(0):
                break
            await self._clock.wait(asyncio.Event(), min(left, WAIT_STEP))
            order = await self._shown(request.order_id)
        return pb.GetOrderResponse(order=order)

    async def ListOrders(self, request: pb.ListOrdersRequest, context: Context) -> pb.ListOrdersResponse:
        tenant = current_context().tenant
        page = parse_page(tenant, request.page_size, request.page_token, request.filter, queries.FILTER)
        orders, token = await queries.list_orders(self._reads, tenant, page)
        return pb.ListOrdersResponse(
            orders=[wire.render_order(order) for order in orders], next_page_token=token
        )

    async def _shown(self, order_id: str) -> order_pb2.Order:
        """The order with what holds it up, where it is not on its way."""
        tenant = current_context().tenant
        order = await queries.get_order(self._reads, tenant, order_id)
        message = wire.render_order(order)
        if order.state not in (State.PAID, State.REJECTED, State.CANCELLED):
            parked = await standstill(self._store, tenant, f"orders/{order_id}")
            if parked:
                message.standstill.exception_id = exception_id("order", int(str(parked["delivery_id"])))
                message.standstill.reason = str(parked["reason"])
                message.standstill.failure_class = failure_class(str(parked["failure_class"]))
                message.standstill.owner = owner_team(str(parked["owner"]))
                message.standstill.detail = str(parked["detail"])
        return message
