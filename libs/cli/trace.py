"""The way of one order as a tree on a time line: what `ordermesh orders trace` prints.

Each event hangs under the order, each delivery under its event, each attempt under its delivery. Times count
from the first event. Pure: answers of the gateway in, something to print out.
"""

from collections import defaultdict
from datetime import UTC, datetime
from typing import TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp
from ordermesh.operations.v1 import operations_pb2, operations_service_pb2
from ordermesh.order.v1 import order_pb2
from rich.console import Group
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

Lineage: TypeAlias = operations_service_pb2.GetLineageResponse
Delivery: TypeAlias = operations_pb2.Delivery
Attempt: TypeAlias = operations_pb2.Attempt

OUTCOME_STYLES = {
    "delivered": "green",
    "found": "green",
    "retrying": "yellow",
    "in_doubt": "magenta",
    "parked": "red",
    "discarded": "dim",
    "pending": "dim",
}
DIGEST_SHOWN = 12
AUDIT_SHOWN_MAX = 40
VALUE_SHOWN_MAX = 60


def trace_of(order: order_pb2.Order, lineage: Lineage) -> Group:
    """Everything that is known of the order, oldest first."""
    began = _first_time(lineage)
    deliveries: dict[str, list[Delivery]] = defaultdict(list)
    for delivery in lineage.deliveries:
        deliveries[delivery.event_id].append(delivery)
    attempts: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in lineage.attempts:
        attempts[attempt.delivery_id].append(attempt)
    tree = Tree(_heading(order, lineage))
    for event in lineage.events:
        branch = tree.add(_event_line(event, began))
        for delivery in deliveries.pop(event.event_id, ()):
            leaf = branch.add(_delivery_line(delivery, began))
            for attempt in attempts.pop(delivery.delivery_id, ()):
                leaf.add(_attempt_line(attempt, began))
    return Group(tree, _audit_table(lineage, began))


def _heading(order: order_pb2.Order, lineage: Lineage) -> Text:
    state = order_pb2.OrderState.Name(order.state).removeprefix("ORDER_STATE_")
    heading = Text(f"{order.order_id}  {state}", style="bold")
    heading.append(f"  {order.erp} {order.erp_number}".rstrip(), style="none")
    heading.append(f"\ncorrelation {order.correlation_id}", style="dim")
    traces = {
        event.traceparent.split("-")[1] for event in lineage.events if event.traceparent.count("-") == 3
    }
    if traces:
        heading.append(f"  trace {', '.join(sorted(traces))}", style="dim")
    return heading


def _event_line(event: operations_pb2.EventSummary, began: datetime) -> Text:
    line = Text(f"{_since(event.occurred_time, began)}  ", style="dim")
    line.append(f"{event.sequence} {event.type.rpartition('.')[2]}", style="bold")
    by = " ".join(part for part in (event.source_system, event.actor) if part)
    line.append(f"  by {by}" if by else "", style="dim")
    return line


def _delivery_line(delivery: Delivery, began: datetime) -> Text:
    state = operations_pb2.DeliveryState.Name(delivery.state).removeprefix("DELIVERY_STATE_").lower()
    line = Text(f"→ {delivery.target}  ")
    line.append(state, style=OUTCOME_STYLES.get(state, ""))
    if delivery.HasField("settle_time"):
        took = (_time(delivery.settle_time) - _time(delivery.create_time)).total_seconds()
        line.append(f"  after {took:.3f} s", style="dim")
    if delivery.attempt > 1:
        line.append(f"  {delivery.attempt} attempts", style="dim")
    if delivery.reason:
        line.append(f"  {delivery.reason}", style="red")
        line.append(f" {delivery.detail}" if delivery.detail else "", style="dim")
    return line


def _attempt_line(attempt: Attempt, began: datetime) -> Text:
    line = Text(f"{_since(attempt.start_time, began)}  #{attempt.number} ", style="dim")
    line.append(attempt.outcome, style=OUTCOME_STYLES.get(attempt.outcome, ""))
    line.append(f"  {attempt.took_us / 1000:.1f} ms", style="dim")
    for part in (attempt.reason, attempt.mapping, attempt.operation):
        if part:
            line.append(f"  {part}", style="none")
    if attempt.verdict:
        line.append(f"  “{attempt.verdict}”", style="none")
    digests = [
        f"{name} {digest[:DIGEST_SHOWN]}"
        for name, digest in (("sent", attempt.request_digest), ("got", attempt.response_digest))
        if digest
    ]
    if digests:
        line.append(f"  {' '.join(digests)}", style="dim")
    return line


def _audit_table(lineage: Lineage, began: datetime) -> Table:
    table = Table(title="audit", title_justify="left", box=None, pad_edge=False)
    for title in ("time", "field", "was", "became", "rule", "by"):
        table.add_column(title, overflow="fold")
    for entry in lineage.audit[:AUDIT_SHOWN_MAX]:
        by = " ".join(part for part in (entry.source_system, entry.actor) if part)
        cells = (entry.field or "(record)", entry.old_value, entry.new_value, entry.rule, by)
        table.add_row(_since(entry.occurred_time, began), *(Text(_cut(cell)) for cell in cells))
    left_out = len(lineage.audit) - AUDIT_SHOWN_MAX
    if left_out > 0:
        table.add_row("", f"and {left_out} more")
    return table


def _cut(value: str) -> str:
    return value if len(value) <= VALUE_SHOWN_MAX else value[: VALUE_SHOWN_MAX - 1] + "…"


def _first_time(lineage: Lineage) -> datetime:
    times = [_time(event.occurred_time) for event in lineage.events]
    return min(times, default=datetime.fromtimestamp(0, UTC))


def _time(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(UTC)


def _since(stamp: Timestamp, began: datetime) -> str:
    return f"+{(_time(stamp) - began).total_seconds():7.3f} s"
