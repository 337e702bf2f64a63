"""OperationsService, the same in every service. Open this file to follow an operator's call."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import grpc.aio
from google.protobuf.message import Message
from ordermesh.operations.v1 import operations_service_pb2 as pb
from ordermesh.operations.v1 import operations_service_pb2_grpc

from libs.common.context import current_context
from libs.common.durable.idempotency import once
from libs.common.durable.lanes import Lane
from libs.common.durable.model import Delivery, State
from libs.common.durable.operations import commands, wire
from libs.common.durable.operations.effects import effects
from libs.common.durable.operations.queries import EXCEPTION_FILTER, Operations
from libs.common.durable.rows import Row
from libs.common.durable.tx import Tx
from libs.common.durable.unit import Unit
from libs.common.errors import Refused
from libs.common.listing import parse_page
from libs.common.masking import masked_json

EFFECTS_MAX = 1000
REPLAY_ITEMS = 1000
REPLAY_PER_SECOND = 10
REPLAY_FILTER = {field: column for field, column in EXCEPTION_FILTER.items() if field != "state"}
Context = grpc.aio.ServicerContext[Message, Message]
T = TypeVar("T", bound=Tx)
Preview = Callable[[Delivery], Awaitable[Message | None]]


class OperationsServicer(operations_service_pb2_grpc.OperationsServiceServicer, Generic[T]):
    """Shows the core of one service and lets operators act on it."""

    def __init__(
        self,
        unit: Unit[T],
        lanes: Callable[[], dict[str, Lane]],
        preview: Preview,
        ring: Callable[[str], None],
        systems: frozenset[str],
    ) -> None:
        self._unit = unit
        self._operations = Operations(unit.store)
        self._service = unit.store.service
        self._lanes = lanes
        self._preview = preview
        self._ring = ring
        self._systems = systems

    async def GetLineage(self, request: pb.GetLineageRequest, context: Context) -> pb.GetLineageResponse:
        lineage = await self._operations.lineage(current_context().tenant, request.subject)
        return wire.render_lineage(self._service, lineage)

    async def ListEffects(self, request: pb.ListEffectsRequest, context: Context) -> pb.ListEffectsResponse:
        tenant = current_context().tenant
        lineage = await self._operations.lineage(tenant, request.subject)
        links = await self._operations.links(tenant, request.subject.split("/", 1)[1])
        known = effects(lineage.deliveries, lineage.attempts, links)
        return pb.ListEffectsResponse(
            effects=[wire.render_effect(self._service, effect) for effect in known[:EFFECTS_MAX]]
        )

    async def ListExceptions(
        self, request: pb.ListExceptionsRequest, context: Context
    ) -> pb.ListExceptionsResponse:
        tenant = current_context().tenant
        page = parse_page(tenant, request.page_size, request.page_token, request.filter, EXCEPTION_FILTER)
        rows = await self._operations.exceptions(tenant, page)
        shown = rows[: page.size]
        token = page.token(str(shown[-1]["delivery_id"])) if len(rows) > page.size else ""
        return pb.ListExceptionsResponse(
            exceptions=[wire.render_delivery(self._service, row) for row in shown], next_page_token=token
        )

    async def GetException(
        self, request: pb.GetExceptionRequest, context: Context
    ) -> pb.GetExceptionResponse:
        delivery_id = wire.parse_exception_id(self._service, request.exception_id)
        row = await self._operations.delivery(current_context().tenant, delivery_id)
        attempts = await self._operations.attempts([delivery_id])
        history = await self._operations.history(
            current_context().tenant, commands.audit_subject(delivery_id)
        )
        return pb.GetExceptionResponse(
            exception=wire.render_delivery(self._service, row),
            attempts=[wire.render_attempt(self._service, attempt) for attempt in attempts],
            history=[wire.render_audit(entry) for entry in history],
        )

    async def ReplayException(
        self, request: pb.ReplayExceptionRequest, context: Context
    ) -> pb.ReplayExceptionResponse:
        delivery_id = wire.parse_exception_id(self._service, request.exception_id)
        if request.validate_only:
            return await self._preview_replay(delivery_id, request.pinned_mapping)
        command = commands.Replay(delivery_id, request.pinned_mapping, request.reason)
        return await self._unit.run_once(
            commands.replay_exception, command, self._render_replayed, once(request)
        )

    async def _preview_replay(self, delivery_id: int, pinned_mapping: str) -> pb.ReplayExceptionResponse:
        row = await self._operations.delivery(current_context().tenant, delivery_id)
        if row["state"] != "PARKED":
            raise Refused("STATE_FORBIDS", f"the item is {row['state'].lower()} and not parked")
        event = await self._operations.event(current_context().tenant, row["event_id"])
        held = Delivery(
            delivery_id=delivery_id,
            target=row["target"],
            state=State(row["state"]),
            attempt=row["attempt"],
            lease_id="",
            pinned_mapping=pinned_mapping,
            event=event,
            lease_end=self._unit.clock.now(),
        )
        preview = await self._preview(held)
        return pb.ReplayExceptionResponse(
            exception=wire.render_delivery(self._service, row),
            preview=masked_json(preview) if preview is not None else "",
        )

    async def ReplayExceptions(
        self, request: pb.ReplayExceptionsRequest, context: Context
    ) -> pb.ReplayExceptionsResponse:
        page = parse_page(current_context().tenant, 0, "", request.filter, REPLAY_FILTER)
        command = commands.ReplayMany(
            page.where,
            request.items_max or REPLAY_ITEMS,
            request.per_second or REPLAY_PER_SECOND,
            request.pinned_mapping,
            request.reason,
        )
        return await self._unit.run_once(
            commands.replay_exceptions, command, wire.render_replayed, once(request)
        )

    async def CommentException(
        self, request: pb.CommentExceptionRequest, context: Context
    ) -> pb.CommentExceptionResponse:
        delivery_id = wire.parse_exception_id(self._service, request.exception_id)
        command = commands.Comment(delivery_id, request.comment)
        return await self._unit.run_once(
            commands.comment_exception, command, self._render_commented, once(request)
        )

    async def DiscardException(
        self, request: pb.DiscardExceptionRequest, context: Context
    ) -> pb.DiscardExceptionResponse:
        delivery_id = wire.parse_exception_id(self._service, request.exception_id)
        command = commands.Discard(delivery_id, request.reason)
        return await self._unit.run_once(
            commands.discard_exception, command, self._render_discarded, once(request)
        )

    async def AssignException(
        self, request: pb.AssignExceptionRequest, context: Context
    ) -> pb.AssignExceptionResponse:
        delivery_id = wire.parse_exception_id(self._service, request.exception_id)
        command = commands.Assign(delivery_id, request.assignee)
        return await self._unit.run_once(
            commands.assign_exception, command, self._render_assigned, once(request)
        )

    async def GetQueues(self, request: pb.GetQueuesRequest, context: Context) -> pb.GetQueuesResponse:
        tenant = current_context().tenant
        now = self._unit.clock.now()
        open_lanes = {target for target, lane in self._lanes().items() if lane.is_open(now)}
        return pb.GetQueuesResponse(
            queues=[
                wire.render_queue(self._service, row, breaker_open=row["target"] in open_lanes)
                for row in await self._operations.queues(tenant)
            ],
            ingest=[wire.render_lag(self._service, row) for row in await self._operations.cursors(tenant)],
        )

    async def RingBell(self, request: pb.RingBellRequest, context: Context) -> pb.RingBellResponse:
        if request.system not in self._systems:
            raise Refused("SYSTEM_UNKNOWN")
        self._ring("ingest")
        return pb.RingBellResponse()

    def _render_replayed(self, row: Row) -> pb.ReplayExceptionResponse:
        return pb.ReplayExceptionResponse(exception=wire.render_delivery(self._service, row))

    def _render_commented(self, row: Row) -> pb.CommentExceptionResponse:
        return pb.CommentExceptionResponse(exception=wire.render_delivery(self._service, row))

    def _render_discarded(self, row: Row) -> pb.DiscardExceptionResponse:
        return pb.DiscardExceptionResponse(exception=wire.render_delivery(self._service, row))

    def _render_assigned(self, row: Row) -> pb.AssignExceptionResponse:
        return pb.AssignExceptionResponse(exception=wire.render_delivery(self._service, row))
