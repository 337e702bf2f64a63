"""Processes that die at a named point and must leave nothing lost or doubled. Open it to change what is tried.

The successor of a process that was asked to end finds a file that arms the point, dies there by SIGKILL as soon as it
passes, and is started again by the supervisor. From then on everything has to come right by itself.
"""

import asyncio
import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from libs.cli.child import send
from libs.common.durable.crash import CONNECTOR_POINTS, SERVICE_POINTS
from tests.faults.batch import Batch
from tests.faults.ground import Ground, NeverHappened

PROCESSES = ("order", "invoice", "customer", "product")
CONNECTORS = ("connector-netsuite", "connector-salesforce")
ORDERS = 10
DEATH_LIMIT = timedelta(seconds=12)
PUSHES_MAX = 3
TIMES_MAX = {
    "before_commit": 4,
    "after_commit": 4,
    "after_claim": 3,
    "after_deliver": 6,
    "after_settle": 3,
} | dict.fromkeys(CONNECTOR_POINTS, 8)
"""How often a point may be passed before it kills, where a short story passes it often enough."""


@dataclass(frozen=True, slots=True)
class Crash:
    """One point of one service's process."""

    process: str
    point: str

    @property
    def name(self) -> str:
        return f"{self.point}@{self.process}"

    async def strike(self, ground: Ground, seed: int) -> None:
        """Lets the process die at the point in the middle of a short story. Raises NeverHappened."""
        draw = random.Random(f"{self.name} {seed}")
        file = ground.mesh.data.crash_file(self.process)
        await self._arm(ground, file, draw.randint(1, TIMES_MAX.get(self.point, 1)))
        restarts = ground.process(self.process).restarts
        for _ in range(PUSHES_MAX):
            if await self._push(ground, file, draw.randrange(1 << 30)):
                await ground.until_back(self.process, restarts)
                return
        file.unlink(missing_ok=True)
        raise NeverHappened(f"{self.process} never came to {self.point}")

    async def _arm(self, ground: Ground, file: Path, times: int) -> None:
        """The process that runs now ends in order; the one that follows is armed."""
        _write(file, f"{self.point}:{times}")
        kept = ground.process(self.process)
        restarts = kept.restarts
        send(kept.pid, signal.SIGTERM)
        await ground.mesh.supervisor.until(lambda: kept.restarts > restarts, DEATH_LIMIT)

    async def _push(self, ground: Ground, file: Path, seed: int) -> bool:
        """Trades until the process has died; false when it does not."""
        story = asyncio.create_task(_trade(ground, seed))

        async def has_died() -> bool:
            if story.done():
                await ground.advance(story.result().order_ids)
            return file not in set(file.parent.iterdir())

        try:
            await ground.until("it dies", has_died, DEATH_LIMIT)
        except NeverHappened:
            return False
        finally:
            await story
        return True


async def _trade(ground: Ground, seed: int) -> Batch:
    """Customers and products change, orders come in; whoever looks next has them shipped, billed and paid."""
    batch = await ground.draw(seed, ORDERS)
    await ground.submit(batch)
    return batch


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def crashes() -> Iterator[Crash]:
    """Every point of every process; one process's turns lie apart, so that its restarts do not count as a row."""
    for points, processes in ((SERVICE_POINTS, PROCESSES), (CONNECTOR_POINTS, CONNECTORS)):
        for point in points:
            for process in processes:
                yield Crash(process, point)
