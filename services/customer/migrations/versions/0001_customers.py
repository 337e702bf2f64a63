"""The durable core's tables, and customers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from libs.common.durable.migrations import create_core

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_core("v1")
    op.create_table(
        "customers",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("record_id", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("audit_hash", sa.LargeBinary, nullable=False),
        sa.Column("update_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("number", sa.Text, nullable=False),
        sa.Column("record", pg.JSONB, nullable=False),
    )
    op.create_index("customers_number", "customers", ["tenant", "number", "record_id"])
