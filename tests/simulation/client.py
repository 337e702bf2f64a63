"""Callers who hand orders in until each is acknowledged, decide about some, and keep a log of what they were told.

Open this file to let callers do something else.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from google.protobuf.message import Message
from ordermesh.order.v1 import order_service_pb2 as pb
from ordermesh.order.v1 import order_service_pb2_grpc

from libs.common.context import CallContext, using
from libs.common.errors import OrdermeshError, Refused
from libs.common.testing.history import Acknowledged
from libs.common.testing.simulation.fate import Fate
from libs.common.testing.simulation.loop import pause
from libs.common.testing.simulation.process import Incarnation
from tests.builders import a_submission

TENANT = "acme"
BETWEEN_SECONDS = 1.0
AGAIN_SECONDS_MAX = 2.0
ORDERS_MAX = 400
EXPECTED = frozenset({"ORDER_SHIPPED", "STATE_FORBIDS", "ETAG_MISMATCH"})
"""Refusals of a decision that came too late."""

A = TypeVar("A", bound=Message)


@dataclass(slots=True)
class Caller:
    """One sales system and its people."""

    fate: Fate
    life: Incarnation
    orders: "order_service_pb2_grpc.OrderServiceAsyncStub"
    customer_id: str
    acknowledged: dict[str, Acknowledged] = field(default_factory=dict)
    _answers: dict[str, bytes] = field(default_factory=dict)

    async def trade(self, until: Callable[[], bool]) -> None:
        """Hands orders in, one after the other, and returns when all that were begun are through."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(ORDERS_MAX):
                if until():
                    return
                tasks.create_task(self._order(f"key-{number}"))
                await pause(self.fate.draw.expovariate(1 / BETWEEN_SECONDS))

    async def _order(self, key: str) -> None:
        request = a_submission(customer_id=self.customer_id, key=key)
        request.order.ClearField("source")  # it would give a repetition away by its link
        draw, context = self.fate.draw.random(), self._context(key)
        with using(context):
            if draw < 0.2:
                both = (self._submit(key, request), self._submit(key, request))
                await asyncio.gather(*both)
            else:
                await self._submit(key, request)
            await pause(self.fate.draw.expovariate(1 / BETWEEN_SECONDS))
            order_id = self.acknowledged[key].order_id
            if 0.2 <= draw < 0.35:
                await self._submit(key, request)
            elif 0.35 <= draw < 0.5:
                await self._decide(self.orders.CancelOrder, pb.CancelOrderRequest, order_id, f"{key}-cancel")
            elif 0.5 <= draw < 0.6:
                await self._decide(self.orders.HoldOrder, pb.HoldOrderRequest, order_id, f"{key}-hold")
                await pause(self.fate.draw.uniform(0.0, 20.0))
                await self._decide(
                    self.orders.ReleaseOrder, pb.ReleaseOrderRequest, order_id, f"{key}-release"
                )

    async def _submit(self, key: str, request: pb.SubmitOrderRequest) -> None:
        answer = await self._until_answered(lambda: self.orders.SubmitOrder(request))
        told = self.acknowledged.setdefault(key, Acknowledged(key, answer.order_id))
        if told.order_id != answer.order_id:
            self.fate.object(f"doubled order: {key} was answered with {told.order_id} and {answer.order_id}")
        elif self._answers.setdefault(key, answer.SerializeToString()) != answer.SerializeToString():
            self.fate.object(f"answer changed: {key} was answered with other bytes before")
        self.fate.note(f"  {key} is {answer.order_id}")

    async def _decide(
        self,
        call: Callable[[A], Awaitable[Message]],
        request: Callable[..., A],
        order_id: str,
        key: str,
    ) -> None:
        try:
            await self._until_answered(
                lambda: call(request(order_id=order_id, idempotency_key=key, reason="so"))
            )
        except Refused as error:
            if error.reason not in EXPECTED:
                self.fate.object(f"odd refusal: {key}: {error}")

    async def _until_answered(self, call: Callable[[], Awaitable[A]]) -> A:
        """Repeats with the same key as long as the answer is no answer."""
        while True:
            try:
                return await call()
            except Refused:
                raise
            except OrdermeshError as error:
                self.fate.note(f"  the caller hears {error.reason}")
                await pause(self.fate.draw.uniform(0.1, AGAIN_SECONDS_MAX))

    def _context(self, key: str) -> CallContext:
        context = CallContext(TENANT, "mesh", "sales", frozenset({"mesh"}), f"cor-{key}")
        return replace(
            context, traceparent=f"00-{self.life.make_id('t')[-26:].encode().hex()[:32]}-00f067aa0ba902b7-01"
        )
