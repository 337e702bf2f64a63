"""Bulk work beside everything else. Open this file when lists wait while single records are answered.

Methods of LANE_BULK run a few at a time, so that they never hold all connections to the database; those that come
meanwhile wait in order, within their own deadlines.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from libs.common.errors import NotDone

WAITING_MAX = 100
"""Bulk calls that wait for a place; further ones are refused."""


class BulkLane:
    """The places of one process."""

    def __init__(self, places: int) -> None:
        self._places = asyncio.Semaphore(places)
        self._waiting = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """NotDone OVERLOADED when too many wait already."""
        if self._waiting >= WAITING_MAX:
            raise NotDone("OVERLOADED", "too many bulk calls wait")
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._places.release()
