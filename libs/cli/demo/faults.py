"""What goes wrong in the demo, on purpose.

Fault switches of the vendors, a killed process, a stopped Redis.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import httpx

from libs.cli.demo.stage import Stage
from libs.cli.demo.vendors import Body, Vendor
from libs.cli.mesh import Mesh
from libs.cli.stores import REDIS
from libs.cli.supervisor import State
from libs.common.clock import Clock

ERP, CRM = "netsuite", "salesforce"
RESTART_LIMIT = timedelta(seconds=30)
AGAIN_AFTER = timedelta(milliseconds=300)

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Wish:
    """What the demo was asked for."""

    orders: int
    seed: int
    kill: str = ""
    """Process killed with -9 when half of the orders are accepted."""
    stop_redis: bool = False
    """Stop Valkey for good when a third of the orders is accepted."""
    tls: bool = False
    """Processes show each other certificates."""


class Trouble:
    """Makes it and counts it. erp_and_crm: the two vendors."""

    def __init__(
        self, mesh: Mesh, wish: Wish, erp_and_crm: tuple[Vendor, Vendor], stage: Stage, clock: Clock
    ) -> None:
        self._mesh, self._wish, self._stage, self._clock = mesh, wish, stage, clock
        erp, crm = erp_and_crm
        self._switches: dict[str, tuple[Vendor, list[Body]]] = {
            f"sim-{ERP}": (erp, erp_faults(wish.seed)),
            f"sim-{CRM}": (crm, crm_faults(wish.seed)),
        }
        self._hits: Counter[str] = Counter()
        self._made: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._never = asyncio.Event()

    async def arm(self) -> None:
        """Switches the vendors' faults on."""
        for vendor, faults in self._switches.values():
            await vendor.arm(faults)

    async def hits(self) -> dict[str, int]:
        """How often each kind of fault has struck, in both vendors, over restarts."""
        hits = Counter(self._hits)
        for vendor, _ in self._switches.values():
            hits.update(await self.outlived(vendor.hits))
        return dict(hits)

    def disturb(self, accepted: int, total: int) -> None:
        """Called after each acknowledgement: kills and stops what the wish says, each once."""
        if self._wish.stop_redis and accepted >= total // 3:
            self._once(REDIS, self._stop_redis)
        if self._wish.kill and accepted >= total // 2:
            self._once(self._wish.kill, self._kill)

    def end(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def outlived(self, call: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """The answer of a simulator, also when it was killed a moment ago; the story's deadline bounds it."""
        while True:
            try:
                return await call()
            except httpx.TransportError:
                await self._clock.wait(self._never, AGAIN_AFTER)

    def _once(self, what: str, make: Callable[[], Awaitable[None]]) -> None:
        if what in self._made:
            return
        self._made.add(what)

        async def run() -> None:
            await make()

        task = asyncio.create_task(run(), name=f"trouble {what}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _stop_redis(self) -> None:
        self._stage.say("stopping Valkey for the rest of the run", style="red")
        await self._mesh.stop_store(REDIS)

    async def _kill(self) -> None:
        name = self._wish.kill
        vendor, faults = self._switches.get(name, (None, []))
        if vendor is not None:
            self._hits.update(await vendor.hits())
        pid = self._mesh.kill(name)
        self._stage.say(f"kill -9 {name} (pid {pid})", style="red")
        kept = self._mesh.supervisor.process(name)
        back = await self._mesh.supervisor.until(
            lambda: kept.pid not in {0, pid} and kept.state is State.READY, RESTART_LIMIT
        )
        self._stage.say(f"{name} is {'back' if back else 'still away'}", style="yellow")
        if vendor is not None:  # switches live in memory
            await self.outlived(lambda: vendor.arm(faults))


def erp_faults(seed: int) -> list[Body]:
    """Replies lost after the commit, throttling, outages, resets: on every kind of call, most on order writes.

    Throttling is counted, not drawn: each time the vendor asks for a pause everybody heeds it, for all orders.
    """
    writes: Body = {"method": "PUT", "path": "salesOrder"}
    return [
        {"kind": "lose_reply", "probability": "0.08", "seed": seed, **writes},
        {"kind": "throttle", "count": 2, "after": 5, "retryAfter": "1", **writes},
        {"kind": "throttle", "count": 2, "after": 120, **writes},
        {"kind": "unavailable", "probability": "0.03", "seed": seed + 1, **writes},
        {"kind": "unavailable_after", "probability": "0.02", "seed": seed + 2, **writes},
        {"kind": "reset", "probability": "0.03", "seed": seed + 3, **writes},
        {"kind": "slow", "probability": "0.02", "seed": seed + 4, "seconds": 1, **writes},
        {"kind": "unavailable", "probability": "0.01", "seed": seed + 5},
        {"kind": "reset", "probability": "0.01", "seed": seed + 6},
        {"kind": "expired_token", "count": 1, "after": 60},
        {"kind": "duplicate", "probability": "0.10", "seed": seed + 7},
    ]


def crm_faults(seed: int) -> list[Body]:
    """The same for the sales system, plus expired sessions."""
    writes: Body = {"method": "POST", "path": "/composite$"}
    return [
        {"kind": "lose_reply", "probability": "0.03", "seed": seed, **writes},
        {"kind": "unavailable", "probability": "0.02", "seed": seed + 1, **writes},
        {"kind": "reset", "probability": "0.02", "seed": seed + 2, **writes},
        {"kind": "throttle", "count": 2, "after": 50, "retryAfter": "1"},
        {"kind": "throttle", "count": 2, "after": 400, "retryAfter": "1"},
        {"kind": "reset", "probability": "0.01", "seed": seed + 3},
        {"kind": "expired_token", "count": 2, "after": 40},
    ]
