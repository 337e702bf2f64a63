"""The database of one service. Open this file for connections, schemas and what a database error means."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

import asyncpg
import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import greenlet_spawn

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
            # What is returned unclean is not used again (`Lent`), so nothing needs to be taken back there.
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
        async with Lent(self.engine) as lent:
            driver, _ = await self._on_a_living_one(lent, nothing)
            yield driver

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A connection for one commit; what is not committed within the block is taken back."""
        async with Lent(self.engine) as lent:
            session = Session(partial(self._on_a_living_one, lent))
            try:
                yield session
            except BaseException:
                await session.roll_back()
                raise

    async def _on_a_living_one(self, lent: "Lent", first: First[R]) -> tuple[asyncpg.Connection, R]:
        """Does what comes first on a connection that still lives.

        Only here shows that the server closed a connection while it lay idle, at times only by the first message being
        refused half-way: `first` must be something that can be said again.
        """
        for stale in range(self._pool_max + 1):
            driver = await lent.driver()
            try:
                return driver, await _say(first, driver)
            except UNSTORABLE:
                raise
            except STALE as error:
                await lent.give_up()
                if stale == self._pool_max:
                    raise
                LOG.info("stale_connection", cause=type(error).__name__)
            except BaseException:
                # The driver takes a transaction that could not begin, or was given up, for one that is open.
                await lent.give_up()
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
            async with Lent(self.engine) as lent:
                _, rows = await self._on_a_living_one(lent, read)
                return rows

    async def ping(self) -> None:
        """Raises NotDone when the database cannot be reached."""
        await self.fetch("SELECT 1")

    async def close(self) -> None:
        await self.engine.dispose()


class Lent:
    """A connection of the pool from the first use on, and another one where it was given up.

    The pool's own and not the engine's, which brings what SQLAlchemy knows of statements and transactions, and costs
    more than a short read.
    """

    __slots__ = ("_engine", "_held")

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._held: sa.PoolProxiedConnection | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        held = self._held
        if held is None:
            return
        unusable = isinstance(error, UNREACHABLE) and not isinstance(error, UNSTORABLE)
        if unusable or _driver_of(held).is_in_transaction():
            await self.give_up()
        else:
            held.close()

    async def driver(self) -> asyncpg.Connection:
        """Raises what `UNREACHABLE` names when none is to be had."""
        if self._held is None:
            try:
                self._held = await self._engine.raw_connection()
            except self._engine.dialect.loaded_dbapi.Error as error:
                raise sa.exc.DBAPIError("connect", None, error) from error
        return _driver_of(self._held)

    async def give_up(self) -> None:
        """It is closed, and not used again."""
        held, self._held = self._held, None
        if held is not None:
            await greenlet_spawn(held.invalidate)


def _driver_of(held: sa.PoolProxiedConnection) -> asyncpg.Connection:
    driver: asyncpg.Connection | None = held.driver_connection
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
