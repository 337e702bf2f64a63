"""OperationsService, the same in every service. Open this file to follow an operator's call."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Generic, Protocol, TypeVar

import asyncpg
import grpc.aio
from google.protobuf.message import Message
from ordermesh.operations.v1 import operations_pb2, operations_service_pb2_grpc
from ordermesh.operations.v1 import operations_service_pb2 as pb

from libs.common.context import current_context
from libs.common.durable.idempotency import Once, once
from libs.common.durable.lanes import Lane
from libs.common.durable.model import Delivery, State
from libs.common.durable.operations import bulk, commands, editing, wire
from libs.common.durable.operations.effects import effects
from libs.common.durable.operations.handling import Handling, Preview
from libs.common.durable.operations.originals import Originals, Reveal, reveal_exception
from libs.common.durable.operations.queries import EXCEPTION_FILTER, Operations
from libs.common.durable.operations.trail import audit_subject
from libs.common.durable.rows import Row
from libs.common.durable.tx import Tx
from libs.common.durable.unit import Handler, Unit
from libs.common.errors import Refused
from libs.common.listing import parse_page
from libs.common.masking import masked_json

EFFECTS_MAX = 1000
REPLAY_ITEMS = 1000
REPLAY_PER_SECOND = 10
NO_REPLAY_FILTER = ("state", "requested_act", "requested_by")
REPLAY_FILTER = {field: column for field, column in EXCEPTION_FILTER.items() if field not in NO_REPLAY_FILTER}
PLAIN = Handling()
Context = grpc.aio.ServicerContext[Message, Message]
T = TypeVar("T", bound=Tx)
M = TypeVar("M", bound=Message)
R = TypeVar("R")


class AboutDelivery(Protocol):
    """A command about one delivery."""

    @property
    def delivery_id(self) -> int: ...


class OperationsServicer(operations_service_pb2_grpc.OperationsServiceServicer, Generic[T]):
    """Shows the core of one service and lets people act on it."""

    def __init__(
        self,
        unit: Unit[T],
        lanes: Callable[[], dict[str, Lane]],
        handling: Mapping[str, Handling],
        ring: Callable[[str], None],
        systems: frozenset[str],
    ) -> None:
        self._unit = unit
        self._operations = Operations(unit.store)
        self._originals = Originals(self._operations, unit.sealer)
        self._service = unit.store.service
        self._lanes = lanes
        self._handling = handling
        self._ring = ring
        self._systems = systems

    # Seeing -------------------------------------------------------------------------------------------

    async def GetLineage(self, request: pb.GetLineageRequest, context: Context) -> pb.GetLineageResponse:
        lineage = await self._operations.lineage(current_context().tenant, request.subject)
        return wire.render_lineage(self._service, lineage, self._unit.clock.now())

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
        tenant, now = current_context().tenant, self._unit.clock.now()
        page = parse_page(tenant, request.page_size, request.page_token, request.filter, EXCEPTION_FILTER)
        rows = await self._operations.exceptions(tenant, page)
        shown = rows[: page.size]
        token = page.token(str(shown[-1]["delivery_id"])) if len(rows) > page.size else ""
        return pb.ListExceptionsResponse(
            exceptions=[wire.render_delivery(self._service, row, now) for row in shown], next_page_token=token
        )

    async def GetException(
        self, request: pb.GetExceptionRequest, context: Context
    ) -> pb.GetExceptionResponse:
        caller = current_context()
        row = await self._row(request.exception_id)
        delivery_id = row["delivery_id"]
        event = await self._operations.event(caller.tenant, row["event_id"])
        attempts = await self._operations.attempts([delivery_id])
        history = await self._operations.history(caller.tenant, audit_subject(delivery_id))
        edited = row["edited_data"]
        return pb.GetExceptionResponse(
            exception=wire.render_delivery(self._service, row, self._unit.clock.now()),
            attempts=[wire.render_attempt(self._service, attempt) for attempt in attempts],
            history=[wire.render_audit(entry) for entry in history],
            payload=self._originals.shown(event, event.data if edited is None else edited),
            original_payload=self._originals.shown(event, None if edited is None else event.data),
        )

    async def PreviewException(
        self, request: pb.PreviewExceptionRequest, context: Context
    ) -> pb.PreviewExceptionResponse:
        row, preview = await self._preview(request.exception_id, request.pinned_mapping)
        return pb.PreviewExceptionResponse(
            exception=self._rendered(row), preview=wire.render_preview(preview, current_context().roles)
        )

    async def _preview(self, exception_id: str, pinned_mapping: str) -> tuple[asyncpg.Record, Preview]:
        row, held = await self._held(exception_id)
        await self._check_pin(held.target, pinned_mapping)
        handling = self._handling.get(held.target, PLAIN)
        return row, await handling.preview(replace(held, pinned_mapping=pinned_mapping))

    async def _held(self, exception_id: str) -> tuple[asyncpg.Record, Delivery]:
        """The item and its delivery as a relay would hold it, in the clear.

        Refused with NOT_FOUND, STATE_FORBIDS, ORIGINAL_UNREADABLE.
        """
        row = await self._row(exception_id)
        if row["state"] != "PARKED":
            raise Refused("STATE_FORBIDS", f"the item is {row['state'].lower()} and not parked")
        event = await self._originals.carried(current_context().tenant, row)
        return row, Delivery(
            delivery_id=row["delivery_id"],
            target=row["target"],
            state=State(row["state"]),
            attempt=row["attempt"],
            lease_id="",
            pinned_mapping=row["pinned_mapping"],
            event=event,
            lease_end=self._unit.clock.now(),
        )

    async def _row(self, exception_id: str) -> asyncpg.Record:
        """Refused with NOT_FOUND."""
        delivery_id = wire.parse_exception_id(self._service, exception_id)
        return await self._operations.delivery(current_context().tenant, delivery_id)

    async def _check_pin(self, target: str, pinned_mapping: str) -> None:
        """Refused with MAPPING_NOT_KEPT, so that no item is sent to fail for that."""
        if not pinned_mapping:
            return
        kept = await self._handling.get(target, PLAIN).mappings()
        if pinned_mapping not in kept:
            said = f"{target} keeps {', '.join(kept)}" if kept else f"{target} runs no mapping"
            raise Refused.field("MAPPING_NOT_KEPT", "pinned_mapping", said)

    # Acting -------------------------------------------------------------------------------------------

    async def ReplayException(
        self, request: pb.ReplayExceptionRequest, context: Context
    ) -> pb.ReplayExceptionResponse:
        if request.validate_only:
            row, preview = await self._preview(request.exception_id, request.pinned_mapping)
            return pb.ReplayExceptionResponse(
                exception=self._rendered(row),
                preview=masked_json(preview.message) if preview.message is not None else "",
                plan=wire.render_preview(preview, current_context().roles),
            )
        row = await self._row(request.exception_id)
        await self._originals.carried(current_context().tenant, row)
        await self._check_pin(row["target"], request.pinned_mapping)
        command = commands.Replay(row["delivery_id"], request.pinned_mapping, request.reason)
        return await self._act(commands.replay_exception, command, self._render_replay, once(request))

    async def ReplayExceptions(
        self, request: pb.ReplayExceptionsRequest, context: Context
    ) -> pb.ReplayExceptionsResponse:
        page = parse_page(current_context().tenant, 0, "", request.filter, REPLAY_FILTER)
        if request.pinned_mapping:
            if "target" not in page.where:
                raise Refused.field("FILTER_INVALID", "filter", "names no target to pin the mapping of")
            await self._check_pin(page.where["target"], request.pinned_mapping)
        command = bulk.ReplayMany(
            page.where,
            request.items_max or REPLAY_ITEMS,
            request.per_second or REPLAY_PER_SECOND,
            request.pinned_mapping,
            request.reason,
        )
        return await self._unit.run_once(
            bulk.replay_exceptions, command, self._render_replayed, once(request)
        )

    async def GetReplay(self, request: pb.GetReplayRequest, context: Context) -> pb.GetReplayResponse:
        replay_id = wire.parse_replay_id(self._service, request.replay_id)
        row, counts = await self._operations.replay(current_context().tenant, replay_id)
        return pb.GetReplayResponse(replay=wire.render_replay(self._service, row, counts))

    async def EditException(
        self, request: pb.EditExceptionRequest, context: Context
    ) -> pb.EditExceptionResponse:
        tenant = current_context().tenant
        row, held = await self._held(request.exception_id)
        original = self._originals.opened(await self._operations.event(tenant, held.event.event_id))
        handling = self._handling.get(held.target, PLAIN)
        edited = await editing.check(handling, held, original.data, request.payload)
        if request.validate_only:
            return self._render_edited(commands.Edited(row, edited.shown))
        command = commands.Edit(
            held.delivery_id,
            self._originals.keep(tenant, edited.data),
            row["edited_data"],
            edited.differences,
            edited.shown,
            request.reason,
        )
        return await self._act(commands.edit_exception, command, self._render_edited, once(request))

    async def ApproveException(
        self, request: pb.ApproveExceptionRequest, context: Context
    ) -> pb.ApproveExceptionResponse:
        delivery_id = wire.parse_exception_id(self._service, request.exception_id)
        command = commands.Approve(delivery_id, request.request_id, request.reason)
        return await self._act(commands.approve_exception, command, self._render_approved, once(request))

    async def RevealException(
        self, request: pb.RevealExceptionRequest, context: Context
    ) -> pb.RevealExceptionResponse:
        """A repetition is a further look, and audited like the first."""
        row = await self._row(request.exception_id)
        revealed = await self._originals.reveal(current_context().tenant, row, request.attempt)
        command, once_only = Reveal(request.attempt, request.reason, row), Once(self._unit.new_id("rvl"), b"")
        answer = await self._act(reveal_exception, command, self._render_revealed, once_only)
        answer.MergeFrom(revealed)
        return answer

    async def CommentException(
        self, request: pb.CommentExceptionRequest, context: Context
    ) -> pb.CommentExceptionResponse:
        delivery_id = wire.parse_exception_id(self._service, request.exception_id)
        command = commands.Comment(delivery_id, request.comment)
        return await self._act(commands.comment_exception, command, self._render_commented, once(request))

    async def DiscardException(
        self, request: pb.DiscardExceptionRequest, context: Context
    ) -> pb.DiscardExceptionResponse:
        delivery_id = wire.parse_exception_id(self._service, request.exception_id)
        command = commands.Discard(delivery_id, request.reason)
        return await self._act(commands.discard_exception, command, self._render_discarded, once(request))

    async def AssignException(
        self, request: pb.AssignExceptionRequest, context: Context
    ) -> pb.AssignExceptionResponse:
        delivery_id = wire.parse_exception_id(self._service, request.exception_id)
        command = commands.Assign(delivery_id, request.assignee)
        return await self._act(commands.assign_exception, command, self._render_assigned, once(request))

    async def _act(
        self, handler: Handler[T, R], command: AboutDelivery, render: Callable[[R], M], once_only: Once
    ) -> M:
        about = [audit_subject(command.delivery_id)]
        return await self._unit.run_once(handler, command, render, once_only, about=about)

    # The loops ----------------------------------------------------------------------------------------

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

    # Rendering ----------------------------------------------------------------------------------------

    def _rendered(self, row: Row) -> operations_pb2.Delivery:
        return wire.render_delivery(self._service, row, self._unit.clock.now())

    def _render_replay(self, row: Row) -> pb.ReplayExceptionResponse:
        return pb.ReplayExceptionResponse(exception=self._rendered(row))

    def _render_replayed(self, replayed: bulk.Replayed) -> pb.ReplayExceptionsResponse:
        return wire.render_replayed(self._service, replayed)

    def _render_edited(self, edited: commands.Edited) -> pb.EditExceptionResponse:
        return pb.EditExceptionResponse(exception=self._rendered(edited.row), differences=edited.shown)

    def _render_approved(self, row: Row) -> pb.ApproveExceptionResponse:
        return pb.ApproveExceptionResponse(exception=self._rendered(row))

    def _render_revealed(self, row: Row) -> pb.RevealExceptionResponse:
        return pb.RevealExceptionResponse(exception=self._rendered(row))

    def _render_commented(self, row: Row) -> pb.CommentExceptionResponse:
        return pb.CommentExceptionResponse(exception=self._rendered(row))

    def _render_discarded(self, row: Row) -> pb.DiscardExceptionResponse:
        return pb.DiscardExceptionResponse(exception=self._rendered(row))

    def _render_assigned(self, row: Row) -> pb.AssignExceptionResponse:
        return pb.AssignExceptionResponse(exception=self._rendered(row))
