"""An event loop in which time passes only when nothing else is left to do. Open this file to learn how time moves.

Everything that runs on it, `asyncio.timeout` included, lives by its clock, so an hour takes as long as what happens in
it. There is no input or output to wait for: who needs some does it at once (`database.py`), hence the same program
runs the same way each time.
"""

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 3, 1, 8, tzinfo=UTC)
MOMENT_SECONDS = 1e-11
Connect = Callable[
    [Callable[[], asyncio.Protocol], str], Awaitable[tuple[asyncio.Transport, asyncio.Protocol]]
]
"""Protocol factory and path of a socket to a connection."""


class StandStill(Exception):
    """Nobody can go on, and no time that passes would change that."""


class SimulatedLoop(asyncio.SelectorEventLoop):
    """The loop. connect: answers whoever opens a socket; set it before that."""

    connect: Connect

    def __init__(self) -> None:
        self._passed_seconds = 0.0
        self._timers = 0
        super().__init__(_Stillness(self))

    def time(self) -> float:
        return self._passed_seconds

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *arguments: Any, **options: Any
    ) -> asyncio.TimerHandle:
        """Of two that are due at the same moment the one that was set first is first."""
        self._timers += 1
        return super().call_at(when + self._timers * MOMENT_SECONDS, callback, *arguments, **options)

    def pass_time(self, seconds: float) -> None:
        self._passed_seconds += seconds

    async def create_unix_connection(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.Protocol], path: str | None = None, **_: object
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        assert path is not None
        return await self.connect(protocol_factory, path)


class _Stillness(selectors.BaseSelector):
    """Where the loop turns when nothing is ready: instead of waiting, the clock is put forward."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self._known: dict[int, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        number = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        self._known[number] = selectors.SelectorKey(fileobj, number, events, data)
        return self._known[number]

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._known.pop(fileobj if isinstance(fileobj, int) else fileobj.fileno())

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise StandStill("nobody waits for a time, and nothing else can happen")
        self._loop.pass_time(timeout)
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._known


class SimulatedClock:
    """Satisfies `Clock` by the loop's time."""

    def now(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time())

    async def wait(self, event: asyncio.Event, limit: timedelta) -> bool:
        try:
            async with asyncio.timeout(max(0.0, limit.total_seconds())):
                await event.wait()
        except TimeoutError:
            return False
        return True


async def pause(seconds: float) -> None:
    """Lets so much time pass."""
    await SimulatedClock().wait(asyncio.Event(), timedelta(seconds=seconds))
