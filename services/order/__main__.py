"""`python -m services.order serve|relay|ingest|migrate|all`."""

from pathlib import Path

from libs.common.durable.process import run_service
from services.order.app import build
from services.order.config import Settings

if __name__ == "__main__":
    run_service("order", Settings, build, Path(__file__).parent / "migrations")
