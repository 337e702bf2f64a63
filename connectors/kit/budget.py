"""Calls a vendor bears, counted across all processes that speak to it. Open this file when calls are throttled.

At most `calls_per_minute_max` in any 60 seconds: Redis keeps the times of the last so many calls, and a script takes a
call or says how long to wait, in one step. While Redis is away each process lives on its own share, and a circuit
(`libs/common/redis_circuit.py`) keeps calls from waiting for a dead Redis.

A Redis that has come back, or was emptied (its epoch is another one), does not know the calls made meanwhile. For SPAN
from then on both bounds hold, its count and the local share: together the shares are no more than the budget.

Nothing here waits for the budget: a spent one is NotDone with the time to come back.
"""

from collections import deque
from datetime import datetime, timedelta

import structlog

from libs.common.clock import Clock, SystemClock
from libs.common.errors import NotDone
from libs.common.ids import new_id
from libs.common.metrics import BUDGET_MAX, BUDGET_REFUSED, BUDGET_SPENT
from libs.common.redis_circuit import RedisCircuit

LOG = structlog.get_logger(__name__)
SPAN = timedelta(seconds=60)
CONNECTIONS_MAX = 32
PAUSE_MAX = timedelta(hours=6)
"""A vendor's Retry-After beyond this is cut: a header must not stop a system for good."""
PROCESSES_MAX = 4
"""Processes that speak to one system, at most; a local share is the budget divided by it."""

TAKE = """
local pause = redis.call('PTTL', KEYS[2])
redis.call('SET', KEYS[3], ARGV[3], 'NX')
local epoch = redis.call('GET', KEYS[3])
if pause > 0 then return {pause, epoch} end
local calls_max, span_ms = tonumber(ARGV[1]), tonumber(ARGV[2])
if calls_max == 0 then return {0, epoch} end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('LLEN', KEYS[1]) >= calls_max then
    local wait_ms = redis.call('LINDEX', KEYS[1], calls_max - 1) + span_ms - now_ms
    if wait_ms > 0 then return {wait_ms, epoch} end
    redis.call('LTRIM', KEYS[1], 0, calls_max - 2)
end
redis.call('LPUSH', KEYS[1], now_ms)
redis.call('PEXPIRE', KEYS[1], span_ms)
return {0, epoch}
"""
"""Keys: times of calls, newest first; pause; epoch. Arguments: calls in a span (0 = no limit), span in ms, name of the
epoch if one begins. Result: 0 when a call was taken, else ms to wait; the epoch, which ends when Redis forgets."""
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
        BUDGET_MAX.at().set(calls_per_minute_max)
        self._system = system
        self._clock = clock or SystemClock()
        share = max(1, calls_per_minute_max // processes_max) if calls_per_minute_max else 0
        self._local = LocalShare(share)
        self._epoch = b""
        self._shared_again_at: datetime | None = None
        """Until then Redis does not know all calls of the last SPAN."""
        self._new_epoch = new_id("epo")
        self._redis = RedisCircuit(
            redis_url, connections_max=CONNECTIONS_MAX, on_away=self._note_away, on_back=self._note_back
        )
        self._keys = [f"ordermesh:budget:{{{system}}}:{name}" for name in ("calls", "pause", "epoch")]

    async def spend(self) -> None:
        """Takes one call; NotDone SYSTEM_THROTTLED with `retry_after` when none is left."""
        now = self._clock.now()
        wait = self._local_wait(now)
        if not wait:
            wait = max(await self._take(now, self._calls_max), self._local_wait(now))
        elif self._redis.is_worth_a_try(now.timestamp()):
            await self._take(now, calls_max=0)  # only to learn that Redis is back
        if wait:
            BUDGET_REFUSED.at().inc()
            raise NotDone("SYSTEM_THROTTLED", f"the calls {self._system} bears are spent", retry_after=wait)
        self._local.note(now)
        BUDGET_SPENT.at().inc()

    async def pause(self, span: timedelta) -> None:
        """Nobody calls for that long, here at once and elsewhere as soon as Redis hears of it."""
        span = min(max(span, timedelta(0)), PAUSE_MAX)
        self._local.pause(self._clock.now() + span)
        await self._run(PAUSE, self._keys[1:2], max(1, int(span / timedelta(milliseconds=1))))

    async def close(self) -> None:
        await self._redis.close()

    def _is_on_its_own(self, now: datetime) -> bool:
        """Whether the local share counts: Redis is away, or has not seen all of the last SPAN."""
        return not self._redis.exists or (self._shared_again_at is not None and now < self._shared_again_at)

    def _local_wait(self, now: datetime) -> timedelta:
        return self._local.wait(now) if self._is_on_its_own(now) else self._local.pause_left(now)

    async def _take(self, now: datetime, calls_max: int) -> timedelta:
        """A call from the shared budget, or how long to wait for one; zero, too, while Redis is away."""
        span_ms = int(SPAN / timedelta(milliseconds=1))
        answer = await self._run(TAKE, self._keys, calls_max, span_ms, self._new_epoch)
        if not isinstance(answer, list):
            return timedelta(0)
        wait_ms, epoch = answer
        if self._epoch not in (b"", epoch):
            self._shared_again_at = now + SPAN
            LOG.warning("Redis has forgotten the calls of the last minute", system=self._system)
        self._epoch, self._new_epoch = epoch, new_id("epo")
        return timedelta(milliseconds=wait_ms)

    async def _run(self, script: str, keys: list[str], *arguments: int | str) -> object:
        """The script's result, or None when Redis is not to be asked or does not answer."""
        return await self._redis.run(script, keys, arguments, self._clock.now().timestamp())

    def _note_away(self, error: Exception) -> None:
        self._shared_again_at = self._clock.now() + SPAN
        LOG.warning("budget falls back to the local share", system=self._system, error=error)

    def _note_back(self) -> None:
        self._shared_again_at = self._clock.now() + SPAN
        LOG.info("budget is shared again in a minute", system=self._system)
