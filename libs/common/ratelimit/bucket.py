"""One caller's tokens in one process. Open this file to learn when a call is let through and what a caller is told."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from libs.common.ratelimit.shared import Grant

PROCESSES_MAX = 4
"""Processes that count one caller, at most; a local share is the quota divided by it."""
HANDFUL_SHARE = 100
"""A handful is at most the quota divided by this: what all processes hold in hand is a few percent of the quota."""
HANDFUL_MAX = 256
BUSY_SECONDS = 0.5
"""A handful spent faster than this is followed by one twice as large, a slower one by half of it."""


@dataclass(frozen=True, slots=True)
class Quota:
    """How many calls in which time; a bucket holds that many and fills evenly."""

    name: str
    """What callers are told it is called."""
    calls_max: int
    window_seconds: int = 60


class Standing(NamedTuple):
    """What a caller is told."""

    left: int
    """Calls that would be let through now."""
    full_in_seconds: int
    """Time until the whole quota is there again."""


Take = Callable[[Quota, str, int, float], "asyncio.Future[Grant | None]"]
"""Quota, key, tokens wanted, now: starts a question to Redis."""


class Bucket:
    """Times are Unix times, given by the caller."""

    def __init__(self, quota: Quota, key: str, take: Take, now: float) -> None:
        self.quota = quota
        self._per_second = quota.calls_max / quota.window_seconds
        self._key = key
        self._take = take
        self._in_hand = 0
        self._handful = 1
        self._handful_max = max(1, min(HANDFUL_MAX, quota.calls_max // HANDFUL_SHARE))
        self._taken_at = now
        self._shared_left = float(quota.calls_max)
        self._shared_at = now
        self._dry_until = 0.0
        self._share = max(1.0, quota.calls_max / PROCESSES_MAX)
        self._local = self._share
        self._local_at = now
        self._waiting = 0
        self._asking: asyncio.Future[Grant | None] | None = None

    def spend_in_hand(self) -> bool:
        """True when the call may go on with a token that is here already."""
        if not self._in_hand:
            return False
        self._in_hand -= 1
        return True

    async def spend(self, now: float) -> float:
        """0 when the call may go on, else the seconds until it is worth asking again."""
        while self._in_hand == 0:
            if now < self._dry_until:
                return self._dry_until - now
            self._waiting += 1
            try:
                await self._refill(now)
            finally:
                self._waiting -= 1
        self._in_hand -= 1
        return 0.0

    def give_back(self) -> None:
        """The call did not happen after all."""
        self._in_hand += 1

    def standing(self, now: float) -> Standing:
        """Remaining calls as far as this process knows, never more than the quota."""
        left = self._in_hand + self._shared_left + (now - self._shared_at) * self._per_second
        calls_max = self.quota.calls_max
        if left >= calls_max:
            return Standing(calls_max, 0)
        return Standing(int(left), math.ceil((calls_max - left) / self._per_second))

    async def _refill(self, now: float) -> None:
        """One question to Redis at a time, for all who wait."""
        if self._asking is None:
            busy = now - self._taken_at < BUSY_SECONDS
            self._handful = min(self._handful_max, self._handful * 2) if busy else max(1, self._handful // 2)
            wanted = max(self._handful, self._waiting)
            self._asking = self._take(self.quota, self._key, wanted, now)
            self._asking.add_done_callback(lambda asked: self._take_in(asked, wanted, now))
        await asyncio.wait({self._asking})

    def _take_in(self, asked: "asyncio.Future[Grant | None]", wanted: int, now: float) -> None:
        self._asking = None
        self._taken_at = now
        shared = None if asked.cancelled() or asked.exception() else asked.result()
        self._fill_local(now)
        if shared is None:
            tokens = min(wanted, int(self._local))
            grant, per_second = Grant(tokens, self._local - tokens), self._share / self.quota.window_seconds
        else:
            grant, per_second = shared, self._per_second
        self._local = max(0.0, self._local - grant.tokens)
        self._in_hand += grant.tokens
        self._shared_left, self._shared_at = grant.left, now
        if not grant.tokens:
            self._dry_until = now + max(0.001, 1 - grant.left) / per_second

    def _fill_local(self, now: float) -> None:
        """The share fills whether it is in use or not, and what Redis granted was taken from it as well: losing Redis
        grants nobody a second quota."""
        gained = max(0.0, now - self._local_at) * self._share / self.quota.window_seconds
        self._local = min(self._share, self._local + gained)
        self._local_at = now
