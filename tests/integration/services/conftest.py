"""Each test has a database of its own, copied from one that the migrations have made once."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from connectors.kit.port import Connector
from libs.common.context import using
from libs.common.durable.migrations import migrate
from libs.common.ids import new_id
from libs.common.testing.stores import Postgres
from tests.integration.services.world import SERVICES, World

ROOT = Path(__file__).resolve().parents[3]
MODEL = "services_model"


def url_of(postgres: Postgres, database: str) -> str:
    return f"postgresql+asyncpg://postgres@/{database}?host={postgres.folder}"


async def execute(postgres: Postgres, statement: str) -> None:
    """A statement about whole databases."""
    driver = await asyncpg.connect(host=str(postgres.folder), user="postgres", database="postgres")
    try:
        await driver.execute(statement)
    finally:
        await driver.close()


async def make_model(postgres: Postgres) -> None:
    await execute(postgres, f"CREATE DATABASE {MODEL}")
    for service in SERVICES:
        await migrate(url_of(postgres, MODEL), service, ROOT / "services" / service / "migrations")


@pytest.fixture(scope="session")
def model(postgres: Postgres) -> str:
    """A database with the schemas of the four services, empty. Copy it, do not write to it."""
    asyncio.run(make_model(postgres))
    return MODEL


@asynccontextmanager
async def a_world(
    postgres: Postgres, model: str, folder: Path, real: Mapping[str, Connector] | None = None
) -> AsyncIterator[World]:
    """The services over a fresh copy; calls of the test are made by a process of the mesh for tenant acme."""
    database = new_id("db")
    await execute(postgres, f"CREATE DATABASE {database} TEMPLATE {model}")
    connection = {"host": str(postgres.folder), "user": "postgres", "database": database}
    world = World(folder, url_of(postgres, database), connection)
    world.real.update(real or {})
    try:
        await world.start()
        with using(world.machine.context("acme")):
            yield world
    finally:
        await world.close()
        await execute(postgres, f"DROP DATABASE {database} WITH (FORCE)")


@pytest_asyncio.fixture
async def world(postgres: Postgres, model: str, tmp_path: Path) -> AsyncIterator[World]:
    """The services, with outside systems that say what a test lets them say."""
    async with a_world(postgres, model, tmp_path) as world:
        yield world
