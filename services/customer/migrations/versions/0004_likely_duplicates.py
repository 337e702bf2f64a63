"""What likely duplicates share, each in a column with an index. PostgreSQL fills them, also for older processes."""

from alembic import op

revision = "0004"
down_revision = "0003"

UPPER, LOWER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
IGNORED = " !\"#$%&''()*+,-./:<=>?@[\\]^_`{|}~"
"""Within quotes of SQL."""


def plain(text: str) -> str:
    """SQL: small letters, without blanks and marks."""
    return f"translate({text}, '{UPPER}{IGNORED}', '{LOWER}')"


KEYS = {
    "match_tax_id": plain("record->>'tax_id'"),
    "match_duns": plain("record->>'duns'"),
    "match_name": "left(" + plain("record->>'name'") + ", 8)",
    "match_place": "CASE WHEN record->'bill_to'->>'postal_code' <> '' THEN "
    + plain("coalesce(record->'bill_to'->>'country_code', '') || (record->'bill_to'->>'postal_code')")
    + " END",
}


def upgrade() -> None:
    columns = ", ".join(
        f"ADD COLUMN {name} text GENERATED ALWAYS AS (nullif({key}, '')) STORED" for name, key in KEYS.items()
    )
    op.execute(f"ALTER TABLE customers {columns}")
    for name in KEYS:
        op.execute(
            f"CREATE INDEX customers_{name} ON customers (tenant, {name}, record_id) WHERE {name} IS NOT NULL"
        )
