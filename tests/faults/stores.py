"""Stores that are stopped, emptied and started again while orders come in. Open it to add a store's fault.

PostgreSQL away: callers are told 503 with Retry-After, and every 202 survives. Valkey away or emptied: slower, right.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import redis.asyncio

from libs.cli.stores import POSTGRES, REDIS
from tests.faults.batch import Batch
from tests.faults.ground import Ground, NeverHappened

ORDERS = 60
TOLD_LIMIT = timedelta(seconds=20)
READY_LIMIT = timedelta(seconds=30)
ALLOWED = frozenset({202, 409, 429, 503, 504})
"""Accepted, still running, later, later, in doubt: each of them says what to do next."""


@asynccontextmanager
async def orders_coming_in(ground: Ground, seed: int) -> AsyncIterator[None]:
    """Inside the block a third of the orders is acknowledged; at its end all of them are."""
    third = asyncio.Event()

    def progress(accepted: int) -> None:
        if accepted >= ORDERS // 3:
            third.set()

    async with handing_in(ground, await ground.draw(seed, ORDERS), progress):
        if not await ground.clock.wait(third, TOLD_LIMIT):
            raise NeverHappened("a third of the orders is acknowledged")
        yield


@asynccontextmanager
async def handing_in(
    ground: Ground, batch: Batch, progress: Callable[[int], None] = lambda accepted: None
) -> AsyncIterator[None]:
    """Inside the block orders come in; at its end all of them are acknowledged, and nobody was told anything odd."""
    ground.answers.clear()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ground.submit(batch, progress))
        yield
    odd = ground.answers.keys() - ALLOWED
    if odd or ground.unadvised:
        raise NeverHappened(f"callers were told {sorted(odd)}, {ground.unadvised} times without Retry-After")


@dataclass(frozen=True, slots=True)
class PostgresStopped:
    """PostgreSQL is away for some seconds."""

    seconds: float

    @property
    def name(self) -> str:
        return "postgres stopped"

    async def strike(self, ground: Ground, seed: int) -> None:
        async with orders_coming_in(ground, seed):
            await ground.mesh.stop_store(POSTGRES)
            try:
                await ground.until("callers are told 503", lambda: _told(ground, 503), TOLD_LIMIT)
                await ground.clock.wait(asyncio.Event(), timedelta(seconds=self.seconds))
            finally:
                ground.mesh.start_store(POSTGRES)
        await ground.mesh.supervisor.until_ready({POSTGRES}, READY_LIMIT)


@dataclass(frozen=True, slots=True)
class PostgresKilled:
    """PostgreSQL dies without a farewell and recovers."""

    @property
    def name(self) -> str:
        return "postgres killed"

    async def strike(self, ground: Ground, seed: int) -> None:
        restarts = ground.process(POSTGRES).restarts
        async with orders_coming_in(ground, seed):
            ground.mesh.kill(POSTGRES)
        await ground.until_back(POSTGRES, restarts)


@dataclass(frozen=True, slots=True)
class ValkeyFlushed:
    """Everything Valkey holds is gone, again and again."""

    times: int = 5

    @property
    def name(self) -> str:
        return "valkey flushed"

    async def strike(self, ground: Ground, seed: int) -> None:
        client = redis.asyncio.Redis.from_url(ground.mesh.record().redis_url)
        try:
            async with orders_coming_in(ground, seed):
                for _ in range(self.times):
                    await client.flushall()
                    await ground.pause()
        finally:
            await client.aclose()


@dataclass(frozen=True, slots=True)
class ValkeyStopped:
    """Valkey is away for some seconds and comes back empty."""

    seconds: float

    @property
    def name(self) -> str:
        return "valkey stopped"

    async def strike(self, ground: Ground, seed: int) -> None:
        try:
            async with orders_coming_in(ground, seed):
                await ground.mesh.stop_store(REDIS)
            batch = ground.batches[-1]
            await ground.until(
                "orders are posted without Valkey", lambda: _posted(ground, batch.order_ids), TOLD_LIMIT
            )
            await ground.clock.wait(asyncio.Event(), timedelta(seconds=self.seconds))
        finally:
            ground.mesh.start_store(REDIS)
        await ground.mesh.supervisor.until_ready({REDIS}, READY_LIMIT)


async def _told(ground: Ground, status: int) -> bool:
    return ground.answers[status] > 0


async def _posted(ground: Ground, order_ids: list[str]) -> bool:
    states = await ground.tables.order_states()
    return all(states[order_id] != "RECEIVED" for order_id in order_ids)
