"""The durable core's tables, and invoices."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from libs.common.durable.migrations import create_core

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_core("v1")
    op.create_table(
        "invoices",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("record_id", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("audit_hash", sa.LargeBinary, nullable=False),
        sa.Column("update_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("number", sa.Text, nullable=False),
        sa.Column("record", pg.JSONB, nullable=False),
    )
    op.create_index("invoices_order", "invoices", ["tenant", "order_id", "record_id"])
    op.create_index("invoices_number", "invoices", ["tenant", "number", "record_id"])
