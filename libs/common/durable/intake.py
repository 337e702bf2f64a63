"""Takes other services' events in, each id once. Open this file to see what happens to an event that comes twice.

The event id is the idempotency key, so the event's effect and the memory of it commit together.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc.aio
from google.protobuf.message import Message
from ordermesh.common.v1 import event_pb2, event_pb2_grpc

from libs.common.context import CallContext, current_context, using
from libs.common.durable.idempotency import Once
from libs.common.durable.tx import Tx
from libs.common.durable.unit import Unit
from libs.common.errors import Refused

T = TypeVar("T", bound=Tx)
Context = grpc.aio.ServicerContext[Message, Message]
TakeInEvent = Callable[[event_pb2.Event, T], Awaitable[None]]


class EventIntakeServicer(event_pb2_grpc.EventIntakeServiceServicer):
    """EventIntakeService of one service."""

    def __init__(self, unit: Unit[T], take_in_event: TakeInEvent[T]) -> None:
        self._unit = unit
        self._take_in_event = take_in_event

    async def AcceptEvents(
        self, request: event_pb2.AcceptEventsRequest, context: Context
    ) -> event_pb2.AcceptEventsResponse:
        accepted: list[str] = []
        for event in request.events:
            if event.tenant != current_context().tenant:
                raise Refused("PERMISSION_DENIED", "the event belongs to another tenant")
            with using(_context_of(event, current_context().actor)):
                once = Once(event.event_id, hashlib.sha256(event.data).digest())
                await self._unit.run_once(self._take_in_event, event, _accepted, once)
            accepted.append(event.event_id)
        return event_pb2.AcceptEventsResponse(accepted_event_ids=accepted)


def _accepted(_: None) -> event_pb2.AcceptEventsResponse:
    return event_pb2.AcceptEventsResponse()


def _context_of(event: event_pb2.Event, actor: str) -> CallContext:
    return CallContext(
        tenant=event.tenant,
        system=event.source_system,
        actor=actor,
        roles=frozenset({"mesh"}),
        correlation_id=event.correlation_id,
        causation_id=event.event_id,
        traceparent=event.traceparent,
    )
