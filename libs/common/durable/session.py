"""A connection for one commit. Open this file to see when a transaction begins, and which commit needs none.

Whatever is read or written begins the transaction, once. A commit whose only statement is its last one is that
statement alone, which is a transaction by itself: one way to the database and back, where BEGIN and COMMIT would make
three. Said first on a connection that the server has closed meanwhile it is in doubt, so it is said first only where a
key tells afterwards what became of it.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol, TypeVar

import asyncpg
from asyncpg.transaction import Transaction

from libs.common.durable.crash import crash_point
from libs.common.reach import Reach

R = TypeVar("R")
First = Callable[[asyncpg.Connection], Awaitable[R]]
"""What is said first on a connection; it can be said again on another one."""
Rows = list[asyncpg.Record]


class SayFirst(Protocol):
    """Says it on a connection that lives; the connection, and what it answered."""

    async def __call__(self, first: First[R], /) -> tuple[asyncpg.Connection, R]: ...


class Session:
    """One commit's way to the database."""

    def __init__(self, say_first: SayFirst) -> None:
        self._say_first = say_first
        self._driver: asyncpg.Connection | None = None
        self._transaction: Transaction | None = None
        self.reach = Reach.NOT_SENT
        """How far the commit itself came."""
        self.has_keys = False
        """True when a commit in doubt is found again by the keys it writes."""

    async def look(self, query: str, *arguments: object) -> Rows:
        """Rows of a read that begins nothing: only for what the commit fails of when it has changed since."""
        if self._transaction is not None:
            return await self.fetch(query, *arguments)
        self._driver, rows = await self._say_first(partial(_fetch, query, arguments))
        return rows

    async def fetch(self, query: str, *arguments: object) -> Rows:
        return await _fetch(query, arguments, await self.begun())

    async def fetchrow(self, query: str, *arguments: object) -> asyncpg.Record | None:
        return await (await self.begun()).fetchrow(query, *arguments)

    async def fetchval(self, query: str, *arguments: object) -> Any:
        return await (await self.begun()).fetchval(query, *arguments)

    async def execute(self, query: str, *arguments: object) -> str:
        return str(await (await self.begun()).execute(query, *arguments))

    async def fetch_last(self, query: str, *arguments: object) -> Rows:
        """Rows of the commit's last statement, which is the commit where nothing has begun."""
        if self._driver is None and self.has_keys:
            self._driver, _ = await self._say_first(nothing)
        if self._transaction is not None or self._driver is None:
            return await self.fetch(query, *arguments)
        crash_point("before_commit")
        self.reach = Reach.SENT
        try:
            return await _fetch(query, arguments, self._driver)
        except asyncpg.PostgresError as error:
            # The database lives and says that it has taken the statement back.
            if error.severity_en == "ERROR":
                self.reach = Reach.ANSWERED
            raise

    async def commit(self) -> None:
        if self._transaction is not None:
            crash_point("before_commit")
            self.reach = Reach.SENT
            await self._transaction.commit()

    async def roll_back(self) -> None:
        """Takes back what was not about to be committed."""
        transaction, self._transaction = self._transaction, None
        if transaction is None or self._driver is None or self.reach is not Reach.NOT_SENT:
            return
        if not self._driver.is_closed():
            await transaction.rollback()

    async def begun(self) -> asyncpg.Connection:
        """The connection, with the transaction begun on it."""
        if self._transaction is None:
            self._driver, self._transaction = await self._say_first(_begin)
        assert self._driver is not None
        return self._driver


async def _fetch(query: str, arguments: tuple[object, ...], driver: asyncpg.Connection) -> Rows:
    rows: Rows = await driver.fetch(query, *arguments)
    return rows


async def nothing(driver: asyncpg.Connection) -> None:
    """For whoever only wants a connection: one that is not known to be closed."""


async def _begin(driver: asyncpg.Connection) -> Transaction:
    transaction = driver.transaction()
    await transaction.start()
    return transaction
