"""Takes other services' events in, each id once. Open this file to see what happens to an event that comes twice.

The event id is the idempotency key, so the event's effect and the memory of it commit together. Events that come
together share a commit; those of one subject follow each other.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from typing import TypeVar

import grpc.aio
from google.protobuf.message import DecodeError, Message
from ordermesh.common.v1 import event_pb2, event_pb2_grpc

from libs.common.context import CallContext, current_context, using
from libs.common.durable.idempotency import Once
from libs.common.durable.jobs import Answered
from libs.common.durable.tx import Tx
from libs.common.durable.unit import Unit
from libs.common.errors import Refused

T = TypeVar("T", bound=Tx)
Context = grpc.aio.ServicerContext[Message, Message]
TakeInEvent = Callable[[event_pb2.Event, T], Awaitable[None]]


class EventIntakeServicer(event_pb2_grpc.EventIntakeServiceServicer):
    """EventIntakeService of one service."""

    def __init__(
        self,
        unit: Unit[T],
        take_in_event: TakeInEvent[T],
        about: Callable[[event_pb2.Event], Collection[str]] = lambda event: (),
    ) -> None:
        """about: subjects of the records that taking an event in asks for."""
        self._unit = unit
        self._take_in_event = take_in_event
        self._about = about

    async def AcceptEvents(
        self, request: event_pb2.AcceptEventsRequest, context: Context
    ) -> event_pb2.AcceptEventsResponse:
        if any(event.tenant != current_context().tenant for event in request.events):
            raise Refused("PERMISSION_DENIED", "the event belongs to another tenant")
        for several in _of_distinct_subjects(request.events):
            outcomes = await asyncio.gather(*map(self._begin, several), return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, BaseException):
                    raise outcome
        return event_pb2.AcceptEventsResponse(accepted_event_ids=[event.event_id for event in request.events])

    def _begin(self, event: event_pb2.Event) -> "asyncio.Future[Answered]":
        with using(_context_of(event, current_context().actor)):
            once = Once(event.event_id, hashlib.sha256(event.data).digest())
            return self._unit.enlist(
                self._take_in_event, event, _nothing_to_tell, once, behind=True, about=self._subjects(event)
            )

    def _subjects(self, event: event_pb2.Event) -> Collection[str]:
        """None of an event that cannot be read: taking it in will say so, of this event alone."""
        try:
            return self._about(event)
        except DecodeError:
            return ()


def _of_distinct_subjects(events: Iterable[event_pb2.Event]) -> Iterator[list[event_pb2.Event]]:
    """The events in order, in runs that name no subject twice."""
    run: dict[str, event_pb2.Event] = {}
    for event in events:
        if event.subject in run:
            yield list(run.values())
            run = {}
        run[event.subject] = event
    if run:
        yield list(run.values())


def _nothing_to_tell(_: None) -> bytes:
    return b""


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
