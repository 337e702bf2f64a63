"""Database migrations of one service. Open this file to see how a schema comes to be.

Each service has `migrations/versions/`; its first revision makes the durable core's tables from `schema/v1.sql` and its
own. An advisory lock lets any number of processes start at once; a database that is up to date costs one query.
"""

import asyncio
import zlib
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from libs.common.durable.store import CONNECT_SECONDS, schema_of

SCHEMA = Path(__file__).parent / "schema"
CONNECTION = "connection"


def create_core(version: str) -> None:
    """For a migration: runs `schema/<version>.sql`."""
    from alembic import op  # noqa: PLC0415  (a quarter second that a start without migration saves)

    for statement in statements_of((SCHEMA / f"{version}.sql").read_text()):
        op.execute(sa.text(statement.replace(":", r"\:")))


def statements_of(script: str) -> list[str]:
    """Statements of a script in which each ends with a semicolon at the end of a line."""
    lines = [line.split("--")[0].rstrip() for line in script.splitlines()]
    text = "".join(f"{line}\n" for line in lines if line)
    return [statement.strip() for statement in text.split(";\n") if statement.strip()]


async def migrate(database_url: str, service: str, location: Path) -> None:
    """Brings the service's schema to the newest revision; does nothing when it is there."""
    engine = create_async_engine(
        database_url,
        connect_args={
            "timeout": CONNECT_SECONDS,
            "server_settings": {"search_path": schema_of(service)},
        },
    )
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_migrate, service, location)
            await connection.commit()
    finally:
        await engine.dispose()


def _migrate(connection: sa.Connection, service: str, location: Path) -> None:
    schema = schema_of(service)
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": zlib.crc32(schema.encode())})
    connection.execute(sa.text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
    if _is_newest(connection, schema, location):
        return
    from alembic import command  # noqa: PLC0415  (as above)
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(location).replace("%", "%%"))
    config.attributes[CONNECTION] = connection
    command.upgrade(config, "head")


def _is_newest(connection: sa.Connection, schema: str, location: Path) -> bool:
    """Revisions are numbered by their file names, so the newest is known without loading them."""
    if not sa.inspect(connection).has_table("alembic_version", schema=schema):
        return False
    at = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    newest = max(path.name.partition("_")[0] for path in (location / "versions").glob("[0-9]*.py"))
    return bool(at == newest)


def run_env() -> None:
    """What each service's `migrations/env.py` calls: runs within the connection `migrate` has opened."""
    from alembic import context  # noqa: PLC0415  (the module is filled only while a migration runs)

    connection: sa.Connection = context.config.attributes[CONNECTION]
    context.configure(connection=connection, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()


def migrate_now(database_url: str, service: str, location: Path) -> None:
    """`migrate` for a process that does nothing else."""
    asyncio.run(migrate(database_url, service, location))
