"""A servicer that does what the key of a request says, and what tests ask of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import grpc
import pytest
from ordermesh.connector.v1 import change_pb2, connector_service_pb2, connector_service_pb2_grpc
from ordermesh.product.v1 import product_pb2

from libs.common.context import CallContext, current_context
from libs.common.errors import NotDone, OrdermeshError
from libs.common.rpc.call import ServicerContext
from libs.common.rpc.channel import MeshChannel

if TYPE_CHECKING:
    pass

FindByKey = connector_service_pb2.FindByKeyRequest
ReadChanges = connector_service_pb2.ReadChangesRequest
Describe = connector_service_pb2.DescribeRequest
ORDER = change_pb2.KIND_ORDER
SERVICE = "/ordermesh.connector.v1.ConnectorService"
REGISTER = connector_service_pb2_grpc.add_ConnectorServiceServicer_to_server
TRACEPARENT = f"00-{'a' * 32}-{'b' * 16}-01"
A_CHANGE = connector_service_pb2.ApplyChangeRequest(
    change=change_pb2.Change(
        kind=change_pb2.KIND_PRODUCT,
        intent=change_pb2.INTENT_UPSERT,
        key="prd_1",
        product=product_pb2.Product(),
    )
)


class Scripted(connector_service_pb2_grpc.ConnectorServiceServicer):
    """Does what the key of the request says, and remembers who asked."""

    def __init__(self) -> None:
        self.contexts: list[CallContext] = []
        self.errors: dict[str, Exception] = {}
        self.describe_error: Exception | None = None
        self.entered = asyncio.Event()
        self.released = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.seconds_left: list[float | None] = []

    async def Describe(  # noqa: N802
        self, request: connector_service_pb2.DescribeRequest, context: ServicerContext
    ) -> connector_service_pb2.DescribeResponse:
        self.contexts.append(current_context())
        self.seconds_left.append(context.time_remaining())
        if self.describe_error is not None:
            raise self.describe_error
        return connector_service_pb2.DescribeResponse(system="scripted")

    async def FindByKey(  # noqa: N802
        self, request: connector_service_pb2.FindByKeyRequest, context: ServicerContext
    ) -> connector_service_pb2.FindByKeyResponse:
        if request.key == "wait":
            await self.wait()
        if request.key in self.errors:
            raise self.errors[request.key]
        return connector_service_pb2.FindByKeyResponse()

    async def ReadChanges(  # noqa: N802
        self, request: connector_service_pb2.ReadChangesRequest, context: ServicerContext
    ) -> AsyncIterator[connector_service_pb2.ReadChangesResponse]:
        for number in range(3):
            yield connector_service_pb2.ReadChangesResponse(cursor=bytes([number]))
        if request.cursor == b"throttled":
            raise NotDone("SYSTEM_THROTTLED", retry_after=timedelta(seconds=9))
        if request.cursor == b"endless":
            await self.wait()

    async def ApplyChange(  # noqa: N802
        self, request: connector_service_pb2.ApplyChangeRequest, context: ServicerContext
    ) -> connector_service_pb2.ApplyChangeResponse:
        await self.wait()
        return connector_service_pb2.ApplyChangeResponse()

    async def wait(self) -> None:
        """Until the test lets go, or the call is cancelled."""
        self.entered.set()
        try:
            await self.released.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


async def refusal_at_once(make_call: Callable[[], Awaitable[object]]) -> OrdermeshError:
    """The error of a call that is refused where it is made."""
    with pytest.raises(OrdermeshError) as refused:
        await make_call()
    return refused.value


def raw(channel: MeshChannel, method: str) -> "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]":
    """A method called with bytes, as the gateway does."""
    return channel.unary_unary(f"{SERVICE}/{method}")


async def refusal(call: Awaitable[object]) -> OrdermeshError:
    with pytest.raises(OrdermeshError) as refused:
        await call
    return refused.value
