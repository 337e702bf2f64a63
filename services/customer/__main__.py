"""`python -m services.customer serve|relay|ingest|migrate|all`."""

from pathlib import Path

from libs.common.durable.process import run_service
from services.customer.app import build
from services.customer.config import Settings

if __name__ == "__main__":
    run_service("customer", Settings, build, Path(__file__).parent / "migrations")
