"""How often a caller may ask. Open this file when somebody is refused with RATE_LIMITED or asks what is left.

    "client"   one subject of one tenant
    "tenant"   all of a tenant's subjects together
    "bulk"     one subject's lists, exports and replays of many, besides the two above

Each answer says which quotas hold (`RateLimit-Policy`) and what is left of them (`RateLimit`), as structured fields of
draft-ietf-httpapi-ratelimit-headers; a refusal repeats it in its body.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from gateway.exchange import Exchange, Headers
from libs.common.clock import Clock
from libs.common.errors import NotDone
from libs.common.metrics import RATE_LIMITED
from libs.common.ratelimit import Bucket, Quota, RateLimiter
from libs.common.rpc.contract import BULK

CALLERS_MAX = 10_000
"""Callers whose buckets and headers are at hand; the oldest is forgotten first."""
PARTITION_BYTES = 9


@dataclass(frozen=True, slots=True)
class Quotas:
    """Calls per minute; 0 sets no limit."""

    client: int = 0
    tenant: int = 0
    bulk: int = 0


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one caller may spend from."""

    buckets: tuple[Bucket, ...]
    policy: bytes
    left: bytes
    """What is left of each, the numbers yet to be put in."""

    def headers(self, now: float) -> Headers:
        numbers = tuple([number for bucket in self.buckets for number in bucket.standing(now)])
        return ((b"ratelimit-policy", self.policy), (b"ratelimit", self.left % numbers))


class Rates:
    """All callers' rates; one per process."""

    def __init__(self, quotas: Quotas, limiter: RateLimiter, clock: Clock) -> None:
        client, tenant, bulk = (
            Quota("client", quotas.client),
            Quota("tenant", quotas.tenant),
            Quota("bulk", quotas.bulk),
        )
        self._ordinary = tuple(quota for quota in (client, tenant) if quota.calls_max)
        self._bulk = tuple(quota for quota in (bulk, client, tenant) if quota.calls_max)
        self._limiter = limiter
        self._clock = clock
        self._allowances: dict[tuple[str, str, bool], Allowance] = {}

    async def spend(self, exchange: Exchange, lane: str) -> None:
        """Counts the request; its answer will say what is left. NotDone RATE_LIMITED."""
        quotas = self._bulk if lane == BULK else self._ordinary
        if not quotas:
            return
        now = self._clock.now().timestamp()
        caller = exchange.caller
        allowance = self._allowance(caller.tenant, caller.actor, lane == BULK, quotas, now)
        for number, bucket in enumerate(allowance.buckets):
            if bucket.spend_in_hand():
                continue
            wait = await bucket.spend(now)
            if wait:
                for spent in allowance.buckets[:number]:
                    spent.give_back()
                exchange.told = allowance.headers(now)
                RATE_LIMITED.at(bucket.quota.name).inc()
                raise _limited(bucket, wait, now)
        exchange.told = allowance.headers(now)

    async def close(self) -> None:
        await self._limiter.close()

    def _allowance(
        self, tenant: str, client: str, bulk: bool, quotas: Sequence[Quota], now: float
    ) -> Allowance:
        allowance = self._allowances.get((tenant, client, bulk))
        if allowance is None:
            keys = {
                quota.name: _partition(tenant, "" if quota.name == "tenant" else client) for quota in quotas
            }
            buckets = tuple(self._limiter.bucket(quota, keys[quota.name], now) for quota in quotas)
            policy = ", ".join(
                f'"{quota.name}";q={quota.calls_max};w={quota.window_seconds};pk=:{keys[quota.name]}:'
                for quota in quotas
            )
            left = ", ".join(f'"{quota.name}";r=%d;t=%d' for quota in quotas)
            allowance = Allowance(buckets, policy.encode(), left.encode())
            self._allowances[tenant, client, bulk] = allowance
            if len(self._allowances) > CALLERS_MAX:
                del self._allowances[next(iter(self._allowances))]
        return allowance


def _partition(tenant: str, client: str) -> str:
    """Whom a bucket belongs to, without saying it: the name stands in headers and in Redis."""
    digest = hashlib.sha256(f"{len(tenant)}:{tenant}{client}".encode()).digest()
    return base64.b64encode(digest[:PARTITION_BYTES]).decode()


def _limited(bucket: Bucket, wait: float, now: float) -> NotDone:
    quota, standing = bucket.quota, bucket.standing(now)
    return NotDone(
        "RATE_LIMITED",
        f"more than {quota.calls_max} requests in {quota.window_seconds} s",
        retry_after=timedelta(seconds=wait),
        metadata={
            "policy": quota.name,
            "quota": str(quota.calls_max),
            "windowSeconds": str(quota.window_seconds),
            "remaining": str(standing.left),
            "resetSeconds": str(standing.full_in_seconds),
        },
    )
