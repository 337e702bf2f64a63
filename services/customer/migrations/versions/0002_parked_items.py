"""What is done about parked items: approvals, edited payloads, bulk replays."""

from libs.common.durable.migrations import create_core

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    create_core("v2")
