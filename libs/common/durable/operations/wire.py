"""Rows of the durable core to messages. Open this file when an operator misses a field."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from ordermesh.common.v1 import error_reason_pb2
from ordermesh.operations.v1 import operations_pb2, operations_service_pb2

from libs.common.differences import shown_to
from libs.common.durable.operations.bulk import Replayed
from libs.common.durable.operations.commands import four_eyes
from libs.common.durable.operations.effects import Effect
from libs.common.durable.operations.handling import Preview
from libs.common.durable.operations.queries import Lineage
from libs.common.durable.tables import OPEN_STATES
from libs.common.errors import Refused

Row = Mapping[str, Any]
"""A database row; its columns are told in `schema/`."""


def timestamp(moment: datetime | None) -> Timestamp | None:
    """The message, where there is a time."""
    if moment is None:
        return None
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def exception_id(service: str, delivery_id: int) -> str:
    """Id for `/v1/exceptions/{id}`; the service in front tells the gateway where it is."""
    return f"{service}.{delivery_id}"


def parse_replay_id(service: str, text: str) -> str:
    """Refused with NOT_FOUND for an id of another service."""
    prefix, _, replay_id = text.partition(".")
    if prefix != service:
        raise Refused("NOT_FOUND")
    return replay_id


def parse_exception_id(service: str, text: str) -> int:
    """Refused with NOT_FOUND for an id of another form or service."""
    prefix, _, number = text.partition(".")
    if prefix != service or not number.isascii() or not number.isdigit() or len(number) > 18:
        raise Refused("NOT_FOUND")
    return int(number)


def failure_class(name: str) -> error_reason_pb2.FailureClass.ValueType:
    return error_reason_pb2.FailureClass.Value(f"FAILURE_CLASS_{name.upper() or 'UNSPECIFIED'}")


def owner_team(name: str) -> error_reason_pb2.OwnerTeam.ValueType:
    return error_reason_pb2.OwnerTeam.Value(f"OWNER_TEAM_{name.upper().replace('-', '_') or 'UNSPECIFIED'}")


def render_delivery(service: str, row: Row, now: datetime | None = None) -> operations_pb2.Delivery:
    """now: what the age is counted to; without it none is told."""
    parked = row["state"] == "PARKED"
    return operations_pb2.Delivery(
        delivery_id=exception_id(service, row["delivery_id"]),
        event_id=row["event_id"],
        event_type=row["type"],
        subject=row["subject"],
        target=row["target"],
        state=operations_pb2.DeliveryState.Value(f"DELIVERY_STATE_{row['state']}"),
        attempt=row["attempt"],
        due_time=timestamp(row["lease_end"] or row["due_time"]),
        reason=row["reason"],
        failure_class=failure_class(row["failure_class"]),
        owner=owner_team(row["owner"]),
        detail=row["detail"],
        assignee=row["assignee"],
        create_time=timestamp(row["create_time"]),
        settle_time=timestamp(row["settle_time"]),
        correlation_id=row["correlation_id"],
        pointer=row["pointer"],
        park_time=timestamp(row["park_time"]),
        age_seconds=_seconds_between(row["park_time"], now) if parked and now else 0,
        four_eyes=parked and four_eyes(row),
        approval=_approval(row) if parked and row["request_id"] else None,
        edited_by=row["edited_by"],
        pinned_mapping=row["pinned_mapping"],
        replay_id=f"{service}.{row['replay_id']}" if row["replay_id"] else "",
    )


def _seconds_between(start: datetime | None, end: datetime) -> int:
    return max(0, int((end - start).total_seconds())) if start is not None else 0


def _approval(row: Row) -> operations_pb2.ApprovalRequest:
    return operations_pb2.ApprovalRequest(
        request_id=row["request_id"],
        act=operations_pb2.ExceptionAct.Value(f"EXCEPTION_ACT_{row['requested_act'].upper()}"),
        requested_by=row["requested_by"],
        reason=row["requested_reason"],
        expire_time=timestamp(row["request_expire_time"]),
    )


def render_preview(preview: Preview, roles: Collection[str]) -> operations_pb2.ReplayPreview:
    refusal = preview.refusal
    return operations_pb2.ReplayPreview(
        differences=shown_to(roles, preview.differences),
        base=preview.base,
        mapping=preview.mapping,
        refusal_reason=refusal.reason if refusal else "",
        refusal_detail=refusal.detail if refusal else "",
    )


def render_replay(service: str, row: Row, counts: Mapping[str, int]) -> operations_pb2.Replay:
    return operations_pb2.Replay(
        replay_id=f"{service}.{row['replay_id']}",
        requested_by=row["requested_by"],
        reason=row["reason"],
        items=row["items"],
        waiting=sum(counts.get(state, 0) for state in OPEN_STATES),
        delivered=counts.get("DELIVERED", 0),
        parked=counts.get("PARKED", 0),
        discarded=counts.get("DISCARDED", 0),
        per_second=row["per_second"],
        first_due_time=timestamp(row["first_due_time"]),
        last_due_time=timestamp(row["last_due_time"]),
    )


def render_attempt(service: str, row: Row) -> operations_pb2.Attempt:
    return operations_pb2.Attempt(
        delivery_id=exception_id(service, row["delivery_id"]),
        number=row["number"],
        start_time=timestamp(row["start_time"]),
        took_us=row["took_us"],
        outcome=row["outcome"],
        reason=row["reason"],
        mapping=row["mapping"],
        verdict=row["verdict"],
        operation=row["operation"],
        request_digest=row["request_digest"].hex(),
        response_digest=row["response_digest"].hex(),
    )


def render_effect(service: str, effect: Effect) -> operations_pb2.Effect:
    delivery, link, last = effect.delivery, effect.link, effect.last
    return operations_pb2.Effect(
        delivery_id=exception_id(service, delivery["delivery_id"]),
        system=effect.system,
        event_type=delivery["type"],
        key=effect.key,
        external_id=link["external_id"] if link else "",
        number=link["number"] if link else "",
        state=operations_pb2.DeliveryState.Value(f"DELIVERY_STATE_{delivery['state']}"),
        attempts=delivery["attempt"],
        probes=effect.probes,
        proof=effect.proof,
        proof_time=timestamp(delivery["settle_time"]) if effect.proof else None,
        mapping=last["mapping"] if last else "",
        verdict=last["verdict"] if last else "",
        reason=delivery["reason"] if not effect.proof else "",
        request_digest=last["request_digest"].hex() if last else "",
    )


def render_event_summary(row: Row) -> operations_pb2.EventSummary:
    return operations_pb2.EventSummary(
        event_id=row["event_id"],
        type=row["type"],
        subject=row["subject"],
        sequence=row["sequence"],
        occurred_time=timestamp(row["occurred_time"]),
        source_system=row["source_system"],
        actor=row["actor"],
        correlation_id=row["correlation_id"],
        causation_id=row["causation_id"],
        traceparent=row["traceparent"],
    )


def render_audit(row: Row) -> operations_pb2.AuditEntry:
    return operations_pb2.AuditEntry(
        position=row["position"],
        subject=row["subject"],
        field=row["field"],
        old_value=row["old_value"],
        new_value=row["new_value"],
        source_system=row["source_system"],
        actor=row["actor"],
        rule=row["rule"],
        occurred_time=timestamp(row["occurred_time"]),
        correlation_id=row["correlation_id"],
        hash=row["hash"].hex(),
    )


def render_replayed(service: str, replayed: Replayed) -> operations_service_pb2.ReplayExceptionsResponse:
    return operations_service_pb2.ReplayExceptionsResponse(
        replayed=replayed.count,
        last_due_time=timestamp(replayed.last_due_time),
        replay_ids=[f"{service}.{replayed.replay_id}"] if replayed.replay_id else [],
        awaiting_approval=replayed.awaiting_approval,
    )


def render_lineage(
    service: str, lineage: Lineage, now: datetime
) -> operations_service_pb2.GetLineageResponse:
    return operations_service_pb2.GetLineageResponse(
        events=[render_event_summary(row) for row in lineage.events],
        deliveries=[render_delivery(service, row, now) for row in lineage.deliveries],
        attempts=[render_attempt(service, row) for row in lineage.attempts],
        audit=[render_audit(row) for row in lineage.audit],
    )


def render_queue(service: str, row: Row, *, breaker_open: bool) -> operations_pb2.QueueDepth:
    return operations_pb2.QueueDepth(
        service=service,
        target=row["target"],
        waiting=row["waiting"],
        in_doubt=row["in_doubt"],
        parked=row["parked"],
        oldest_waiting_seconds=max(0, row["oldest"] or 0),
        breaker_open=breaker_open,
    )


def render_lag(service: str, row: Row) -> operations_pb2.IngestLag:
    return operations_pb2.IngestLag(
        service=service,
        system=row["system"],
        kind=row["kind"],
        caught_up_time=timestamp(row["caught_up_time"]),
        reason=row["reason"],
    )
