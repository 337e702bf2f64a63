"""How often somebody may call, counted across processes. Open this package to change how a rate is kept.

A token bucket per caller lies in Redis: it holds a window's quota and fills evenly. A process takes a handful of tokens
in one step and spends them by itself, so that a busy caller costs Redis one question for many calls. While Redis is
away each process lives on its own share.

    shared.py    the script that takes tokens from Redis, behind a circuit
    bucket.py    one caller's tokens in one process
    limiter.py   all callers' buckets, bounded in number
"""

from libs.common.ratelimit.bucket import Bucket, Quota
from libs.common.ratelimit.limiter import RateLimiter

__all__ = ["Bucket", "Quota", "RateLimiter"]
