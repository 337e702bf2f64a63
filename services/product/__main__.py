"""`python -m services.product serve|relay|ingest|migrate|all`."""

from pathlib import Path

from libs.common.durable.process import run_service
from services.product.app import build
from services.product.config import Settings

if __name__ == "__main__":
    run_service("product", Settings, build, Path(__file__).parent / "migrations")
