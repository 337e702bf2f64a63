"""The database of one service. Open this file for connections, schemas and what a database error means."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TypeVar

import asyncpg
import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from libs.common.durable.session import First, Session, nothing
from libs.common.durable.tx import Lost
from libs.common.errors import NotDone, OrdermeshError, Refused
from libs.common.reach import Reach, after

LOG = structlog.get_logger(__name__)
CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 20.0
POOL_SECONDS = 5.0
LOCK_MILLISECONDS = 5000

R = TypeVar("R")

AGAIN = (
    Lost,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.TransactionIntegrityConstraintViolationError,
    asyncpg.UniqueViolationError,
    asyncpg.LockNotAvailableError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.OutdatedSchemaCacheError,
    asyncpg.SnapshotTooOldError,
)
"""Another transaction, or a migration under way, was in the way; the same work may succeed when run again."""

UNSTORABLE = (
    asyncpg.CharacterNotInRepertoireError,
    asyncpg.UntranslatableCharacterError,
    asyncpg.NumericValueOutOfRangeError,
    asyncpg.StringDataRightTruncationError,
    asyncpg.DatetimeFieldOverflowError,
    asyncpg.InvalidTextRepresentationError,
    asyncpg.exceptions._base.DataError,
)
"""The work holds a value that no column can, for example a NUL in a text; running it again changes nothing."""

UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.TransactionTimeoutError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.StatementCompletionUnknownError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    sa.exc.DBAPIError,
    sa.exc.TimeoutError,
)
"""The database, or the way to it, cannot be used now. Ask for `UNSTORABLE` first: the driver's own kind is an
`InterfaceError` too."""

STALE = (
    ConnectionError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""How the first message fails on a connection that the server closed before; another connection may live."""


def schema_of(service: str) -> str:
    """Each service has a schema of its own."""
    return f"ordermesh_{service}"


class Store:
    """A pool of connections whose search path is the service's schema."""

    def __init__(self, database_url: str, service: str, *, pool_max: int = 8) -> None:
        self.service = service
        self._pool_max = pool_max
        self.engine: AsyncEngine = create_async_engine(
            database_url,
            pool_size=pool_max,
            max_overflow=0,
            pool_timeout=POOL_SECONDS,
            pool_recycle=1800,
            # What is returned unclean is not used again (`_connected`), so nothing needs to be taken back there.
            pool_reset_on_return=None,
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
        """A connection of the pool, as the driver sees it. One that failed or is unclean is not used again."""
        async with self._opened(nothing) as (driver, _):
            yield driver

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A connection for one commit; what is not committed within the block is taken back."""
        async with self._connected() as connection:
            session = Session(partial(self._on_a_living_one, connection))
            try:
                yield session
            except BaseException:
                await session.roll_back()
                raise

    @asynccontextmanager
    async def _opened(self, first: First[R]) -> AsyncIterator[tuple[asyncpg.Connection, R]]:
        async with self._connected() as connection:
            yield await self._on_a_living_one(connection, first)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        async with self.engine.connect() as connection:
            try:
                yield connection
            except UNSTORABLE:
                raise
            except UNREACHABLE:
                await connection.invalidate()
                raise
            finally:
                if not connection.invalidated and _driver_of(connection).is_in_transaction():
                    await connection.invalidate()

    async def _on_a_living_one(
        self, connection: AsyncConnection, first: First[R]
    ) -> tuple[asyncpg.Connection, R]:
        """Does what comes first on a connection that still lives.

        Only here shows that the server closed a connection while it lay idle, at times only by the first message being
        refused half-way: `first` must be something that can be said again.
        """
        for stale in range(self._pool_max + 1):
            driver = await _driver_for(connection)
            try:
                return driver, await _say(first, driver)
            except UNSTORABLE:
                raise
            except STALE as error:
                await connection.invalidate()
                if stale == self._pool_max:
                    raise
                LOG.info("stale_connection", cause=type(error).__name__)
            except BaseException:
                # The driver takes a transaction that could not begin, or was given up, for one that is open.
                await connection.invalidate()
                raise
        raise AssertionError("the last try returns or raises")

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Rows of one read outside any transaction.

        NotDone STORE_UNAVAILABLE when the database cannot be reached, NotDone CONFLICT when another transaction was in
        the way, Refused INVALID_FIELD for a value that no column can hold.
        """

        async def read(driver: asyncpg.Connection) -> list[asyncpg.Record]:
            return list(await driver.fetch(query, *arguments))

        with nothing_committed():
            async with self._opened(read) as (_, rows):
                return rows

    async def ping(self) -> None:
        """Raises NotDone when the database cannot be reached."""
        await self.fetch("SELECT 1")

    async def close(self) -> None:
        await self.engine.dispose()


async def _driver_for(connection: AsyncConnection) -> asyncpg.Connection:
    """Of another connection where this one was given up."""
    if connection.invalidated:
        await connection.get_raw_connection()
    return _driver_of(connection)


def _driver_of(connection: AsyncConnection) -> asyncpg.Connection:
    held = connection.sync_connection
    assert held is not None
    driver: asyncpg.Connection | None = held.connection.driver_connection
    assert driver is not None
    return driver


async def _say(first: First[R], driver: asyncpg.Connection) -> R:
    if driver.is_closed():
        raise asyncpg.ConnectionDoesNotExistError("closed while idle")
    return await first(driver)


@contextmanager
def nothing_committed() -> Iterator[None]:
    """For work that commits nothing: what the database says becomes NotDone, or Refused for a value."""
    try:
        yield
    except AGAIN as error:
        raise NotDone("CONFLICT", f"another transaction was in the way ({type(error).__name__})") from error
    except UNSTORABLE as error:
        raise unstorable() from error
    except UNREACHABLE as error:
        raise unreachable(error) from error


def unreachable(error: BaseException, commit: Reach = Reach.NOT_SENT) -> OrdermeshError:
    """What is known once the database is away. commit: how far the COMMIT came; the driver's words stay inside."""
    detail = f"the database is away ({type(error).__name__})"
    return after(commit, effect=True, detail=detail, not_done="STORE_UNAVAILABLE")


def unstorable() -> OrdermeshError:
    """Nothing was committed, and never will be as it is."""
    return Refused("INVALID_FIELD", "a value holds what cannot be stored, for example a NUL character")
