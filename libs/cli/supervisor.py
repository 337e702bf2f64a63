"""Keeps processes running: starts them, watches them, starts them again, stops them tier by tier.

Open it to learn what happens when a process dies. It knows nothing of orders: `processes.py` says what runs.
Each process leads its own session, so that Ctrl-C reaches `ordermesh` alone, which then stops the tiers in
order. On Linux the kernel ends them when their parent dies, even by `kill -9`; elsewhere the next start
clears them away.
"""

import asyncio
import logging
import signal
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum

from libs.cli.child import ProcessSpec, Tier, reachable, send, send_group, spawn
from libs.common.clock import Clock, SystemClock

log = logging.getLogger("ordermesh.supervisor")

PROBE_EVERY = timedelta(milliseconds=100)
STOP_GRACE = timedelta(seconds=20)
"""How long a process may drain before it is killed."""
RESTART_WAIT_MIN = timedelta(milliseconds=200)
RESTART_WAIT_MAX = timedelta(seconds=5)
SETTLED_AFTER = timedelta(seconds=20)
"""A process that lived this long has proved itself: its next death counts as the first."""
EARLY_DEATHS_MAX = 4


class State(StrEnum):
    """Where a process stands."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    """It takes connections. Whether it serves is its own health check's word."""
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"


class StartFailed(Exception):
    """A process died again and again and was never ready; its log says why."""

    def __init__(self, spec: ProcessSpec, exit_code: int) -> None:
        super().__init__(
            f"{spec.name} does not start: it ended {EARLY_DEATHS_MAX} times, last with {exit_code}"
        )
        self.spec = spec


class Kept:
    """One process and what is known of it."""

    def __init__(self, spec: ProcessSpec) -> None:
        self.spec = spec
        self.state = State.WAITING
        self.pid = 0
        self.restarts = 0
        self.exit_code: int | None = None
        self.ready_once = False
        self.deaths_in_a_row = 0
        self.stop_asked = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return self.spec.name


def restart_wait(deaths_in_a_row: int) -> timedelta:
    """Time before the next start: 0.2 s after the first death, doubled up to 5 s. Pure."""
    return min(RESTART_WAIT_MAX, RESTART_WAIT_MIN * (1 << min(deaths_in_a_row - 1, 10)))


class Supervisor:
    """A set of processes. Use it from the main thread: the kernel ties the children to the thread that made them.

    on_change: called after every change of state, for tables and run.json; must not raise.
    """

    def __init__(self, clock: Clock | None = None, on_change: Callable[[], None] = lambda: None) -> None:
        self._clock = clock or SystemClock()
        self._on_change = on_change
        self._kept: dict[str, Kept] = {}
        self._changed = asyncio.Event()
        self.failure: asyncio.Future[StartFailed] = asyncio.get_running_loop().create_future()
        """Done when a process cannot be started at all."""

    @property
    def processes(self) -> list[Kept]:
        """In tier order, then in the order in which they were added."""
        return sorted(self._kept.values(), key=lambda kept: kept.spec.tier)

    def process(self, name: str) -> Kept:
        """Raises KeyError for a name that was never added."""
        return self._kept[name]

    def add(self, spec: ProcessSpec) -> None:
        """Makes it known without starting it."""
        assert spec.name not in self._kept, f"{spec.name} is there already"
        self._kept[spec.name] = Kept(spec)
        self._note()

    def start(self, name: str) -> None:
        """Starts it and keeps it running from now on; no effect while it runs."""
        kept = self._kept[name]
        if kept.task is None or kept.task.done():
            kept.stop_asked.clear()
            kept.deaths_in_a_row = 0
            kept.task = asyncio.create_task(self._keep(kept), name=f"keep {name}")

    async def stop(self, name: str, grace: timedelta = STOP_GRACE) -> None:
        """Asks it to end, kills it after `grace`. Returns when it has ended."""
        kept = self._kept[name]
        kept.stop_asked.set()
        if kept.task is None:
            return
        if kept.pid:
            self._enter(kept, State.STOPPING)
            send(kept.pid, kept.spec.stop_signal)
        done, _ = await asyncio.wait({kept.task}, timeout=grace.total_seconds())
        if not done:
            log.warning("%s does not stop within %s, killing it", name, grace)
            send_group(kept.pid, signal.SIGKILL)
        await kept.task

    async def stop_all(self, grace: timedelta = STOP_GRACE) -> None:
        """The highest tier first: nobody loses what it depends on before it has drained."""
        for tier in reversed(Tier):
            names = [kept.name for kept in self._kept.values() if kept.spec.tier is tier]
            await asyncio.gather(*(self.stop(name, grace) for name in names))

    def kill_all(self) -> None:
        """The short way out: everything at once, without draining. `stop_all` then returns soon."""
        for kept in self._kept.values():
            kept.stop_asked.set()
            send_group(kept.pid, signal.SIGKILL)

    def kill(self, name: str) -> int:
        """`kill -9` as a fault; it is started again. Gives the pid, 0 when it was not running."""
        pid = self._kept[name].pid
        send(pid, signal.SIGKILL)
        return pid

    async def until(self, condition: Callable[[], bool], limit: timedelta) -> bool:
        """Waits until `condition` holds, asked after every change of state; false once `limit` has passed."""
        deadline = self._clock.now() + limit
        while not condition():
            changed = self._changed
            if not await self._clock.wait(changed, deadline - self._clock.now()):
                return condition()
        return True

    async def until_ready(self, names: set[str], limit: timedelta) -> bool:
        """Waits until all of `names` take connections. Raises StartFailed."""

        def settled() -> bool:
            return self.failure.done() or all(self._kept[name].state is State.READY for name in names)

        reached = await self.until(settled, limit)
        if self.failure.done():
            raise self.failure.result()
        return reached

    async def _keep(self, kept: Kept) -> None:
        while not kept.stop_asked.is_set():
            began = self._clock.now()
            exit_code = await self._run(kept)
            if kept.stop_asked.is_set():
                break
            self._note_death(kept, exit_code, began)
            await self._clock.wait(kept.stop_asked, restart_wait(kept.deaths_in_a_row))
        self._enter(kept, State.STOPPED)

    async def _run(self, kept: Kept) -> int:
        """One life of the process, from start to exit code."""
        self._enter(kept, State.STARTING)
        try:
            child = await spawn(kept.spec)
        except OSError as error:
            log.error("%s cannot be run: %s", kept.name, error)
            return 127
        kept.pid = child.pid
        self._note()
        if kept.stop_asked.is_set():
            send(child.pid, kept.spec.stop_signal)
        probe = asyncio.create_task(self._until_ready(kept))
        try:
            exit_code = await child.wait()
        finally:
            probe.cancel()
            kept.pid = 0
        kept.exit_code = exit_code
        return exit_code

    def _note_death(self, kept: Kept, exit_code: int, began: datetime) -> None:
        settled = self._clock.now() - began >= SETTLED_AFTER
        kept.deaths_in_a_row = 1 if settled else kept.deaths_in_a_row + 1
        kept.restarts += 1
        wait = restart_wait(kept.deaths_in_a_row).total_seconds()
        log.warning("%s ended with %s, starting it again in %.1f s", kept.name, exit_code, wait)
        if not kept.ready_once and kept.deaths_in_a_row >= EARLY_DEATHS_MAX and not self.failure.done():
            self.failure.set_result(StartFailed(kept.spec, exit_code))
        self._enter(kept, State.RESTARTING)

    async def _until_ready(self, kept: Kept) -> None:
        never = asyncio.Event()
        ask = kept.spec.is_ready or (lambda: reachable(kept.spec.address))
        while not await ask():
            await self._clock.wait(never, PROBE_EVERY)
        if kept.state is State.STARTING:
            kept.ready_once = True
            self._enter(kept, State.READY)

    def _enter(self, kept: Kept, state: State) -> None:
        kept.state = state
        self._note()

    def _note(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        self._on_change()
