"""Tokens that all processes share, in Redis. Open this file when limits differ between processes.

closed   a question to Redis may take TIMEOUT_SECONDS
open     for CIRCUIT_SECONDS after a failure nobody asks; local shares count
then     one question asks again
"""

import asyncio
from dataclasses import dataclass

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

LOG = structlog.get_logger(__name__)
TIMEOUT_SECONDS = 0.2
CIRCUIT_SECONDS = 5.0
CONNECTIONS_MAX = 8
KEY_PREFIX = "ordermesh:rate:"

TAKE = """
local quota, window_ms, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(kept[1] or quota), tonumber(kept[2] or now_ms)
tokens = math.min(quota, tokens + math.max(0, now_ms - at) * quota / window_ms)
local granted = math.min(wanted, math.floor(tokens))
tokens = tokens - granted
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', tostring(now_ms))
redis.call('PEXPIRE', KEYS[1], window_ms)
return {granted, math.floor(tokens * 1000)}
"""
"""Keys: the bucket. Arguments: tokens it holds at most, ms in which it fills, tokens wanted. A bucket that nobody
touched for a window is full, so it may be forgotten. Result: tokens granted, thousandths of a token left."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What Redis gave."""

    tokens: int
    left: float
    """Tokens that remain for everybody."""


class SharedTokens:
    """The way to Redis; one per process."""

    def __init__(self, redis_url: str | None) -> None:
        self._redis = _client(redis_url) if redis_url else None
        self._script = self._redis.register_script(TAKE) if self._redis is not None else None
        self._ask_again_at: float | None = None

    async def take(self, key: str, quota: int, window_seconds: int, wanted: int, now: float) -> Grant | None:
        """None when Redis is not to be asked or does not answer. now: Unix time."""
        if self._script is None or (self._ask_again_at is not None and now < self._ask_again_at):
            return None
        was_open = self._ask_again_at is not None
        if was_open:
            self._ask_again_at = now + CIRCUIT_SECONDS  # one question asks again, not all of them
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                granted, left = await self._script(
                    keys=[KEY_PREFIX + key], args=[quota, window_seconds * 1000, wanted]
                )
        except (RedisError, OSError, TimeoutError) as error:
            self._ask_again_at = now + CIRCUIT_SECONDS
            LOG.warning("rates fall back to the local share", error=error)
            return None
        self._ask_again_at = None
        if was_open:
            LOG.info("rates are shared again")
        return Grant(int(granted), int(left) / 1000)

    async def close(self) -> None:
        if self._redis is not None:
            await self._redis.aclose()


def _client(redis_url: str) -> "Redis":
    return Redis.from_url(
        redis_url,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        max_connections=CONNECTIONS_MAX,
        retry=Retry(NoBackoff(), 0),
    )
