"""How items, differences and histories are shown. Open this file when a column is missing."""

from collections.abc import Iterable, Sequence
from datetime import UTC, timedelta

from ordermesh.common.v1 import difference_pb2, error_reason_pb2
from ordermesh.operations.v1 import operations_pb2, operations_service_pb2
from rich.table import Table
from rich.text import Text

BASES = {
    operations_pb2.PREVIEW_BASE_HELD_NOW: "held now",
    operations_pb2.PREVIEW_BASE_SENT_LAST: "sent last",
    operations_pb2.PREVIEW_BASE_RECORD: "our record",
}


def table_of(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    """Plain columns; what stands in them is never read as markup."""
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def exception_table(items: Sequence[operations_pb2.Delivery]) -> Table:
    """What is parked, since when, why, and who owns it."""
    titles = ("id", "age", "record", "target", "reason", "class", "owner", "in charge", "asked for", "detail")
    return table_of(titles, (_cells(item) for item in items))


def _cells(item: operations_pb2.Delivery) -> Sequence[str]:
    failure_class = error_reason_pb2.FailureClass.Name(item.failure_class).removeprefix("FAILURE_CLASS_")
    return (
        item.delivery_id,
        age(item),
        item.subject,
        item.target,
        item.reason,
        failure_class.lower(),
        owner_name(item),
        item.assignee,
        asked_for(item),
        item.detail,
    )


def age(item: operations_pb2.Delivery) -> str:
    """`3d 4h`, `4h 5m`, `5m 6s`; empty unless it is parked."""
    if not item.HasField("park_time"):
        return ""
    span = timedelta(seconds=item.age_seconds)
    hours, rest = divmod(span.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    if span.days:
        return f"{span.days}d {hours}h"
    return f"{hours}h {minutes}m" if hours else f"{minutes}m {seconds}s"


def owner_name(item: operations_pb2.Delivery) -> str:
    """`finance`, `master-data` …"""
    name = error_reason_pb2.OwnerTeam.Name(item.owner).removeprefix("OWNER_TEAM_")
    return name.lower().replace("_", "-")


def asked_for(item: operations_pb2.Delivery) -> str:
    """`replay by jane`; `needs two` where the reason will demand a second person."""
    if not item.HasField("approval"):
        return "needs two" if item.four_eyes else ""
    act = operations_pb2.ExceptionAct.Name(item.approval.act).removeprefix("EXCEPTION_ACT_").lower()
    return f"{act} by {item.approval.requested_by}"


def attempt_table(attempts: Sequence[operations_pb2.Attempt]) -> Table:
    """Each try with the mapping that ran."""
    return table_of(
        ("try", "at", "outcome", "reason", "mapping", "verdict"),
        (
            (
                str(each.number),
                f"{each.start_time.ToDatetime(UTC):%m-%d %H:%M:%S}",
                each.outcome,
                each.reason,
                each.mapping,
                each.verdict,
            )
            for each in attempts
        ),
    )


def history_table(history: Sequence[operations_pb2.AuditEntry]) -> Table:
    """What people did and said."""
    return table_of(
        ("at", "who", "did", "field", "old", "new"),
        (
            (
                f"{each.occurred_time.ToDatetime(UTC):%m-%d %H:%M:%S}",
                each.actor,
                each.rule,
                each.field,
                each.old_value,
                each.new_value,
            )
            for each in history
        ),
    )


def difference_table(differences: Sequence[difference_pb2.FieldDifference], base: str) -> Table:
    """What would change where; base: what the old values are."""
    return table_of(
        ("where", "field", base, "would be"),
        (
            (
                each.target,
                each.path,
                each.old_value if each.HasField("old_value") else "-",
                each.new_value if each.HasField("new_value") else "-",
            )
            for each in differences
        ),
    )


def preview_lines(
    answer: operations_service_pb2.PreviewExceptionResponse,
) -> Iterable[str | Table]:
    """What a replay would do, as people read it."""
    preview = answer.preview
    if preview.refusal_reason:
        yield f"would fail again: {preview.refusal_reason}: {preview.refusal_detail}"
    elif not preview.differences:
        yield "nothing would change"
    if preview.mapping:
        yield f"mapping: {preview.mapping}"
    if preview.differences:
        yield difference_table(preview.differences, BASES.get(preview.base, "old"))
