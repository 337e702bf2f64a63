"""Every process is replaced under load, one after the other, as a rolling release does. Open it to change the order.

SIGTERM: not ready, drain, hand back what is leased, exit 0. No accepted order is lost, and no caller is told anything
but an answer that says what to do next.
"""

import asyncio
import random
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from libs.cli.child import send
from libs.common.testing.ledger import SERVICES
from tests.faults.ground import BACK_LIMIT, Ground, NeverHappened
from tests.faults.stores import ALLOWED

ROLL = (
    "connector-netsuite",
    "connector-salesforce",
    "order",
    "customer",
    "product",
    "invoice",
    "gateway",
)
ORDERS = 20
BATCHES_MAX = 40
PAUSE_BETWEEN = timedelta(milliseconds=500)


@dataclass(frozen=True, slots=True)
class RollingRestart:
    """Each of the processes gets SIGTERM once and is started again before the next one's turn."""

    processes: Sequence[str] = ROLL

    @property
    def name(self) -> str:
        return "rolling restart"

    async def strike(self, ground: Ground, seed: int) -> None:
        rolled = asyncio.Event()
        ground.answers.clear()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_load(ground, seed, rolled))
            try:
                for name in self.processes:
                    await _replace(ground, name)
            finally:
                rolled.set()
        odd = ground.answers.keys() - ALLOWED
        if odd or ground.unadvised:
            raise NeverHappened(
                f"callers were told {sorted(odd)}, {ground.unadvised} times without Retry-After"
            )


@dataclass(frozen=True, slots=True)
class Killed:
    """Connectors and the gateway are killed with `kill -9` wherever they happen to be, again and again."""

    processes: Sequence[str] = ("connector-netsuite", "connector-salesforce", "gateway")
    times: int = 3

    @property
    def name(self) -> str:
        return "connectors and gateway killed"

    async def strike(self, ground: Ground, seed: int) -> None:
        draw = random.Random(f"killed {seed}")
        over = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_load(ground, seed, over))
            try:
                for name in [*self.processes] * self.times:
                    restarts = ground.process(name).restarts
                    await ground.clock.wait(asyncio.Event(), PAUSE_BETWEEN * draw.random())
                    ground.mesh.kill(name)
                    await ground.until_back(name, restarts)
            finally:
                over.set()


async def _load(ground: Ground, seed: int, rolled: asyncio.Event) -> None:
    """Orders come in until the last process is replaced."""
    for number in range(BATCHES_MAX):
        if rolled.is_set():
            return
        await ground.submit(await ground.draw(seed + number, ORDERS))
        await ground.clock.wait(rolled, PAUSE_BETWEEN)


async def _replace(ground: Ground, name: str) -> None:
    kept = ground.process(name)
    restarts, pid = kept.restarts, kept.pid
    send(pid, signal.SIGTERM)
    ended = await ground.mesh.supervisor.until(lambda: kept.pid != pid, BACK_LIMIT)
    if ended and name in SERVICES and await ground.tables.held(name):
        raise NeverHappened(f"{name} hands back what it holds before it ends")
    await ground.until_back(name, restarts)
    if kept.exit_code != 0:
        raise NeverHappened(f"{name} ends in order: it ended with {kept.exit_code}")
