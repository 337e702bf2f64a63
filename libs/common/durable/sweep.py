"""The loop that forgets: idempotency keys whose time is up, and history older than it is kept. Open this file to change
how often or how fast; what goes and when stands in `retention.py`.

Runs beside the relay; two at once are harmless.
"""

import asyncio
from datetime import datetime, timedelta

import structlog

from libs.common.clock import Clock
from libs.common.durable import ranges
from libs.common.durable.retention import FORGET_KEYS, Plan, Retention
from libs.common.durable.store import Store
from libs.common.errors import OrdermeshError

LOG = structlog.get_logger(__name__)
EVERY = timedelta(minutes=10)
STEP = 5000
"""Rows looked at in one statement, so that none holds its locks for long."""


async def run(store: Store, clock: Clock, stop: asyncio.Event, retention: Retention | None = None) -> None:
    """Forgets what is due, now and every few minutes, until `stop`."""
    while not stop.is_set():
        try:
            while not stop.is_set() and await forget_keys(store, clock.now()) == STEP:
                pass
            await forget_history(store, clock.now(), retention or Retention(), stop)
        except OrdermeshError as error:
            LOG.info("sweep_failed", reason=error.reason)
        await clock.wait(stop, EVERY)


async def forget_keys(store: Store, now: datetime) -> int:
    """One step; the number of keys forgotten."""
    return len(await store.fetch(FORGET_KEYS, now, STEP))


async def forget_history(
    store: Store, now: datetime, retention: Retention, stop: asyncio.Event
) -> dict[str, int]:
    """All that is too old, step by step until `stop`; the number of rows by table. Tries are not counted."""
    forgotten = {}
    await ranges.make_ahead(store, now, retention.history)
    for plan in retention.plans(now):
        forgotten[plan.table] = await _forget(store, plan, stop)
        if forgotten[plan.table]:
            LOG.info("forgotten", table=plan.table, rows=forgotten[plan.table], service=store.service)
    if retention.history is not None:
        await ranges.drop_old(store, now - retention.history)
    return forgotten


async def _forget(store: Store, plan: Plan, stop: asyncio.Event) -> int:
    count, last, more = 0, 0, True
    while more and not stop.is_set():
        (step,) = await store.fetch(plan.statement, *plan.arguments(last, STEP))
        count, last, more = count + step["gone"], step["last"], step["more"]
    return count
