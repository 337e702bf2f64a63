"""Time. The only place that reads the clock; open it when something needs to know or wait for a time."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the loops and commands know of time; a simulation brings its own."""

    def now(self) -> datetime:
        """UTC, with zone."""

    async def wait(self, event: asyncio.Event, limit: timedelta) -> bool:
        """Waits until `event` is set or `limit` has passed; true when it was set. Does not clear it."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def wait(self, event: asyncio.Event, limit: timedelta) -> bool:
        try:
            async with asyncio.timeout(max(0.0, limit.total_seconds())):
                await event.wait()
        except TimeoutError:
            return False
        return True
