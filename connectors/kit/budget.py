"""Calls a vendor bears, counted across all processes that speak to it. Open this file when calls are throttled.

At most `calls_per_minute_max` in any 60 seconds, whatever becomes of Redis or of a process. The budget is cut into
parts that never mix, so the sum holds although nobody can know what another does who is out of reach:

pool        most of it, in Redis: the times of the last so many calls, and a script that takes a call or says how long
            to wait, in one step
own share   the rest, divided by the processes there may be, each counted by its process alone: for when the pool is
            spent, slow, away or out of this process's reach

What is not known counts as spent. A Redis that was emptied, restarted or replaced by another gives nothing for SPAN.
A process takes nothing of its own share in its first SPAN, as the one before it may have; so whoever takes from a share
within a minute has lived when the minute began, and of these there are never more than PROCESSES_MAX.

A call counts when it is taken, and leaves at once (`http.py`). Nothing here waits for the budget: a spent one is
NotDone with the time to come back.
"""

from collections import deque
from datetime import datetime, timedelta
from typing import Protocol, Self

import structlog
from pydantic import SecretStr

from libs.common.clock import Clock, SystemClock
from libs.common.errors import NotDone
from libs.common.metrics import BUDGET_MAX, BUDGET_REFUSED, BUDGET_SPENT
from libs.common.redis_circuit import RedisCircuit

LOG = structlog.get_logger(__name__)
SPAN = timedelta(seconds=60)
CONNECTIONS_MAX = 32
PAUSE_MAX = timedelta(hours=6)
"""A vendor's Retry-After beyond this is cut: a header must not stop a system for good."""
PROCESSES_MAX = 4
"""Processes that speak to one system at the same time, at most; one that is ending counts, too."""
SET_ASIDE = 4
"""One call in so many does not go through Redis."""
NOTHING = timedelta(0)
MILLISECOND = timedelta(milliseconds=1)

TAKE = """
local pause_ms = redis.call('PTTL', KEYS[2])
if pause_ms > 0 then return {pause_ms, 0, 0} end
local calls_max, span_ms = tonumber(ARGV[1]), tonumber(ARGV[2])
if calls_max == 0 then return {0, 0, 0} end
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
if redis.call('GET', KEYS[3]) ~= run then
    redis.call('DEL', KEYS[1])
    redis.call('SET', KEYS[3], run)
end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local unknown = calls_max - redis.call('LLEN', KEYS[1])
for _ = 1, unknown do redis.call('RPUSH', KEYS[1], now_ms) end
local wait_ms = redis.call('LINDEX', KEYS[1], calls_max - 1) + span_ms - now_ms
if wait_ms > 0 then return {0, wait_ms, math.max(unknown, 0)} end
redis.call('LTRIM', KEYS[1], 0, calls_max - 2)
redis.call('LPUSH', KEYS[1], now_ms)
return {0, 0, 0}
"""
"""Keys: times of calls, newest first; pause; the run of Redis in which they were noted. Arguments: calls in a span (0 =
no limit), span in ms. Result: ms of the pause; ms to wait, 0 when a call was taken; calls that nobody knows of and that
count from now on.

The list always has as many times as the pool has calls, so one that is missing was forgotten. What another run of Redis
has left may be older than the last call, as a snapshot or a replica is."""
PAUSE = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], '1', 'PX', ARGV[1]) end
return 0
"""
"""Keys: pause. Arguments: ms. The longer of two pauses stays."""


def own_share(calls_max: int, processes_max: int, *, has_pool: bool) -> int:
    """Calls in a span that one process may make without asking; all processes together leave the pool half or more."""
    if not has_pool:
        return calls_max // processes_max
    return calls_max // (SET_ASIDE * processes_max) or int(calls_max >= 2 * processes_max)


class OwnShare:
    """What one process counts alone. New, it is spent."""

    def __init__(self, calls_max: int, now: datetime) -> None:
        self._times = deque([now] * calls_max, maxlen=calls_max)

    def take(self, now: datetime) -> timedelta:
        """Zero when a call was taken, else the time until one may be."""
        wait = self._times[0] + SPAN - now if self._times else SPAN
        if wait > NOTHING:
            return wait
        self._times.append(now)
        return NOTHING


class Budgeted(Protocol):
    """What a connector's settings say of its budget."""

    @property
    def redis_url(self) -> SecretStr | None: ...

    @property
    def system(self) -> str: ...

    @property
    def calls_per_minute_max(self) -> int: ...

    @property
    def processes_max(self) -> int: ...


class SharedBudget:
    """One system's budget; satisfies `Budget` of `kit.http`.

    redis_url: None when there is no Redis at all; the whole budget is then divided by `processes_max`.
    calls_per_minute_max: 0 when the vendor sets no limit; pauses count all the same.
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
        if redis_url is None and 0 < calls_per_minute_max < processes_max:
            raise SystemExit(
                "settings cannot be used:\n  ORDERMESH_REDIS_URL: is needed where "
                f"{processes_max} processes may share {calls_per_minute_max} calls a minute ({system})"
            )
        BUDGET_MAX.at().set(calls_per_minute_max)
        self._system = system
        self._clock = clock or SystemClock()
        share = own_share(calls_per_minute_max, processes_max, has_pool=redis_url is not None)
        self._is_bounded = calls_per_minute_max > 0
        self._pool_max = calls_per_minute_max - share * processes_max
        self._own = OwnShare(share, self._clock.now())
        self._paused_until: datetime | None = None
        self._redis = RedisCircuit(
            redis_url, connections_max=CONNECTIONS_MAX, on_away=self._note_away, on_back=self._note_back
        )
        self._keys = [f"ordermesh:budget:{{{system}}}:{name}" for name in ("calls", "pause", "run")]

    @classmethod
    def of(cls, settings: Budgeted, clock: Clock) -> Self:
        """The budget that a connector is told of."""
        return cls(
            settings.redis_url.get_secret_value() if settings.redis_url else None,
            settings.system,
            settings.calls_per_minute_max,
            processes_max=settings.processes_max,
            clock=clock,
        )

    async def spend(self) -> None:
        """Takes one call; NotDone SYSTEM_THROTTLED with `retry_after` when none is left."""
        wait = self._pause_left() or await self._take()
        if wait:
            BUDGET_REFUSED.at().inc()
            raise NotDone("SYSTEM_THROTTLED", f"the calls {self._system} bears are spent", retry_after=wait)
        BUDGET_SPENT.at().inc()

    async def pause(self, span: timedelta) -> None:
        """Nobody calls for that long, here at once and elsewhere as soon as Redis hears of it."""
        span = min(max(span, NOTHING), PAUSE_MAX)
        self._pause(span)
        await self._run(PAUSE, self._keys[1:2], max(1, int(span / MILLISECOND)))

    async def close(self) -> None:
        await self._redis.close()

    async def _take(self) -> timedelta:
        """Zero when a call was taken from either part, else the time after which to ask again."""
        pool_wait = await self._take_from_pool()
        pause_left = self._pause_left()
        if pause_left or not pool_wait or not self._is_bounded:
            return pause_left
        return min(pool_wait, self._own.take(self._clock.now()))

    async def _take_from_pool(self) -> timedelta:
        """Zero when a call was taken, else the time after which Redis may give one or answer again."""
        span_ms = int(SPAN / MILLISECOND)
        answer = await self._run(TAKE, self._keys, self._pool_max, span_ms)
        if not isinstance(answer, list):
            away_for = self._redis.away_for(self._clock.now().timestamp())
            return max(away_for, MILLISECOND) if self._redis.exists else SPAN
        pause_ms, wait_ms, unknown = map(int, answer)
        if pause_ms:
            self._pause(pause_ms * MILLISECOND)
        if unknown:
            LOG.warning(
                "Redis may have forgotten calls: they count as spent", system=self._system, calls=unknown
            )
        return wait_ms * MILLISECOND

    async def _run(self, script: str, keys: list[str], *arguments: int) -> object:
        """The script's result, or None when Redis is not to be asked or does not answer."""
        return await self._redis.run(script, keys, arguments, self._clock.now().timestamp())

    def _pause(self, span: timedelta) -> None:
        until = self._clock.now() + span
        self._paused_until = max(until, self._paused_until or until)

    def _pause_left(self) -> timedelta:
        return max(NOTHING, self._paused_until - self._clock.now()) if self._paused_until else NOTHING

    def _note_away(self, error: Exception) -> None:
        LOG.warning("calls come from this process's own share only", system=self._system, error=error)

    def _note_back(self) -> None:
        LOG.info("calls come from Redis again", system=self._system)
