"""Entry point alembic looks for; everything is in `libs.common.durable.migrations`."""

from libs.common.durable.migrations import run_env

run_env()
