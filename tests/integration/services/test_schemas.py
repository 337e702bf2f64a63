"""The migrations make the tables that the code writes to, and running them again changes nothing."""

from importlib import import_module

import pytest
import sqlalchemy as sa

from libs.common.durable.migrations import migrate
from libs.common.durable.store import schema_of
from libs.common.durable.tables import METADATA
from libs.common.testing.stores import Postgres
from tests.integration.services.conftest import ROOT, url_of
from tests.integration.services.world import SERVICES, World

COLUMNS = """
SELECT relname AS table_name, attname AS column_name FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
WHERE relnamespace = $1::text::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
  AND attnum > 0 AND NOT attisdropped
"""
"""A partition has those of its table."""
VERSIONS = {("alembic_version", "version_num")}


def declared(metadata: sa.MetaData) -> set[tuple[str, str]]:
    return {(table.name, column.name) for table in metadata.sorted_tables for column in table.columns}


@pytest.mark.parametrize("service", SERVICES)
async def test_a_schema_has_the_columns_that_the_code_knows(world: World, service: str) -> None:
    found = await world.rows(service, COLUMNS, schema_of(service))
    own: sa.MetaData = import_module(f"services.{service}.store").METADATA
    made = {(str(row["table_name"]), str(row["column_name"])) for row in found}
    assert made == declared(own) | declared(METADATA) | VERSIONS


async def test_migrating_again_changes_nothing(postgres: Postgres, world: World) -> None:
    (database,) = await world.rows("order", "SELECT current_database() AS name")
    for service in SERVICES:
        url = url_of(postgres, database["name"])
        migrations = ROOT / "services" / service / "migrations"
        newest = max(path.name.partition("_")[0] for path in (migrations / "versions").glob("[0-9]*.py"))
        await migrate(url, service, migrations)
        assert await world.rows(service, "SELECT version_num FROM alembic_version") == [
            {"version_num": newest}
        ]
