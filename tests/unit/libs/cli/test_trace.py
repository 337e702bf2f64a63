"""The trace shows every hop and attempt of an order."""

from datetime import UTC, datetime, timedelta

from ordermesh.operations.v1 import operations_pb2, operations_service_pb2
from ordermesh.order.v1 import order_pb2
from rich.console import Console

from libs.cli.trace import AUDIT_SHOWN_MAX, trace_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def a_lineage() -> operations_service_pb2.GetLineageResponse:
    event = operations_pb2.EventSummary(
        event_id="evt_1",
        type="ordermesh.order.v1.OrderTaxed",
        sequence=5,
        source_system="salesforce",
        actor="sales",
        traceparent=f"00-{TRACE_ID}-00f067aa0ba902b7-01",
    )
    event.occurred_time.FromDatetime(NOON)
    delivery = operations_pb2.Delivery(
        delivery_id="order.9",
        event_id="evt_1",
        target="stage:post",
        state=operations_pb2.DELIVERY_STATE_DELIVERED,
        attempt=2,
    )
    delivery.create_time.FromDatetime(NOON)
    delivery.settle_time.FromDatetime(NOON + timedelta(seconds=1.5))
    doubt = operations_pb2.Attempt(
        delivery_id="order.9",
        number=1,
        took_us=20_000,
        outcome="in_doubt",
        reason="OUTCOME_UNKNOWN",
        operation="PUT /salesOrder",
    )
    doubt.start_time.FromDatetime(NOON + timedelta(milliseconds=10))
    found = operations_pb2.Attempt(
        delivery_id="order.9",
        number=2,
        took_us=9_000,
        outcome="found",
        mapping="netsuite.sales_order@1",
        verdict="Pending Approval",
        request_digest="a" * 64,
    )
    found.start_time.FromDatetime(NOON + timedelta(seconds=1.4))
    audit = operations_pb2.AuditEntry(field="state", old_value="RECEIVED", new_value="[POSTED]", rule="post")
    audit.occurred_time.FromDatetime(NOON)
    return operations_service_pb2.GetLineageResponse(
        events=[event], deliveries=[delivery], attempts=[doubt, found], audit=[audit] * (AUDIT_SHOWN_MAX + 2)
    )


def shown(lineage: operations_service_pb2.GetLineageResponse) -> str:
    order = order_pb2.Order(
        order_id="ord_1",
        state=order_pb2.ORDER_STATE_POSTED,
        erp="netsuite",
        erp_number="SO1504",
        correlation_id="c-1",
    )
    console = Console(width=200)
    with console.capture() as capture:
        console.print(trace_of(order, lineage))
    return capture.get()


def test_hops_attempts_mapping_verdict_and_times_are_shown() -> None:
    text = shown(a_lineage())
    for part in (
        "ord_1  POSTED  netsuite SO1504",
        f"trace {TRACE_ID}",
        "5 OrderTaxed  by salesforce sales",
        "→ stage:post  delivered  after 1.500 s  2 attempts",
        "+  0.010 s  #1 in_doubt  20.0 ms  OUTCOME_UNKNOWN  PUT /salesOrder",
        "#2 found  9.0 ms  netsuite.sales_order@1  “Pending Approval”  sent aaaaaaaaaaaa",
        "[POSTED]",
        "and 2 more",
    ):
        assert part in text, part


def test_an_order_of_which_nothing_is_known_is_shown_too() -> None:
    assert "ord_1" in shown(operations_service_pb2.GetLineageResponse())
