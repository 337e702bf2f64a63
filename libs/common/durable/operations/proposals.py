"""What a steward does about a proposed value, the same in every service. Open this file to follow accept and reject.

Accepted, the proposal is turned to the connector of the system that owns the field and goes its way like any delivery.
Rejected, the system that wanted the value is told the record as it is. Both are one commit with its audit row.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import grpc.aio
from google.protobuf.message import Message
from ordermesh.common.v1 import proposal_pb2
from ordermesh.operations.v1 import proposal_service_pb2 as pb
from ordermesh.operations.v1 import proposal_service_pb2_grpc

from libs.common.durable import tables
from libs.common.durable.idempotency import once
from libs.common.durable.model import CONNECTOR
from libs.common.durable.operations import wire
from libs.common.durable.operations.trail import audit, audit_subject
from libs.common.durable.rows import Row
from libs.common.durable.tx import Tx
from libs.common.durable.tx.proposals import LAST_SEQUENCE, PROPOSAL
from libs.common.durable.unit import Handler, Unit
from libs.common.errors import Refused

REJECTED = "ordermesh.common.v1.ProposalRejected"
HELD = (
    "SELECT d.*, e.type, e.correlation_id, e.data FROM delivery d JOIN event e USING (event_id)"
    " WHERE d.tenant = $1 AND d.delivery_id = $2 FOR UPDATE OF d"
)
UNDECIDED = frozenset({"PENDING", "RETRYING", "PARKED"})
Context = grpc.aio.ServicerContext[Message, Message]
T = TypeVar("T", bound=Tx)
M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Decide:
    """Which proposal, and why."""

    delivery_id: int
    reason: str


async def accept_proposal(command: Decide, tx: Tx) -> Row:
    """The row, on its way to the system that owns the field. Refused with NOT_FOUND or STATE_FORBIDS."""
    row = await _undecided(tx, command.delivery_id)
    target = CONNECTOR + str(row["target"]).removeprefix(PROPOSAL)
    tx.targets.add(target)
    changes = {"target": target, "state": "RETRYING", "due_time": tx.now, "attempt": 0, "park_time": None}
    return await _decide(tx, row, changes, f"accepted, to {target}", command.reason)


async def reject_proposal(command: Decide, tx: Tx) -> Row:
    """The row, closed; whoever wanted the value hears of it. Refused with NOT_FOUND or STATE_FORBIDS."""
    row = await _undecided(tx, command.delivery_id)
    proposed = proposal_pb2.ChangeProposed.FromString(cast(bytes, row["data"]))
    rejected = proposal_pb2.ProposalRejected(
        subject=proposed.subject, field=proposed.field, source_system=proposed.source_system
    )
    subject = str(row["subject"])
    last = await tx.driver.fetchval(LAST_SEQUENCE, tx.context.tenant, subject)
    target = f"{CONNECTOR}{proposed.source_system}"
    tx.add_event(REJECTED, subject, last + 1, rejected.SerializeToString(), [target])
    changes = {"state": "DISCARDED", "park_time": None, "settle_time": tx.now}
    return await _decide(tx, row, changes, "rejected", command.reason)


async def _undecided(tx: Tx, delivery_id: int) -> Row:
    row = await tx.driver.fetchrow(HELD, tx.context.tenant, delivery_id)
    if row is None:
        raise Refused("NOT_FOUND")
    if not row["target"].startswith(PROPOSAL):
        raise Refused("STATE_FORBIDS", "the item is no proposal, or was accepted")
    decided = tx.recall(_place(tx, delivery_id)) is not None
    if decided or row["state"] not in UNDECIDED:
        raise Refused("STATE_FORBIDS", "the proposal was decided")
    return dict(row)


async def _decide(tx: Tx, row: Row, changes: Row, decision: str, reason: str) -> Row:
    delivery_id = int(str(row["delivery_id"]))
    tx.remember(_place(tx, delivery_id), decision)
    tx.writes.updates.setdefault(tables.DELIVERY, []).append(
        {
            "delivery_id": delivery_id,
            **changes,
            "lease_id": None,
            "lease_end": None,
            "was_state": row["state"],
        }
    )
    told = f"{decision}, because: {reason}" if reason else decision
    await audit(tx, delivery_id, "proposal", f"state={row['state']}", told)
    return {**row, **changes}


def _place(tx: Tx, delivery_id: int) -> tuple[str, str, str]:
    return "decided", tx.context.tenant, str(delivery_id)


class ProposalServicer(proposal_service_pb2_grpc.ProposalServiceServicer, Generic[T]):
    """ProposalService of one service."""

    def __init__(self, unit: Unit[T]) -> None:
        self._unit = unit
        self._service = unit.store.service

    async def AcceptProposal(
        self, request: pb.AcceptProposalRequest, context: Context
    ) -> pb.AcceptProposalResponse:
        return await self._act(accept_proposal, request, self._render_accepted)

    async def RejectProposal(
        self, request: pb.RejectProposalRequest, context: Context
    ) -> pb.RejectProposalResponse:
        return await self._act(reject_proposal, request, self._render_rejected)

    async def _act(
        self,
        handler: Handler[T, Row],
        request: pb.AcceptProposalRequest | pb.RejectProposalRequest,
        render: Callable[[Row], M],
    ) -> M:
        command = Decide(wire.parse_exception_id(self._service, request.exception_id), request.reason)
        about = [audit_subject(command.delivery_id)]
        return await self._unit.run_once(handler, command, render, once(request), about=about)

    def _render_accepted(self, row: Row) -> pb.AcceptProposalResponse:
        return pb.AcceptProposalResponse(exception=wire.render_delivery(self._service, row))

    def _render_rejected(self, row: Row) -> pb.RejectProposalResponse:
        return pb.RejectProposalResponse(exception=wire.render_delivery(self._service, row))
