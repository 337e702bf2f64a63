"""Retention, and room on the pages for what changes."""

from alembic import op

from libs.common.durable.migrations import create_core

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    create_core("v3")
    op.execute("ALTER TABLE customers SET (fillfactor = 80)")
