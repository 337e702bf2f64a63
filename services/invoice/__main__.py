"""`python -m services.invoice serve|relay|ingest|migrate|all`."""

from pathlib import Path

from libs.common.durable.process import run_service
from services.invoice.app import build
from services.invoice.config import Settings

if __name__ == "__main__":
    run_service("invoice", Settings, build, Path(__file__).parent / "migrations")
