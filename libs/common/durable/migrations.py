"""Database migrations of one service. Open this file to see how a schema comes to be.

Each service has `migrations/versions/`; its first revision makes the durable core's tables from `schema/v1.sql` and its
own, later ones bring the core on with the scripts after it. An advisory lock lets any number of processes start at
once; a database that is up to date costs one query.

A migration runs while the processes of the release before go on (docs/migrations.md): it only adds, it waits for no
lock so long that others queue up behind it, and a process that meets a schema newer than it knows leaves it alone.
"""

import asyncio
import zlib
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from libs.common.clock import SystemClock
from libs.common.durable.store import CONNECT_SECONDS, schema_of

LOG = structlog.get_logger(__name__)
SCHEMA = Path(__file__).parent / "schema"
CONNECTION = "connection"
LOCK_MILLISECONDS = 2000
"""Longest wait for a table's lock; everybody else who wants the table waits behind a migration that waits."""
LOCK_TRIES = 30
LOCK_AGAIN_AFTER = timedelta(seconds=1)
IN_THE_WAY = frozenset({"55P03", "40P01"})
"""SQLSTATE: no lock in time; a deadlock with a process that takes the same tables in another order."""


def create_core(version: str) -> None:
    """For a migration: runs `schema/<version>.sql`."""
    from alembic import op  # noqa: PLC0415  (a quarter second that a start without migration saves)

    for statement in statements_of((SCHEMA / f"{version}.sql").read_text()):
        op.execute(sa.text(statement.replace(":", r"\:")))


def core_statements() -> list[str]:
    """Statements of all scripts, in order: the core's tables as they are now."""
    scripts = sorted(SCHEMA.glob("v*.sql"), key=lambda path: int(path.stem[1:]))
    return [statement for script in scripts for statement in statements_of(script.read_text())]


def statements_of(script: str) -> list[str]:
    """Statements of a script in which each ends with a semicolon at the end of a line."""
    lines = [line.split("--")[0].rstrip() for line in script.splitlines()]
    text = "".join(f"{line}\n" for line in lines if line)
    return [statement.strip() for statement in text.split(";\n") if statement.strip()]


async def migrate(database_url: str, service: str, location: Path) -> None:
    """Brings the service's schema to the newest revision; does nothing when it is there, or beyond.

    A lock that others hold is asked for again and again; raises sa.exc.DBAPIError when it never comes free.
    """
    engine = create_async_engine(
        database_url,
        connect_args={
            "timeout": CONNECT_SECONDS,
            "server_settings": {"search_path": schema_of(service)},
        },
    )
    try:
        for tried in range(1, LOCK_TRIES + 1):
            if await _migrate_once(engine, service, location, last=tried == LOCK_TRIES):
                return
            await SystemClock().wait(asyncio.Event(), LOCK_AGAIN_AFTER)
    finally:
        await engine.dispose()


async def _migrate_once(engine: AsyncEngine, service: str, location: Path, *, last: bool) -> bool:
    """False when a table was in use; nothing was changed then."""
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_migrate, service, location)
            await connection.commit()
    except sa.exc.DBAPIError as error:
        if last or getattr(error.orig, "sqlstate", "") not in IN_THE_WAY:
            raise
        LOG.info("migration_waits", service=service)
        return False
    return True


def _migrate(connection: sa.Connection, service: str, location: Path) -> None:
    schema = schema_of(service)
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": zlib.crc32(schema.encode())})
    connection.execute(sa.text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
    if _is_newest(connection, schema, location):
        return
    connection.execute(sa.text(f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}"))
    from alembic import command  # noqa: PLC0415  (as above)
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(location).replace("%", "%%"))
    config.attributes[CONNECTION] = connection
    command.upgrade(config, "head")


def _is_newest(connection: sa.Connection, schema: str, location: Path) -> bool:
    """Revisions are numbered by their file names, so the newest is known without loading them.

    A process of the release before, started again during an upgrade, finds a revision it does not know.
    """
    if not sa.inspect(connection).has_table("alembic_version", schema=schema):
        return False
    at = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    newest = max(path.name.partition("_")[0] for path in (location / "versions").glob("[0-9]*.py"))
    if at is not None and at > newest:
        LOG.warning("schema_is_newer", schema=schema, at=at, known=newest)
    return at is not None and at >= newest


def run_env() -> None:
    """What each service's `migrations/env.py` calls: runs within the connection `migrate` has opened."""
    from alembic import context  # noqa: PLC0415  (the module is filled only while a migration runs)

    connection: sa.Connection = context.config.attributes[CONNECTION]
    context.configure(connection=connection, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()
