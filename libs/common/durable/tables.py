"""The durable core's tables as SQLAlchemy sees them. Open this file to write a query over them.

`schema/v1.sql` creates them and says what each column means; a test compares both.
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
    **_texts(
        "lease_id", "reason", "failure_class", "owner", "detail", "pointer", "assignee", "pinned_mapping"
    ),
    create_time=TIME,
    park_time=TIME,
    settle_time=TIME,
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
