"""The ranges of time that tries lie in. Open this file to change how long one is, or how one goes.

Tries are only added, and read by their delivery; nothing has to hold for all of them at once. So they lie in tables by
the day on which they began, and what is too old goes as a table, without a row being touched:

    attempt_20261201_20261216   from the first day until before the second, UTC; there is always one ahead
    attempt_rest                whatever lies in no range: begun before there was one, or by a clock that is far ahead,
                                or of a delivery that is under way still while its range has gone

What lies in `attempt_rest` goes row by row with its delivery (`retention.py`). Relays may do all of this at once.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg
import structlog

from libs.common.durable.store import Store, nothing_committed

LOG = structlog.get_logger(__name__)
RANGES_KEPT = 6
"""Into so many the time is parted that history is kept; a try is kept longer by one of them at most."""
SPAN_MAX = timedelta(days=30)
DAY = timedelta(days=1)
STEP = 5000
NAME = re.compile(r"attempt_(\d{8})_(\d{8})")
FIND = """
SELECT relname AS name, relispartition AS in_use FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname LIKE 'attempt\\_2%'
ORDER BY relname
"""
ALONE = "SELECT pg_try_advisory_xact_lock(hashtext(current_schema() || ' ranges'))"
SOON = "SET LOCAL lock_timeout = 1000"
"""Whoever comes later for a table waits behind one that waits for it."""
IN_THE_WAY = (
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.CheckViolationError,
    asyncpg.InsufficientPrivilegeError,
)
"""Somebody holds the table for long; a clock that is ahead has put a row where the new range lies; the process may not
make tables, and then all tries lie in `attempt_rest`."""
UNDER_WAY = """
SELECT delivery_id, create_time < $2 AS old FROM delivery WHERE delivery_id > $1 ORDER BY delivery_id LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class Range:
    """A table of tries."""

    begin: datetime
    end: datetime
    in_use: bool = True
    """False once nobody finds it by way of `attempt`: it is about to go."""

    @classmethod
    def named(cls, name: str, *, in_use: bool) -> "Range | None":
        """None for a table that is no range."""
        if not (found := NAME.fullmatch(name)):
            return None
        begin, end = (datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC) for day in found.groups())
        return cls(begin, end, in_use)

    @property
    def name(self) -> str:
        return f"attempt_{self.begin:%Y%m%d}_{self.end:%Y%m%d}"


def span_for(history: timedelta | None) -> timedelta:
    """Length of a new range, in whole days. history: how long a try is kept; None for good."""
    return SPAN_MAX if history is None else min(max(history // RANGES_KEPT // DAY * DAY, DAY), SPAN_MAX)


def range_after(known: Sequence[Range], now: datetime, span: timedelta) -> Range | None:
    """The range to be made now; None while there is one that is yet to begin."""
    if any(each.begin > now for each in known):
        return None
    tomorrow = now.replace(hour=0, minute=0, second=0, microsecond=0) + DAY
    begin = max([tomorrow, *(each.end for each in known)])
    return Range(begin, begin + span)


async def make_ahead(store: Store, now: datetime, history: timedelta | None) -> None:
    """Makes the next range before it is needed."""

    async def make(driver: asyncpg.Connection) -> None:
        made = range_after(await _known(driver), now, span_for(history))
        if made is not None:
            await driver.execute(
                f"CREATE TABLE {made.name} PARTITION OF attempt"
                f" FOR VALUES FROM ('{made.begin.isoformat()}') TO ('{made.end.isoformat()}')"
            )
            LOG.info("range_made", table=made.name, service=store.service)

    await _alone(store, make)


async def drop_old(store: Store, before: datetime) -> None:
    """Takes out the ranges that ended before that time.

    In two steps: to take a range from `attempt` all others have to stay away from that for a moment, and not while its
    rows are looked at. Whoever comes after one that died in between goes on from there.
    """

    async def detach(driver: asyncpg.Connection) -> None:
        for each in await _known(driver):
            if each.in_use and each.end <= before:
                await driver.execute(f"ALTER TABLE attempt DETACH PARTITION {each.name}")

    async def drop(driver: asyncpg.Connection) -> None:
        for each in await _known(driver):
            if not each.in_use:
                await _keep_under_way(driver, each)
                await driver.execute(f"DROP TABLE {each.name}")
                LOG.info("range_dropped", table=each.name, service=store.service)

    await _alone(store, detach)
    await _alone(store, drop)


async def _keep_under_way(driver: asyncpg.Connection, old: Range) -> None:
    """Tries whose delivery is there still go to `attempt_rest`. Few are as old as that once the others have gone."""
    last, more = 0, True
    while more:
        rows = await driver.fetch(UNDER_WAY, last, old.end, STEP)
        ids = [row["delivery_id"] for row in rows if row["old"]]
        await driver.execute(
            f"INSERT INTO attempt SELECT * FROM {old.name} WHERE delivery_id = ANY($1::bigint[])",  # noqa: S608
            ids,
        )
        last, more = rows[-1]["delivery_id"] if rows else last, bool(ids)


async def _known(driver: asyncpg.Connection) -> list[Range]:
    found = [Range.named(row["name"], in_use=row["in_use"]) for row in await driver.fetch(FIND)]
    return [each for each in found if each is not None]


async def _alone(store: Store, work: Callable[[asyncpg.Connection], Awaitable[None]]) -> None:
    """Runs it in one transaction. Not at all where another process does, or where something is in the way: there is
    time until the next round. NotDone when the database is away.
    """
    with nothing_committed():
        try:
            async with store.driver() as driver, driver.transaction():
                await driver.execute(SOON)
                if await driver.fetchval(ALONE):
                    await work(driver)
        except IN_THE_WAY as error:
            LOG.info("ranges_wait", cause=type(error).__name__, service=store.service)
