"""Tokens that all processes share, in Redis. Open this file when limits differ between processes."""

from dataclasses import dataclass

import structlog

from libs.common.redis_circuit import RedisCircuit

LOG = structlog.get_logger(__name__)
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
        self._redis = RedisCircuit(
            redis_url, connections_max=CONNECTIONS_MAX, on_away=_note_away, on_back=_note_back
        )

    async def take(self, key: str, quota: int, window_seconds: int, wanted: int, now: float) -> Grant | None:
        """None when Redis is not to be asked or does not answer: local shares count. now: Unix time."""
        answer = await self._redis.run(TAKE, [KEY_PREFIX + key], [quota, window_seconds * 1000, wanted], now)
        if not isinstance(answer, list):
            return None
        granted, left = answer
        return Grant(int(granted), int(left) / 1000)

    async def close(self) -> None:
        await self._redis.close()


def _note_away(error: Exception) -> None:
    LOG.warning("rates fall back to the local share", error=error)


def _note_back() -> None:
    LOG.info("rates are shared again")
