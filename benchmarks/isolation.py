"""What one kind of work does to another: taking orders in while products pour in, and one tenant while another floods.
Open this file to see what runs beside what.

Each round measures alone first, then beside the other work, at the same fixed rate; a ratio is the median of the ratios
of the rounds.
"""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from statistics import median

from benchmarks import orders
from benchmarks.accept import CONNECTIONS, accepted_by
from benchmarks.cast import FEED_PRODUCTS, PRODUCT_WORKERS
from benchmarks.complete import POLL_SECONDS
from benchmarks.ground import TENANTS, Child, Ground
from benchmarks.load import Run
from benchmarks.sample import Found, Say, Unexpected
from libs.common.ids import new_id

RATE = 60.0
"""Orders per second that are watched: few, so that what is seen is the wait behind other work."""
FLOOD_OVER_SECONDS = 0.4
BEGIN_SECONDS = 30.0
PRODUCTS = "SELECT count(*) FROM ordermesh_product.products"


class Isolation:
    """Two loads: the one that is watched and the one that floods."""

    def __init__(self, ground: Ground, watched: Child, flood: Child) -> None:
        self._ground = ground
        self._watched = watched
        self._flood = flood

    @classmethod
    async def open(cls, ground: Ground, bodies: Path) -> "Isolation":
        other = TENANTS[1]
        await ground.tell(orders.reference_events(orders.goods(), other), tenant=other)
        return cls(
            ground,
            await ground.lasting_child("benchmarks.load", str(bodies)),
            await ground.lasting_child("benchmarks.load", str(bodies)),
        )

    async def _p99(self, tenant: str, seconds: float) -> float:
        outcome = await self._watched.ask(self._run(tenant, seconds, RATE))
        accepted_by(tenant, outcome)
        return outcome["p99_ms"]

    def _run(self, tenant: str, seconds: float, rate: float = 0.0) -> str:
        port, token = self._ground.ports["gateway"], self._ground.token(tenant)
        return json.dumps(asdict(Run(port, token, new_id("run"), seconds, CONNECTIONS, rate)))

    async def beside_products(self, count: int, seconds: float, say: Say) -> Found:
        """While a product service takes in a feed of 100,000 and tells the order service of each."""
        driver = await self._ground.connect()
        alone, beside, taken_in = [], [], 0.0
        for number in range(count):
            say(f"products, round {number + 1} of {count}")
            alone.append(await self._p99(TENANTS[0], seconds))
            before = await driver.fetchval(PRODUCTS)
            async with self._ground.awake(*PRODUCT_WORKERS):
                await self._until_more_than(before)
                beside.append(await self._p99(TENANTS[0], seconds))
            after = await driver.fetchval(PRODUCTS)
            if not before < after < FEED_PRODUCTS:
                raise Unexpected(f"the feed stood still: {before} products, then {after}")
            taken_in += (after - before) / (count * seconds)
        return _found("isolation_p99", "order accept while products pour in", alone, beside, taken_in)

    async def _until_more_than(self, count: int) -> None:
        driver = await self._ground.connect()
        async with asyncio.timeout(BEGIN_SECONDS):
            while await driver.fetchval(PRODUCTS) <= count:  # noqa: ASYNC110  (it is a database that changes)
                await asyncio.sleep(POLL_SECONDS)
        await driver.close()

    async def beside_a_tenant(self, count: int, seconds: float, say: Say) -> Found:
        """While another tenant keeps 64 connections busy."""
        alone, beside, flooded = [], [], 0.0
        for number in range(count):
            say(f"tenants, round {number + 1} of {count}")
            alone.append(await self._p99(TENANTS[1], seconds))
            flood = asyncio.create_task(self._flood.ask(self._run(TENANTS[0], seconds + FLOOD_OVER_SECONDS)))
            await asyncio.sleep(FLOOD_OVER_SECONDS / 2)
            beside.append(await self._p99(TENANTS[1], seconds))
            outcome = await flood
            flooded += accepted_by(TENANTS[0], outcome) / outcome["seconds"] / count
        return _found(
            "tenant_isolation_p99", "order accept of a tenant while another floods", alone, beside, flooded
        )


def _found(ratio: str, name: str, alone: list[float], beside: list[float], other: float) -> Found:
    return Found(
        ratios={ratio: median(there / here for there, here in zip(beside, alone, strict=True))},
        figures={
            f"Isolation, {RATE:g} orders/s": {
                name: {
                    "p99 ms alone": median(alone),
                    "p99 ms beside": median(beside),
                    "the other work per second": other,
                }
            }
        },
    )
