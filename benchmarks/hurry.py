"""A clock whose time passes faster for a while. Open this file to see how an hour is measured in seconds.

A process that runs on it hurries from HURRY until AS_EVER, and stays ahead of everybody else from then on.
"""

import asyncio
import signal
from datetime import UTC, datetime, timedelta

HURRY, AS_EVER = signal.SIGUSR1, signal.SIGUSR2
TIMES = 240
"""An hour takes 15 seconds."""


class HurryingClock:
    """The machine's clock until `pass_at` is first called."""

    def __init__(self) -> None:
        self._rate = 1
        self._began = self._read = datetime.now(UTC)
        """What it showed when the machine's clock was last looked at for a change of rate, and what that showed."""
        self._waits: dict[asyncio.Timeout, datetime] = {}

    def now(self) -> datetime:
        return self._began + (datetime.now(UTC) - self._read) * self._rate

    async def wait(self, event: asyncio.Event, limit: timedelta) -> bool:
        until = self.now() + limit
        try:
            async with asyncio.timeout_at(self._due(until)) as timeout:
                self._waits[timeout] = until
                try:
                    await event.wait()
                finally:
                    del self._waits[timeout]
        except TimeoutError:
            return False
        return True

    def pass_at(self, rate: int) -> None:
        """So many seconds pass in one, for those that wait already, too."""
        self._began, self._read, self._rate = self.now(), datetime.now(UTC), rate
        for timeout, until in self._waits.items():
            timeout.reschedule(self._due(until))

    def hear(self) -> None:
        """Heeds the signals in the running loop."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(HURRY, self.pass_at, TIMES)
        loop.add_signal_handler(AS_EVER, self.pass_at, 1)

    def _due(self, until: datetime) -> float:
        """In the loop's time."""
        return asyncio.get_running_loop().time() + (until - self.now()).total_seconds() / self._rate
