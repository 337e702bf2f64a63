"""The order service over a store that answers at once. Open this file to see what "null store" leaves out.

Everything else is the product's own: identity, validation, idempotency, commands, rendering of rows. Only the driver is
another one, whose statements cost nothing and keep nothing. Copies of customers and products are read once, from the
database of the run.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar, cast

import asyncpg

from libs.common.durable.core import App
from libs.common.durable.process import run_service
from libs.common.durable.session import First, Session
from libs.common.durable.store import Store
from services.order import app
from services.order.config import Settings
from services.order.store import OrderTx

R = TypeVar("R")
Rows = list[asyncpg.Record]


class NullTransaction:
    """Begins and commits at once."""

    async def start(self) -> None: ...

    async def commit(self) -> None: ...

    async def rollback(self) -> None: ...


class NullDriver:
    """A connection of which nothing is known and that takes everything."""

    def __init__(self, store: Store, copies: dict[str, asyncpg.Record]) -> None:
        self._store = store
        self._copies = copies

    def transaction(self) -> NullTransaction:
        return NullTransaction()

    def is_closed(self) -> bool:
        return False

    async def fetch(self, query: str, *arguments: object) -> Rows:
        if "FROM reference" in query:
            return await self._known(query, arguments)
        return [("",)] if query.endswith("FROM idempotency_rows") else []

    async def _known(self, query: str, arguments: Sequence[object]) -> Rows:
        names = cast(list[str], arguments[1])
        missing = [name for name in names if name not in self._copies]
        if missing:
            for row in await self._store.fetch(query, arguments[0], missing):
                self._copies[row["name"]] = row
        return [self._copies[name] for name in names if name in self._copies]


class NullStore(Store):
    """Lends null drivers; reads outside a commit still go to the database."""

    def __init__(self, store: Store) -> None:
        self.engine, self.service, self._pool_max = store.engine, store.service, 1
        self._copies: dict[str, asyncpg.Record] = {}
        self._source = store

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        yield Session(self._say_first)

    async def _say_first(self, first: First[R]) -> tuple[asyncpg.Connection, R]:
        driver = cast(asyncpg.Connection, NullDriver(self._source, self._copies))
        return driver, await first(driver)


def build(settings: Settings) -> App[OrderTx]:
    """The order service with its store exchanged."""
    built = app.build(settings)
    built.unit.store = NullStore(built.unit.store)
    return built


if __name__ == "__main__":
    from pathlib import Path

    run_service("order", Settings, build, Path(app.__file__).parent / "migrations")
