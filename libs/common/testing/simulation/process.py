"""Processes that die at any step and come back with nothing but their stores. Open this file to see what a death takes.

A process is a function that runs until it is told to stop. Each of its lives is an `Incarnation`: the tasks it has
begun, its connections, and chance of its own. Killing it closes the connections, then cancels the tasks: nothing they
still do reaches anybody.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextvars import Context, ContextVar
from typing import Any, Protocol

from libs.common.ids import encode, uuid7_number
from libs.common.testing.simulation.fate import Fate, Fault
from libs.common.testing.simulation.loop import START

OWNER: ContextVar["Incarnation | None"] = ContextVar("owner", default=None)
BACK_SECONDS_MAX = 3.0
CUT_OFF_SECONDS_MAX = 12.0
STOP_SECONDS = 30.0


class Line(Protocol):
    """A connection, as its owner's death sees it."""

    def drop(self) -> None:
        """The owner is dead."""

    def cut(self) -> None:
        """The owner lives, the connection is lost."""


class Incarnation:
    """One life of a process."""

    def __init__(self, process: str, number: int, draw: random.Random) -> None:
        self.process = process
        self.name = f"{process}.{number}"
        self.alive = True
        self.cut_off = False
        """True while it reaches nobody, and nobody reaches it."""
        self.stop = asyncio.Event()
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.links: dict[Line, None] = {}
        self.calls: dict[Line, None] = {}
        """Calls it answers."""
        self.connections = 0
        self._draw = draw

    def draw(self) -> float:
        return self._draw.random()

    def make_id(self, prefix: str) -> str:
        """As `libs.common.ids.new_id` makes them, by the simulated time."""
        now = START.timestamp() + asyncio.get_running_loop().time()
        return f"{prefix}_{encode(uuid7_number(int(now * 1000), self._draw.getrandbits(74)))}"

    def context(self) -> Context:
        """Where its tasks run: they inherit nothing of whoever happened to wake the process."""
        context = Context()
        context.run(OWNER.set, self)
        return context

    def die(self) -> None:
        self.alive = False
        for line in [*self.links, *self.calls]:
            line.drop()
        self.links.clear()
        self.calls.clear()
        for task in list(self.tasks):
            task.cancel()

    def cut(self) -> None:
        for line in [*self.links, *self.calls]:
            line.cut()


def task_factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> "asyncio.Task[Any]":
    """Tasks that their process knows of, so that they die with it."""
    task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **options)
    context = options.get("context")
    owner = context.get(OWNER) if context is not None else OWNER.get()
    if owner is not None:
        owner.tasks[task] = None
        task.add_done_callback(lambda done: owner.tasks.pop(done, None))
    return task


class Processes:
    """All of them. begin: process name and incarnation to what it runs until told to stop."""

    def __init__(self, fate: Fate) -> None:
        self._fate = fate
        self._runs: dict[str, Callable[[Incarnation], Awaitable[None]]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._restarting: set[asyncio.Task[None]] = set()
        self._numbers: dict[str, int] = {}
        self.incarnations: dict[str, Incarnation] = {}
        """Every life so far, by name."""
        self.now: dict[str, Incarnation] = {}
        """The present life of each process."""
        self.over = False
        """Set at the end of the run: nobody comes back any more."""
        fate.after_step = self._strike

    def start(self, name: str, run: Callable[[Incarnation], Awaitable[None]]) -> None:
        self._runs[name] = run
        self._begin(name)

    def _begin(self, name: str) -> None:
        if self.over:
            return
        number = self._numbers[name] = self._numbers.get(name, 0) + 1
        life = Incarnation(name, number, self._fate.stream(f"{name}.{number}"))
        self.incarnations[life.name] = self.now[name] = life
        self._fate.note(f"{life.name} begins")
        run: Any = self._runs[name](life)
        loop = asyncio.get_running_loop()
        self._running[name] = loop.create_task(run, context=life.context())
        self._running[name].add_done_callback(lambda task: self._ended(life, task))

    def _ended(self, life: Incarnation, task: "asyncio.Task[None]") -> None:
        """A process that ends by itself is a bug, unless it was told to."""
        if life.alive and not life.stop.is_set():
            said = task.exception() if not task.cancelled() else "cancelled"
            self._fate.object(f"process ended: {life.process}: {said!r}")

    def _strike(self) -> None:
        fault = self._fate.strikes(Fault.CRASH, Fault.RESTART, Fault.PARTITION)
        if fault is None:
            return
        life = self._fate.draw.choice([self.now[name] for name in self._runs])
        if not life.alive or life.stop.is_set() or life.cut_off:
            return
        self._fate.note(f"  {fault}: {life.name}")
        if fault is Fault.CRASH:
            self.kill(life)
        elif fault is Fault.RESTART:
            self._keep(self._restart(life))
        else:
            self._cut_off(life)

    def kill(self, life: Incarnation) -> None:
        life.die()
        loop = asyncio.get_running_loop()
        loop.call_later(self._fate.draw.uniform(0.0, BACK_SECONDS_MAX), self._begin, life.process)

    def _keep(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._restarting.add(task)
        task.add_done_callback(self._restarting.discard)

    async def _restart(self, life: Incarnation) -> None:
        """SIGTERM, an orderly end, and a new life."""
        life.stop.set()
        await asyncio.wait({self._running[life.process]}, timeout=STOP_SECONDS)
        if life.alive:
            life.die()
            self._begin(life.process)

    def _cut_off(self, life: Incarnation) -> None:
        life.cut_off = True
        life.cut()

        def heal() -> None:
            life.cut_off = False
            self._fate.note(f"  {life.name} is reached again")

        asyncio.get_running_loop().call_later(self._fate.draw.uniform(0.0, CUT_OFF_SECONDS_MAX), heal)
