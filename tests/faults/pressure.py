"""A PostgreSQL that is there and cannot: its disk is full, its connections are taken, others are in the way, its schema
moves. Open it to add another way in which a database is unwell.

Everything is done from outside with an operator's means, for the mesh to notice by itself.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import asyncpg

from libs.cli.stores import Postgres
from libs.common.durable.migrations import migrate
from libs.common.testing.disk import FullDisk
from tests.faults.batch import Batch
from tests.faults.ground import Ground, NeverHappened
from tests.faults.stores import ORDERS, TOLD_LIMIT, handing_in, orders_coming_in
from tests.integration.services.world import SERVICES
from tests.next_release import next_release

FILLED = ("idempotency", "event", "delivery", "attempt", "audit")
CONNECTIONS_MAX = 1000
JAM_SPAN = timedelta(seconds=6)
JAM = """
BEGIN;
SET LOCAL deadlock_timeout = '20s';
SET LOCAL lock_timeout = '5s';
LOCK TABLE delivery IN SHARE ROW EXCLUSIVE MODE;
SELECT pg_sleep(0.05);
LOCK TABLE event IN SHARE ROW EXCLUSIVE MODE;
"""
"""Locks in the other order than the services write; who waits longer than PostgreSQL's patience is told first: them."""
PATIENCE = "ALTER SYSTEM SET deadlock_timeout = '100ms'"
STRICT = "ALTER ROLE postgres SET default_transaction_isolation = 'serializable'"
USUAL = "ALTER ROLE postgres RESET default_transaction_isolation"
RECONNECT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'ordermesh-%'"


@asynccontextmanager
async def operator(ground: Ground, service: str = "order") -> AsyncIterator[asyncpg.Connection]:
    """A connection past the mesh."""
    driver = await ground.tables.connect(service)
    try:
        yield driver
    finally:
        await driver.close()


@dataclass(frozen=True, slots=True)
class DiskFull:
    """No table of the order service takes another row for a while."""

    seconds: float

    @property
    def name(self) -> str:
        return "disk full"

    async def strike(self, ground: Ground, seed: int) -> None:
        batch = await ground.draw(seed, ORDERS)
        async with operator(ground) as driver, AsyncExitStack() as unwell:
            await unwell.enter_async_context(FullDisk(driver, FILLED))
            await _until_better(ground, batch, unwell, self.seconds)


@dataclass(frozen=True, slots=True)
class ConnectionsTaken:
    """Somebody else holds every connection that PostgreSQL grants."""

    seconds: float

    @property
    def name(self) -> str:
        return "connections taken"

    async def strike(self, ground: Ground, seed: int) -> None:
        batch = await ground.draw(seed, ORDERS)
        async with operator(ground) as driver, AsyncExitStack() as unwell:
            await _take_all(ground, unwell)
            await driver.execute(RECONNECT)
            await _take_all(ground, unwell)
            await _until_better(ground, batch, unwell, self.seconds)


async def _until_better(ground: Ground, batch: Batch, unwell: AsyncExitStack, seconds: float) -> None:
    """Orders come in, are told 503 for some seconds, and get through once what ails the database is taken away."""
    async with handing_in(ground, batch):
        await ground.until("callers are told 503", lambda: _told(ground), TOLD_LIMIT)
        await ground.clock.wait(asyncio.Event(), timedelta(seconds=seconds))
        await unwell.aclose()


async def _take_all(ground: Ground, held: AsyncExitStack) -> None:
    for _ in range(CONNECTIONS_MAX):
        try:
            await held.enter_async_context(operator(ground))
        except asyncpg.TooManyConnectionsError:
            return
    raise NeverHappened("PostgreSQL refuses a connection")


@dataclass(frozen=True, slots=True)
class Serializable:
    """Every transaction is serializable, so that PostgreSQL refuses some of those that run side by side."""

    @property
    def name(self) -> str:
        return "serialization failures"

    async def strike(self, ground: Ground, seed: int) -> None:
        before = _refusals(ground)

        async def refused() -> bool:
            await ground.advance(ground.batches[-1].order_ids)
            return _refusals(ground) > before

        async with operator(ground) as driver:
            try:
                async with orders_coming_in(ground, seed):
                    await driver.execute(STRICT)
                    await driver.execute(RECONNECT)
                await ground.until("a transaction is refused and run again", refused, TOLD_LIMIT)
            finally:
                await driver.execute(USUAL)
                await driver.execute(RECONNECT)


def _refusals(ground: Ground) -> int:
    """Transactions that the services, by their own word, have run again."""
    logs = [ground.mesh.data.logs / f"{service}.log" for service in SERVICES]
    return sum(log.read_text(errors="replace").count("SerializationError") for log in logs)


@dataclass(frozen=True, slots=True)
class Deadlocks:
    """Somebody takes the same tables in the other order, again and again."""

    @property
    def name(self) -> str:
        return "deadlocks"

    async def strike(self, ground: Ground, seed: int) -> None:
        async with operator(ground) as driver:
            await driver.execute(PATIENCE)
            await driver.execute("SELECT pg_reload_conf()")
            before = await _deadlocks(driver)
            async with orders_coming_in(ground, seed):
                over = ground.clock.now() + JAM_SPAN
                while ground.clock.now() < over:
                    await _jam(driver)
            await ground.until("PostgreSQL has seen a deadlock", lambda: _more(driver, before), TOLD_LIMIT)


async def _jam(driver: asyncpg.Connection) -> None:
    try:
        await driver.execute(JAM)
    except (asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError):
        pass
    finally:
        await driver.execute("ROLLBACK")


async def _deadlocks(driver: asyncpg.Connection) -> int:
    return int(
        await driver.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    )


async def _more(driver: asyncpg.Connection, before: int) -> bool:
    return await _deadlocks(driver) > before


@dataclass(frozen=True, slots=True)
class SchemaMoves:
    """The next release migrates every service's schema while this one's processes run, die and start again on it."""

    @property
    def name(self) -> str:
        return "schema of the next release"

    async def strike(self, ground: Ground, seed: int) -> None:
        url = Postgres(ground.mesh.data.root).url
        restarts = {service: ground.process(service).restarts for service in SERVICES}
        with tempfile.TemporaryDirectory(prefix="ordermesh-release-") as folder:
            async with orders_coming_in(ground, seed):
                for service in SERVICES:
                    await migrate(url, service, next_release(Path(folder), service))
                for service in SERVICES:
                    ground.mesh.kill(service)
        for service in SERVICES:
            await ground.until_back(service, restarts[service])


async def _told(ground: Ground) -> bool:
    return ground.answers[503] > 0
