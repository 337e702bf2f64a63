"""All callers' buckets of one process. Open this file to learn how many are kept."""

import asyncio

from libs.common.ratelimit.bucket import Bucket, Quota
from libs.common.ratelimit.shared import Grant, SharedTokens

BUCKETS_MAX = 10_000
"""The oldest is forgotten first; its tokens are counted in Redis all the same."""


class RateLimiter:
    """One per process. redis_url: None when there is no Redis at all."""

    def __init__(self, redis_url: str | None) -> None:
        self._shared = SharedTokens(redis_url)
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self._questions: set[asyncio.Future[Grant | None]] = set()

    def bucket(self, quota: Quota, key: str, now: float) -> Bucket:
        """The tokens of `key` under one quota."""
        bucket = self._buckets.get((quota.name, key))
        if bucket is None:
            bucket = self._buckets[quota.name, key] = Bucket(quota, f"{quota.name}:{key}", self._take, now)
            if len(self._buckets) > BUCKETS_MAX:
                del self._buckets[next(iter(self._buckets))]
        return bucket

    async def close(self) -> None:
        await asyncio.gather(*self._questions, return_exceptions=True)
        await self._shared.close()

    def _take(self, quota: Quota, key: str, wanted: int, now: float) -> "asyncio.Future[Grant | None]":
        """A task of its own: a caller who hangs up must not take the tokens of those who wait with him."""
        asked = asyncio.ensure_future(
            self._shared.take(key, quota.calls_max, quota.window_seconds, wanted, now)
        )
        self._questions.add(asked)
        asked.add_done_callback(self._questions.discard)
        return asked
