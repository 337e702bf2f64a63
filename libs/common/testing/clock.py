"""A clock that stands still until a test moves it. Open this file to test what waits without waiting."""

import asyncio
from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class FakeClock:
    """Satisfies `Clock`. Who waits goes on when its event is set or a test has advanced time to its limit."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._waiters: dict[asyncio.Future[None], datetime] = {}
        self._came = asyncio.Event()

    def now(self) -> datetime:
        return self._now

    def advance(self, span: timedelta) -> None:
        """Moves time; those whose limit has passed go on at the next turn of the event loop."""
        self._now += span
        for waiter, until in self._waiters.items():
            if until <= self._now and not waiter.done():
                waiter.set_result(None)

    async def wait(self, event: asyncio.Event, limit: timedelta) -> bool:
        """True when the event was set, false when time has reached the limit."""
        if event.is_set() or limit <= timedelta(0):
            return event.is_set()
        passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        rung = asyncio.create_task(_ring_of(event))
        self._waiters[passed] = self._now + limit
        self._came.set()
        try:
            await asyncio.wait({passed, rung}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            rung.cancel()
            del self._waiters[passed]
        return event.is_set()

    async def someone_waits(self, at_most: timedelta = timedelta.max) -> None:
        """Returns once somebody waits, for no longer than `at_most`: a loop under test has come to rest."""
        while self.due_in is None or self.due_in > at_most:
            self._came.clear()
            await self._came.wait()

    @property
    def due_in(self) -> timedelta | None:
        """Time until the first of those who wait goes on; None when nobody waits."""
        return min(self._waiters.values()) - self._now if self._waiters else None


class PassingClock:
    """The same time for whoever waits where no test is there to move it: a wait that nothing ends moves it itself."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock

    def now(self) -> datetime:
        return self._clock.now()

    async def wait(self, event: asyncio.Event, limit: timedelta) -> bool:
        """True when the event was set by the next turn of the event loop; otherwise time is `limit` later."""
        await asyncio.sleep(0)
        if not event.is_set():
            self._clock.advance(limit)
        return event.is_set()


async def _ring_of(event: asyncio.Event) -> None:
    await event.wait()
