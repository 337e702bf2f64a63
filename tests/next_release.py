"""The schema of a release to come: what a service has now, taken one step further. Open it to change the step."""

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STEP = """
from alembic import op
import sqlalchemy as sa

revision = "{revision}"
down_revision = "{before}"


def upgrade() -> None:
    for table in ("idempotency", "event", "delivery", "attempt", "link", "cursor", "audit", "{own}"):
        op.add_column(table, sa.Column("fresh", sa.Text))
        op.add_column(table, sa.Column("fresher", sa.Text, nullable=False, server_default=""))
    op.create_index("delivery_fresh", "delivery", ["fresh"])
    op.create_table("further", sa.Column("name", sa.Text, primary_key=True))
"""
RECORDS = {"order": "orders", "customer": "customers", "product": "products", "invoice": "invoices"}


def next_release(folder: Path, service: str) -> Path:
    """The service's migrations and one more, as the next release would bring them."""
    location = folder / service
    shutil.copytree(ROOT / "services" / service / "migrations", location)
    newest = max(path.name[:4] for path in (location / "versions").glob("[0-9]*.py"))
    revision = f"{int(newest) + 1:04}"
    text = STEP.format(revision=revision, before=newest, own=RECORDS[service])
    (location / "versions" / f"{revision}_next.py").write_text(text)
    return location
