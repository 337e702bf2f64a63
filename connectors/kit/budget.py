"""Calls a vendor bears, counted across all processes that speak to it. Open this file when calls are throttled.

At most `calls_per_minute_max` in any 60 seconds: Redis keeps the times of the last so many calls, and a script takes a
call or says how long to wait, in one step. While Redis is away each process lives on its own share, and a circuit keeps
calls from waiting for a dead Redis:

    closed   every call asks Redis, for at most TIMEOUT_SECONDS
    open     for CIRCUIT_SECONDS after a failure nobody asks; the local share counts
    then     one call asks again

Nothing here waits for the budget: a spent one is NotDone with the time to come back.
"""

import asyncio
from collections import deque
from datetime import datetime, timedelta

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from libs.common.clock import Clock, SystemClock
from libs.common.errors import NotDone

LOG = structlog.get_logger(__name__)
SPAN = timedelta(seconds=60)
TIMEOUT_SECONDS = 0.2
CIRCUIT = timedelta(seconds=5)
CONNECTIONS_MAX = 32
PAUSE_MAX = timedelta(hours=6)
"""A vendor's Retry-After beyond this is cut: a header must not stop a system for good."""
PROCESSES_MAX = 4
"""Processes that speak to one system, at most; a local share is the budget divided by it."""

TAKE = """
local pause = redis.call('PTTL', KEYS[2])
if pause > 0 then return pause end
local calls_max, span_ms = tonumber(ARGV[1]), tonumber(ARGV[2])
if calls_max == 0 then return 0 end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('LLEN', KEYS[1]) >= calls_max then
    local wait_ms = redis.call('LINDEX', KEYS[1], calls_max - 1) + span_ms - now_ms
    if wait_ms > 0 then return wait_ms end
    redis.call('LTRIM', KEYS[1], 0, calls_max - 2)
end
redis.call('LPUSH', KEYS[1], now_ms)
redis.call('PEXPIRE', KEYS[1], span_ms)
return 0
"""
"""Keys: times of calls, newest first; pause. Arguments: calls in a span (0 = no limit), span in ms.
Result: 0 when a call was taken, else ms to wait."""
PAUSE = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], '1', 'PX', ARGV[1]) end
return 0
"""
"""Keys: pause. Arguments: ms. The longer of two pauses stays."""


class LocalShare:
    """What one process may spend on its own; it counts its calls always, so that losing Redis grants nothing twice."""

    def __init__(self, calls_max: int) -> None:
        self._calls_max = calls_max
        self._times: deque[datetime] = deque(maxlen=calls_max or None)
        self._paused_until: datetime | None = None

    def pause(self, until: datetime) -> None:
        self._paused_until = max(until, self._paused_until or until)

    def wait(self, now: datetime) -> timedelta:
        """Time until the next call may go. Zero when it may go now."""
        waits = [self._paused_until - now] if self._paused_until else []
        if self._calls_max and len(self._times) == self._calls_max:
            waits.append(self._times[0] + SPAN - now)
        return max([timedelta(0), *waits])

    def pause_left(self, now: datetime) -> timedelta:
        return max(timedelta(0), self._paused_until - now) if self._paused_until else timedelta(0)

    def note(self, now: datetime) -> None:
        if self._calls_max:
            self._times.append(now)


class SharedBudget:
    """One system's budget; satisfies `Budget` of `kit.http`.

    redis_url: None when there is no Redis at all. calls_per_minute_max: 0 when the vendor sets no limit; pauses count
    all the same.
    """

    def __init__(
        self,
        redis_url: str | None,
        system: str,
        calls_per_minute_max: int,
        *,
        processes_max: int = PROCESSES_MAX,
        clock: Clock | None = None,
    ) -> None:
        self._calls_max = calls_per_minute_max
        self._system = system
        self._clock = clock or SystemClock()
        share = max(1, calls_per_minute_max // processes_max) if calls_per_minute_max else 0
        self._local = LocalShare(share)
        self._ask_again_at: datetime | None = None
        self._redis = _client(redis_url) if redis_url else None
        self._keys = [f"ordermesh:budget:{{{system}}}:calls", f"ordermesh:budget:{{{system}}}:pause"]

    async def spend(self) -> None:
        """Takes one call; NotDone SYSTEM_THROTTLED with `retry_after` when none is left."""
        now = self._clock.now()
        wait = self._local.pause_left(now)
        if not wait:
            shared = await self._run(TAKE, self._keys, self._calls_max, int(SPAN / timedelta(milliseconds=1)))
            wait = self._local.wait(now) if shared is None else timedelta(milliseconds=shared)
        if wait:
            raise NotDone("SYSTEM_THROTTLED", f"the calls {self._system} bears are spent", retry_after=wait)
        self._local.note(now)

    async def pause(self, span: timedelta) -> None:
        """Nobody calls for that long, here at once and elsewhere as soon as Redis hears of it."""
        span = min(max(span, timedelta(0)), PAUSE_MAX)
        self._local.pause(self._clock.now() + span)
        await self._run(PAUSE, self._keys[1:], max(1, int(span / timedelta(milliseconds=1))))

    async def close(self) -> None:
        if self._redis is not None:
            await self._redis.aclose()

    async def _run(self, script: str, keys: list[str], *arguments: int) -> int | None:
        """The script's result, or None when Redis is not to be asked or does not answer."""
        now = self._clock.now()
        was_open = self._ask_again_at is not None
        if self._redis is None or (self._ask_again_at is not None and now < self._ask_again_at):
            return None
        if was_open:
            self._ask_again_at = now + CIRCUIT
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                result = int(await self._redis.eval(script, len(keys), *keys, *arguments))
        except (RedisError, OSError, TimeoutError) as error:
            self._ask_again_at = now + CIRCUIT
            LOG.warning("budget falls back to the local share", system=self._system, error=error)
            return None
        self._ask_again_at = None
        if was_open:
            LOG.info("budget is shared again", system=self._system)
        return result


def _client(redis_url: str) -> "Redis":
    return Redis.from_url(
        redis_url,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        max_connections=CONNECTIONS_MAX,
        retry=Retry(NoBackoff(), 0),
    )
