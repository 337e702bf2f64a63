"""The loop that forgets: idempotency keys whose time is up. Open this file to change how long or how fast.

Everything else in the durable core is history and stays. Runs beside the relay; two at once are harmless.
"""

import asyncio
from datetime import datetime, timedelta

import structlog

from libs.common.clock import Clock
from libs.common.durable.store import Store
from libs.common.errors import OrdermeshError

LOG = structlog.get_logger(__name__)
EVERY = timedelta(minutes=10)
STEP = 5000
"""Keys forgotten in one statement, so that none holds its locks for long."""

FORGET = """
DELETE FROM idempotency i
USING (SELECT tenant, method, key FROM idempotency WHERE expiry_time < $1 LIMIT $2 FOR UPDATE SKIP LOCKED) old
WHERE (i.tenant, i.method, i.key) = (old.tenant, old.method, old.key)
RETURNING 1
"""


async def run(store: Store, clock: Clock, stop: asyncio.Event) -> None:
    """Forgets what is due, now and every few minutes, until `stop`."""
    while not stop.is_set():
        try:
            forgotten = await forget_keys(store, clock.now())
        except OrdermeshError as error:
            LOG.info("sweep_failed", reason=error.reason)
            forgotten = 0
        if forgotten < STEP:
            await clock.wait(stop, EVERY)


async def forget_keys(store: Store, now: datetime) -> int:
    """One step; the number of keys forgotten."""
    return len(await store.fetch(FORGET, now, STEP))
