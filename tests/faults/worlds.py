"""Small worlds for planted bugs: the four services in this process on a real PostgreSQL, each on a database of its own.

Open it to learn what a broken part is run in.
"""

import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from libs.common.context import using
from libs.common.durable.migrations import migrate
from libs.common.ids import new_id
from libs.common.testing.ledger import Tables
from libs.common.testing.stores import Postgres, running_postgres
from tests.integration.services.world import SERVICES, OutsideSystem, World

ROOT = Path(__file__).resolve().parents[2]
MODEL = "faults_model"


@dataclass(frozen=True, slots=True)
class Worlds:
    """A PostgreSQL with a model database; each world is a copy."""

    postgres: Postgres

    def url(self, database: str) -> str:
        return f"postgresql+asyncpg://postgres@/{database}?host={self.postgres.folder}"

    async def make_model(self) -> None:
        """All schemas, empty, once."""
        await self._execute(f"CREATE DATABASE {MODEL}")
        for service in SERVICES:
            await migrate(self.url(MODEL), service, ROOT / "services" / service / "migrations")

    @asynccontextmanager
    async def world(self, systems: Mapping[str, OutsideSystem]) -> AsyncIterator[tuple[World, Tables]]:
        """A fresh world. systems: those that stand for the usual ones of the same name."""
        database = new_id("db")
        await self._execute(f"CREATE DATABASE {database} TEMPLATE {MODEL}")
        folder = Path(tempfile.mkdtemp(prefix="ordermesh-world-"))
        connection = {"host": str(self.postgres.folder), "user": "postgres", "database": database}
        world = World(folder, self.url(database), connection)
        world.systems.update(systems)
        try:
            await world.start()
            with using(world.machine.context("acme")):
                yield world, Tables(str(self.postgres.folder), database)
        finally:
            await world.close()
            await self._execute(f"DROP DATABASE {database} WITH (FORCE)")
            shutil.rmtree(folder, ignore_errors=True)

    async def _execute(self, statement: str) -> None:
        driver = await asyncpg.connect(host=str(self.postgres.folder), user="postgres", database="postgres")
        try:
            await driver.execute(statement)
        finally:
            await driver.close()


@asynccontextmanager
async def open_worlds() -> AsyncIterator[Worlds]:
    """A PostgreSQL of its own, gone in the end."""
    with running_postgres() as postgres:
        worlds = Worlds(postgres)
        await worlds.make_model()
        yield worlds
