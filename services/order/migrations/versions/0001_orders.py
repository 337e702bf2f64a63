"""The durable core's tables, orders, and the copies of customers and products they need."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from libs.common.durable.migrations import create_core

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_core("v1")
    op.create_table(
        "orders",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("record_id", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("audit_hash", sa.LargeBinary, nullable=False),
        sa.Column("update_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("source_system", sa.Text, nullable=False),
        sa.Column("source_id", sa.Text, nullable=False),
        sa.Column("erp_number", sa.Text, nullable=False),
        sa.Column("correlation_id", sa.Text, nullable=False),
        sa.Column("record", pg.JSONB, nullable=False),
    )
    op.create_index("orders_source", "orders", ["tenant", "source_id"])
    op.create_index("orders_customer", "orders", ["tenant", "customer_id", "record_id"])
    op.create_table(
        "reference",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("record", pg.JSONB, nullable=False),
    )
