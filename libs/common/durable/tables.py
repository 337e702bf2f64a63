"""The durable core's tables as SQLAlchemy sees them. Open this file to write a query over them.

The scripts in `schema/` create them and say what each column means; a test compares both.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

METADATA = sa.MetaData()
TIME = sa.DateTime(timezone=True)


ColumnType = sa.types.TypeEngine[Any] | type[sa.types.TypeEngine[Any]]


def _table(name: str, **columns: ColumnType) -> sa.Table:
    return sa.Table(name, METADATA, *(sa.Column(column, kind) for column, kind in columns.items()))


def _texts(*names: str) -> dict[str, ColumnType]:
    return dict.fromkeys(names, sa.Text)


IDEMPOTENCY = _table(
    "idempotency",
    **_texts("tenant", "method", "key"),
    fingerprint=sa.LargeBinary,
    answer=sa.LargeBinary,
    expiry_time=TIME,
)
EVENT = _table(
    "event",
    position=sa.BigInteger,
    **_texts("event_id", "tenant", "type", "subject"),
    sequence=sa.BigInteger,
    data=sa.LargeBinary,
    **_texts("source_system", "actor", "correlation_id", "causation_id", "traceparent", "contract_version"),
    occurred_time=TIME,
)
DELIVERY = _table(
    "delivery",
    delivery_id=sa.BigInteger,
    **_texts("tenant", "event_id", "target", "subject"),
    sequence=sa.BigInteger,
    state=sa.Text,
    attempt=sa.Integer,
    due_time=TIME,
    lease_id=sa.Text,
    lease_end=TIME,
    **_texts("reason", "failure_class", "owner", "detail", "pointer", "assignee", "pinned_mapping"),
    create_time=TIME,
    park_time=TIME,
    settle_time=TIME,
    **_texts("request_id", "requested_act", "requested_by", "requested_reason"),
    request_expire_time=TIME,
    edited_data=sa.LargeBinary,
    **_texts("edited_by", "replay_id"),
)
ATTEMPT = _table(
    "attempt",
    delivery_id=sa.BigInteger,
    number=sa.Integer,
    start_time=TIME,
    took_us=sa.BigInteger,
    **_texts("outcome", "reason", "mapping", "verdict", "operation"),
    request_digest=sa.LargeBinary,
    response_digest=sa.LargeBinary,
    sealed_exchange=sa.LargeBinary,
)
LINK = _table("link", **_texts("tenant", "system", "kind", "external_id", "record_id", "number", "version"))
CURSOR = _table(
    "cursor",
    **_texts("tenant", "system", "kind"),
    position=sa.LargeBinary,
    generation=sa.BigInteger,
    caught_up_time=TIME,
    reason=sa.Text,
)
AUDIT = _table(
    "audit",
    position=sa.BigInteger,
    **_texts("tenant", "subject", "field", "old_value", "new_value", "source_system", "actor", "rule"),
    correlation_id=sa.Text,
    occurred_time=TIME,
    hash=sa.LargeBinary,
)

REPLAY = _table(
    "replay",
    **_texts("replay_id", "tenant", "requested_by", "reason"),
    items=sa.Integer,
    per_second=sa.Integer,
    first_due_time=TIME,
    last_due_time=TIME,
    create_time=TIME,
)
AUDIT_ANCHOR = _table(
    "audit_anchor",
    **_texts("tenant", "subject"),
    hash=sa.LargeBinary,
    rows_removed=sa.BigInteger,
    remove_time=TIME,
)

LISTED = ", ".join(f"d.{column.name}" for column in DELIVERY.columns if column.name != "edited_data")
"""Columns of `delivery d` for lists: a payload may be large, and nobody lists payloads."""
OPEN_STATES = ("PENDING", "RETRYING", "IN_DOUBT")
"""States in which a machine goes on."""


def record_table(name: str, metadata: sa.MetaData, *index_columns: str) -> sa.Table:
    """A service's own table of records: the record as JSON, and text columns for what is looked up by."""
    return sa.Table(
        name,
        metadata,
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("record_id", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger),
        sa.Column("audit_hash", sa.LargeBinary),
        sa.Column("update_time", TIME),
        *(sa.Column(column, sa.Text) for column in index_columns),
        sa.Column("record", pg.JSONB),
    )
