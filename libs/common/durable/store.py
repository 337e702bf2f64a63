"""The database of one service. Open this file for connections, schemas and what a database error means."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from libs.common.durable.tx import Lost
from libs.common.errors import NotDone, OrdermeshError

CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 20.0
POOL_SECONDS = 5.0
LOCK_MILLISECONDS = 5000

AGAIN = (
    Lost,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.UniqueViolationError,
    asyncpg.LockNotAvailableError,
)
"""Another transaction was in the way; the same work may succeed when run again."""

UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncio.TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DiskFullError,
    asyncpg.InterfaceError,
    asyncpg.QueryCanceledError,
    asyncpg.ReadOnlySQLTransactionError,
    sa.exc.DBAPIError,
    sa.exc.TimeoutError,
)


def schema_of(service: str) -> str:
    """Each service has a schema of its own."""
    return f"ordermesh_{service}"


class Store:
    """A pool of connections whose search path is the service's schema."""

    def __init__(self, database_url: str, service: str, *, pool_max: int = 8) -> None:
        self.service = service
        self.engine: AsyncEngine = create_async_engine(
            database_url,
            pool_size=pool_max,
            max_overflow=0,
            pool_timeout=POOL_SECONDS,
            pool_recycle=1800,
            connect_args={
                "timeout": CONNECT_SECONDS,
                "command_timeout": STATEMENT_SECONDS,
                "server_settings": {
                    "search_path": schema_of(service),
                    "application_name": f"ordermesh-{service}",
                    "lock_timeout": str(LOCK_MILLISECONDS),
                    "idle_in_transaction_session_timeout": "30000",
                    "TimeZone": "UTC",
                },
            },
        )

    @asynccontextmanager
    async def driver(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection of the pool, as the driver sees it. One that failed is not used again."""
        async with self.engine.connect() as connection:
            raw = await connection.get_raw_connection()
            driver = raw.driver_connection
            assert driver is not None
            try:
                yield driver
            except UNREACHABLE:
                await connection.invalidate()
                raise

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Rows of one read outside any transaction. NotDone STORE_UNAVAILABLE when the database cannot be reached."""
        try:
            async with self.driver() as driver:
                return list(await driver.fetch(query, *arguments))
        except UNREACHABLE as error:
            raise unreachable(error) from error

    async def ping(self) -> None:
        """Raises NotDone when the database cannot be reached."""
        await self.fetch("SELECT 1")

    async def close(self) -> None:
        await self.engine.dispose()


def unreachable(error: BaseException) -> OrdermeshError:
    """Nothing was committed; the driver's words stay inside."""
    return NotDone("STORE_UNAVAILABLE", f"the database is away ({type(error).__name__})")
