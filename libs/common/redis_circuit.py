"""The way to Redis for what goes on without it. Open this file to learn how long a dead Redis holds anybody up.

closed   a question may take TIMEOUT_SECONDS
open     for CIRCUIT after a failure nobody asks
then     one question asks again, not all of them
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

TIMEOUT_SECONDS = 0.2
CIRCUIT = timedelta(seconds=5)


class RedisCircuit:
    """Runs scripts while Redis answers. Times are Unix times, given by the caller.

    redis_url: None when there is no Redis at all. on_away: told each failure. on_back: told when Redis answers again.
    """

    def __init__(
        self,
        redis_url: str | None,
        *,
        connections_max: int,
        on_away: Callable[[Exception], None],
        on_back: Callable[[], None],
    ) -> None:
        self._redis = _client(redis_url, connections_max) if redis_url else None
        self._on_away = on_away
        self._on_back = on_back
        self._scripts: dict[str, AsyncScript] = {}
        self._ask_again_at: float | None = None

    @property
    def exists(self) -> bool:
        """False when there is no Redis at all."""
        return self._redis is not None

    def away_for(self, now: float) -> timedelta:
        """Time until a question asks again; zero while Redis answers, and at once after it."""
        return timedelta(seconds=max(0.0, (self._ask_again_at or now) - now))

    async def run(
        self, script: str, keys: Sequence[str], arguments: Sequence[int | str], now: float
    ) -> object:
        """The script's result, or None when Redis is not to be asked or does not answer."""
        was_open = self._ask_again_at is not None
        if self._redis is None or self.away_for(now):
            return None
        again_at = now + CIRCUIT.total_seconds()
        if was_open:
            self._ask_again_at = again_at
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                result: object = await self._script(self._redis, script)(keys=keys, args=arguments)
        except (RedisError, OSError, TimeoutError) as error:
            self._ask_again_at = again_at
            self._on_away(error)
            return None
        self._ask_again_at = None
        if was_open:
            self._on_back()
        return result

    async def close(self) -> None:
        if self._redis is not None:
            await self._redis.aclose()

    def _script(self, redis: "Redis", text: str) -> AsyncScript:
        if text not in self._scripts:
            self._scripts[text] = redis.register_script(text)
        return self._scripts[text]


def _client(redis_url: str, connections_max: int) -> "Redis":
    return Redis.from_url(
        redis_url,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        max_connections=connections_max,
        retry=Retry(NoBackoff(), 0),
    )
