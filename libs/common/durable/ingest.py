"""The loop inward: reads what changed in outside systems and takes it in. Open this file to follow a change in.

    ReadChanges(cursor), no transaction open  →  one commit of records, links and cursor

The cursor moves only together with what it passed, so a process may die anywhere: the page is read again, and a change
that is known is a change to nothing. A change that cannot be taken in does not stop the feed: it becomes an event of
its own with a delivery to `intake:<system>`, retried or parked like any other, and closed when a later one succeeds.
"""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Generic, Protocol, TypeVar

import structlog
from ordermesh.connector.v1 import change_pb2, connector_service_pb2

from libs.common.clock import Clock
from libs.common.context import CallContext, using
from libs.common.durable.crash import crash_point
from libs.common.durable.model import Delivered, Delivery, Outcome
from libs.common.durable.store import AGAIN, UNREACHABLE
from libs.common.durable.tx import Group, Tx
from libs.common.durable.unit import Unit
from libs.common.errors import OrdermeshError

LOG = structlog.get_logger(__name__)
PAGE = 200
READ_SECONDS = 60.0
FAULT_WAIT_MAX = timedelta(seconds=30)
FAULT_WAIT_MIN = timedelta(milliseconds=500)
CHANGE_TYPE = "ordermesh.connector.v1.ExternalChange"

T = TypeVar("T", bound=Tx)
TakeIn = Callable[[change_pb2.ExternalChange, T], Awaitable[object]]


class ChangeFeed(Protocol):
    """The call of `ConnectorServiceStub` that a feed needs."""

    def ReadChanges(
        self, request: connector_service_pb2.ReadChangesRequest
    ) -> AsyncIterable[connector_service_pb2.ReadChangesResponse]: ...


@dataclass(frozen=True, slots=True)
class Feed:
    """One kind of record of one system, for one tenant."""

    tenant: str
    system: str
    kind: str
    """Name in the contract, for example `KIND_ORDER`."""
    changes: ChangeFeed
    every: timedelta
    """Longest wait between two readings; a bell shortens it."""

    @property
    def context(self) -> CallContext:
        """Of a reading; each change it brings gets a correlation id of its own."""
        return CallContext(
            tenant=self.tenant,
            system=self.system,
            actor=f"system:{self.system}",
            roles=frozenset({"mesh"}),
            correlation_id=f"ingest-{self.system}-{self.kind.removeprefix('KIND_').lower()}",
        )


class Raced(Exception):
    """Another process moved the cursor; it has taken the page in."""


class Ingest(Generic[T]):
    """Takes one service's feeds in."""

    def __init__(self, unit: Unit[T], feeds: Sequence[Feed], take_in: TakeIn[T], *, clock: Clock) -> None:
        self._unit = unit
        self._feeds = feeds
        self._take_in = take_in
        self._clock = clock
        self.bells = {feed: asyncio.Event() for feed in feeds}

    async def run(self, stop: asyncio.Event) -> None:
        """Reads all feeds until `stop`."""
        await asyncio.gather(*(self._run_feed(feed, stop) for feed in self._feeds))

    async def _run_feed(self, feed: Feed, stop: asyncio.Event) -> None:
        failures = 0
        while not stop.is_set():
            bell = self.bells[feed]
            bell.clear()
            try:
                if await self.run_once(feed) == PAGE:
                    continue
                failures, wait = 0, feed.every
            except Raced:
                wait = feed.every
            except OrdermeshError as error:
                failures += 1
                wait = min(FAULT_WAIT_MIN * 2 ** min(failures, 10), FAULT_WAIT_MAX)
                LOG.warning("feed_failed", system=feed.system, kind=feed.kind, reason=error.reason)
                await self._note_failure(feed, error)
            except Exception:
                failures += 1
                wait = FAULT_WAIT_MAX
                LOG.exception("feed_crashed", system=feed.system, kind=feed.kind)
            await self._clock.wait(bell, wait)

    async def run_once(self, feed: Feed) -> int:
        """Takes one page in; the number of changes read."""
        with using(feed.context):
            position, generation = await self._cursor(feed)
            request = connector_service_pb2.ReadChangesRequest(
                kind=change_pb2.Kind.Value(feed.kind), cursor=position, limit=PAGE
            )
            async with asyncio.timeout(READ_SECONDS):
                page = [item async for item in feed.changes.ReadChanges(request)]
            if page:
                crash_point("after_read_changes")
            changes = [item.change for item in page if item.HasField("change")]
            caught_up = len(changes) < PAGE
            last = page[-1].cursor if page else position
            await self._unit.commit(
                lambda group: self._commit_page(group, feed, changes, (last, generation), caught_up=caught_up)
            )
            if changes:
                crash_point("after_take_in")
            return len(changes)

    async def _cursor(self, feed: Feed) -> tuple[bytes, int]:
        rows = await self._unit.store.fetch(
            "SELECT position, generation FROM cursor WHERE tenant = $1 AND system = $2 AND kind = $3",
            feed.tenant,
            feed.system,
            feed.kind,
        )
        return (rows[0]["position"], rows[0]["generation"]) if rows else (b"", 0)

    async def _commit_page(
        self,
        group: Group,
        feed: Feed,
        changes: Sequence[change_pb2.ExternalChange],
        moved: tuple[bytes, int],
        *,
        caught_up: bool,
    ) -> None:
        await self._move_cursor(group, feed, *moved, caught_up=caught_up)
        taken: list[str] = []
        for change in changes:
            if change.echo:
                continue
            if await self._take_one(group, feed, change):
                taken.append(intake_subject(change))
        await close_superseded(group, feed.tenant, taken)

    async def _take_one(self, group: Group, feed: Feed, change: change_pb2.ExternalChange) -> bool:
        context = replace(feed.context, correlation_id=self._unit.new_id("cor"))
        tx = self._unit.open(group, context, f"take_in:{change.mapping}")
        try:
            await self._take_in(change, tx)
        except AGAIN + UNREACHABLE:
            raise
        except Exception as error:
            reason = error.reason if isinstance(error, OrdermeshError) else "CRASHED"
            LOG.warning("change_set_aside", system=feed.system, kind=feed.kind, reason=reason, exc_info=error)
            aside = self._unit.open(group, context, "set_aside")
            await set_aside(aside, change)
            group.accept(aside)
            return False
        group.accept(tx)
        return True

    async def _move_cursor(
        self, group: Group, feed: Feed, position: bytes, generation: int, *, caught_up: bool
    ) -> None:
        moved = await group.driver.fetch(
            "INSERT INTO cursor AS c (tenant, system, kind, position, generation, caught_up_time, reason)"
            " VALUES ($1, $2, $3, $4, $5 + 1, $6, '')"
            " ON CONFLICT (tenant, system, kind) DO UPDATE SET position = excluded.position,"
            " generation = excluded.generation, reason = '',"
            " caught_up_time = coalesce(excluded.caught_up_time, c.caught_up_time)"
            " WHERE c.generation = $5 RETURNING c.generation",
            feed.tenant,
            feed.system,
            feed.kind,
            position,
            generation,
            group.now if caught_up else None,
        )
        if not moved:
            raise Raced

    async def _note_failure(self, feed: Feed, error: OrdermeshError) -> None:
        """For operators; best effort, because the database may be what failed."""
        try:
            await self._unit.store.fetch(
                "INSERT INTO cursor (tenant, system, kind, position, generation, reason)"
                " VALUES ($1, $2, $3, '', 0, $4)"
                " ON CONFLICT (tenant, system, kind) DO UPDATE SET reason = excluded.reason RETURNING 1",
                feed.tenant,
                feed.system,
                feed.kind,
                error.reason,
            )
        except OrdermeshError as second:
            LOG.info("failure_not_noted", reason=second.reason)


def intake_subject(change: change_pb2.ExternalChange) -> str:
    """The outside record, as a subject of its own: its changes wait for one another and for nothing else."""
    kind = change_pb2.Kind.Name(change.kind).removeprefix("KIND_").lower()
    return f"{change.ref.system}-{kind}/{change.ref.external_id}"


async def set_aside(tx: Tx, change: change_pb2.ExternalChange) -> None:
    """Keeps a change that could not be taken in, to be tried again and parked if that fails."""
    subject = intake_subject(change)
    given = ("sequence", tx.context.tenant, subject)
    last = tx.recall(given)
    if last is None:
        last = await tx.driver.fetchval(
            "SELECT max(sequence) FROM event WHERE tenant = $1 AND subject = $2", tx.context.tenant, subject
        )
    sequence = int(str(last or 0)) + 1
    tx.remember(given, sequence)
    tx.add_event(CHANGE_TYPE, subject, sequence, change.SerializeToString(), [f"intake:{change.ref.system}"])


async def close_superseded(group: Group, tenant: str, subjects: Sequence[str]) -> None:
    """A later change of the same record was taken in: what was set aside of it is obsolete."""
    if not subjects:
        return
    await group.driver.execute(
        "UPDATE delivery SET state = 'DISCARDED', reason = 'SUPERSEDED', settle_time = $3, park_time = NULL"
        " WHERE tenant = $1 AND subject = ANY($2::text[]) AND target LIKE 'intake:%'"
        " AND state IN ('PENDING', 'RETRYING', 'IN_DOUBT', 'PARKED') AND lease_id IS NULL",
        tenant,
        list(subjects),
        group.now,
    )


class IntakeTarget(Generic[T]):
    """Tries a change again that was set aside."""

    def __init__(self, take_in: TakeIn[T]) -> None:
        self._take_in = take_in

    async def deliver(self, delivery: Delivery) -> Outcome:
        change = change_pb2.ExternalChange.FromString(delivery.event.data)

        async def follow(tx: T) -> None:
            tx.context = replace(tx.context, system=delivery.event.source_system, actor=delivery.event.actor)
            await self._take_in(change, tx)

        return Delivered(follow=follow)
