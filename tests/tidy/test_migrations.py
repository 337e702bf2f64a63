"""Migrations expand; they contract a release later. docs/migrations.md says how."""

import pytest

from tests.tidy.migrations import contracting, may_contract, releases, revisions, statements_in
from tests.tidy.test_services import SERVICES
from tests.tidy.tree import ROOT, name_of, report

ADDS = (
    "CREATE TABLE fresh (id text PRIMARY KEY, total numeric NOT NULL)",
    "CREATE TABLE fresh (id text); CREATE UNIQUE INDEX fresh_id ON fresh (id)",
    "CREATE TABLE fresh (id text); ALTER TABLE fresh ADD CONSTRAINT whole CHECK (id <> '')",
    "CREATE INDEX orders_state ON orders (state) WHERE state <> ''",
    "ALTER TABLE orders ADD COLUMN region text",
    "ALTER TABLE orders ADD COLUMN region text NOT NULL DEFAULT ''",
    "ALTER TABLE orders ADD COLUMN region text, ADD COLUMN zone text NOT NULL DEFAULT ''",
    "ALTER TABLE orders ALTER COLUMN region DROP NOT NULL",
    "ALTER TABLE orders ALTER COLUMN region SET DEFAULT 'EU'",
    "ALTER TABLE orders DROP CONSTRAINT whole",
    "-- DROP TABLE orders\nSELECT 1",
    "UPDATE alembic_version SET version_num = '0002'",
)
CONTRACTS = (
    "DROP TABLE orders",
    "ALTER TABLE orders DROP COLUMN region",
    "ALTER TABLE orders DROP region",
    "ALTER TABLE orders RENAME COLUMN region TO zone",
    "ALTER TABLE orders RENAME TO sales",
    "ALTER TABLE orders ALTER COLUMN version TYPE integer",
    "ALTER TABLE orders ALTER COLUMN version SET DATA TYPE integer",
    "ALTER TABLE orders ALTER COLUMN region SET NOT NULL",
    "ALTER TABLE orders ALTER COLUMN region DROP DEFAULT",
    "ALTER TABLE orders ADD COLUMN region text NOT NULL",
    "ALTER TABLE orders ADD COLUMN zone text NOT NULL DEFAULT '', ADD COLUMN region text NOT NULL",
    "ALTER TABLE orders ADD CONSTRAINT whole CHECK (region <> '')",
    "ALTER TABLE orders ADD UNIQUE (region)",
    "CREATE UNIQUE INDEX orders_region ON orders (region)",
    "CREATE TABLE fresh (id text); DROP TABLE orders",
    "TRUNCATE orders",
    "DELETE FROM orders",
)


@pytest.mark.parametrize("script", ADDS)
def test_what_only_adds_is_let_through(script: str) -> None:
    assert contracting(statements_in(script)) == []


@pytest.mark.parametrize("script", CONTRACTS)
def test_what_older_code_would_trip_over_is_found(script: str) -> None:
    assert contracting(statements_in(script))


def test_a_contraction_waits_until_a_release_without_its_use_is_out() -> None:
    released = releases("# Changelog\n## [Unreleased]\n## [0.2.0] - 2026-05-01\n## [0.10.0]\n## [0.1.0]\n")
    assert released[0] == (0, 10, 0)
    assert may_contract("0.2.0", released)
    assert not may_contract("0.10.0", released)
    assert not may_contract("", released)
    assert not may_contract("0.1.0", [])


@pytest.mark.parametrize("service", SERVICES)
def test_migrations_leave_the_release_before_running(service: str) -> None:
    released = releases((ROOT / "CHANGELOG.md").read_text())
    wrong = [
        f"{name_of(revision.path)}: {said}"
        for revision in revisions(ROOT / "services" / service / "migrations")
        for said in contracting(revision.statements)
        if not may_contract(revision.last_used_by, released)
    ]
    assert not wrong, report("the release before would fail on this schema; see docs/migrations.md", wrong)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_s_revisions_are_rendered_at_all(service: str) -> None:
    statements = [
        text for each in revisions(ROOT / "services" / service / "migrations") for text in each.statements
    ]
    assert any(text.startswith("CREATE TABLE delivery") for text in statements)
