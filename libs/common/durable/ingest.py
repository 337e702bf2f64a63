"""The loop inward: reads what changed in outside systems and takes it in. Open this file to follow a change in.

    ReadChanges(cursor), no transaction open  →  commits of records, links and cursor, a part of the page each

The cursor moves only together with what it passed, so a process may die anywhere: the rest is read again, and a change
that is known is a change to nothing. A change that cannot be taken in does not stop the feed: it is set aside
(`aside.py`).
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
from libs.common.durable import cursors
from libs.common.durable.aside import TakeIn, close_obsolete, set_aside
from libs.common.durable.crash import crash_point
from libs.common.durable.cursors import Page
from libs.common.durable.store import AGAIN, UNREACHABLE, UNSTORABLE
from libs.common.durable.tx import Group, Tx
from libs.common.durable.tx.ahead import read_linked_ahead
from libs.common.durable.unit import Unit, is_away
from libs.common.errors import NotDone, OrdermeshError
from libs.common.metrics import INGESTED
from libs.common.retry import RetryPolicy, wait_after
from libs.common.telemetry import new_traceparent

LOG = structlog.get_logger(__name__)
PAGE = 200
"""Changes of one reading."""
TOGETHER_MAX = 50
"""Changes of one commit: whoever commits beside it waits until it is on the disk."""
READ_SECONDS = 60.0
AGAIN_AFTER = RetryPolicy(wait_max=timedelta(seconds=30))
"""A reading that failed has changed nothing, so it is repeated as soon as a delivery is, and never given up. By chance
a little later, so that feeds do not come back all at once."""

T = TypeVar("T", bound=Tx)


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

    def new_context(self) -> CallContext:
        """Of a reading or of a change that it brings: each is a trace of its own, for nobody has called."""
        return CallContext(
            tenant=self.tenant,
            system=self.system,
            actor=f"system:{self.system}",
            roles=frozenset({"mesh"}),
            correlation_id=f"ingest-{self.system}-{self.kind.removeprefix('KIND_').lower()}",
            traceparent=new_traceparent(),
        )


class Ingest(Generic[T]):
    """Takes one service's feeds in."""

    def __init__(
        self,
        unit: Unit[T],
        feeds: Sequence[Feed],
        take_in: TakeIn[T],
        *,
        clock: Clock,
        draw: Callable[[], float],
    ) -> None:
        self._unit = unit
        self._feeds = feeds
        self._take_in = take_in
        self._clock = clock
        self._draw = draw
        self.bells = {feed: asyncio.Event() for feed in feeds}

    async def run(self, stop: asyncio.Event) -> None:
        """Reads all feeds until `stop`."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._ring_at(stop))
            for feed in self._feeds:
                loops.create_task(self._run_feed(feed, stop))

    async def _ring_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        for bell in self.bells.values():
            bell.set()

    async def _run_feed(self, feed: Feed, stop: asyncio.Event) -> None:
        """A bell shortens the wait for news, never the wait after a failure."""
        failures, bell = 0, self.bells[feed]
        while not stop.is_set():
            bell.clear()
            try:
                if await self.run_once(feed) >= PAGE:
                    continue
            except cursors.Raced:
                LOG.info("feed_raced", system=feed.system, kind=feed.kind)
            except Exception as error:  # noqa: BLE001  (the outermost loop: whatever fails, the feed goes on)
                failures += 1
                await self._note_failure(feed, error)
                await self._clock.wait(stop, wait_after(_known(error), failures, AGAIN_AFTER, self._draw()))
                continue
            failures = 0
            await self._clock.wait(bell, feed.every)

    async def run_once(self, feed: Feed) -> int:
        """Takes one page in; the number of changes read."""
        with using(feed.new_context()):
            page = await self._read(feed)
            if page.changes:
                crash_point("after_read_changes")
            for part in page.parts(TOGETHER_MAX):
                await self._take_part_in(feed, part)
            return len(page.changes)

    async def _take_part_in(self, feed: Feed, part: Page) -> None:
        if not await self._commit(
            feed, lambda group: self._commit_part(group, feed, part), otherwise="page_taken_in_one_by_one"
        ):
            await self._commit_one_by_one(feed, part)
        if part.changes:
            crash_point("after_take_in")
            INGESTED.at(feed.system, feed.kind.removeprefix("KIND_").lower()).inc(len(part.changes))

    async def _read(self, feed: Feed) -> Page:
        """At most `PAGE` changes. NotDone SYSTEM_UNAVAILABLE when they do not come in time."""
        position, generation = await cursors.position(self._unit.store, feed)
        request = connector_service_pb2.ReadChangesRequest(
            kind=change_pb2.Kind.Value(feed.kind), cursor=position, limit=PAGE
        )
        changes: list[change_pb2.ExternalChange] = []
        positions: list[bytes] = []
        try:
            async with asyncio.timeout(READ_SECONDS):
                async for item in feed.changes.ReadChanges(request):
                    position = item.cursor
                    if item.HasField("change"):
                        changes.append(item.change)
                        positions.append(item.cursor)
                    if len(changes) >= PAGE:
                        break
        except TimeoutError as error:
            raise NotDone("SYSTEM_UNAVAILABLE", "reading what changed took too long") from error
        return Page(changes, positions, position, generation, caught_up=len(changes) < PAGE)

    async def _commit_part(self, group: Group, feed: Feed, part: Page) -> None:
        await cursors.move(group, feed, part)
        await self._read_ahead(group, feed, part.told)
        taken: list[change_pb2.ExternalChange] = []
        failed: list[change_pb2.ExternalChange] = []
        for change in part.told:
            (taken if await self._take_one(group, feed, change) else failed).append(change)
        await self._set_aside(group, feed, taken, failed)

    async def _read_ahead(
        self, group: Group, feed: Feed, changes: Sequence[change_pb2.ExternalChange]
    ) -> None:
        """A feed mostly tells of what is known: one statement for all, where each change would ask twice."""
        told = {(change.ref.system, change.ref.external_id) for change in changes}
        if len(told) > 1:
            await read_linked_ahead(self._open(group, feed, "read_ahead"), told)

    async def _commit_one_by_one(self, feed: Feed, part: Page) -> None:
        """What one change wants stored spoils the commit of all: it alone is set aside.

        The cursor moves last; should the process die before, the part is read again and the changes are known.
        """
        for change in part.told:
            await self._commit_alone(feed, part, change)
        await self._unit.commit(lambda group: cursors.move(group, feed, part))

    async def _commit_alone(self, feed: Feed, part: Page, change: change_pb2.ExternalChange) -> None:
        async def take_in(group: Group) -> None:
            await cursors.hold(group, feed, part)
            taken = await self._take_one(group, feed, change)
            await self._set_aside(group, feed, *(([change], []) if taken else ([], [change])))

        if not await self._commit(feed, take_in, otherwise="change_set_aside"):
            await self._unit.commit(lambda group: self._set_aside(group, feed, [], [change]))

    async def _commit(self, feed: Feed, work: Callable[[Group], Awaitable[None]], *, otherwise: str) -> bool:
        """True once it is through; False when what it wants stored will never be, which the log tells as `otherwise`.

        Raises Raced, and what says that the database is away.
        """
        try:
            await self._unit.commit(work)
        except cursors.Raced:
            raise
        except Exception as error:
            if is_away(error):
                raise
            _say_failed(feed, error, otherwise)
            return False
        return True

    async def _take_one(self, group: Group, feed: Feed, change: change_pb2.ExternalChange) -> bool:
        tx = self._open(group, feed, f"take_in:{change.mapping}")
        try:
            await self._take_in(change, tx)
        except AGAIN + UNREACHABLE + UNSTORABLE:
            raise
        except Exception as error:  # noqa: BLE001  (one change's fault is not the feed's)
            _say_failed(feed, error, "change_set_aside")
            return False
        group.accept(tx)
        return True

    async def _set_aside(
        self,
        group: Group,
        feed: Feed,
        taken: Sequence[change_pb2.ExternalChange],
        failed: Sequence[change_pb2.ExternalChange],
    ) -> None:
        closing = self._open(group, feed, "close_obsolete")
        left = await close_obsolete(closing, taken, failed)
        group.accept(closing)
        for change in left:
            aside = self._open(group, feed, "set_aside")
            await set_aside(aside, change)
            group.accept(aside)

    def _open(self, group: Group, feed: Feed, rule: str) -> T:
        context = replace(feed.new_context(), correlation_id=self._unit.new_id("cor"))
        return self._unit.open(group, context, rule)

    async def _note_failure(self, feed: Feed, error: Exception) -> None:
        """For operators; best effort, because the database may be what failed."""
        _say_failed(feed, error, "feed_failed")
        try:
            await cursors.note_failure(self._unit.store, feed, _known(error).reason)
        except OrdermeshError as second:
            LOG.info("failure_not_noted", reason=second.reason)


def _known(error: Exception) -> OrdermeshError:
    """What is said of it; a fault of ours is said as such."""
    return error if isinstance(error, OrdermeshError) else NotDone("CRASHED")


def _say_failed(feed: Feed, error: Exception, event: str) -> None:
    """A fault of ours with its stack, an expected failure without."""
    crashed = not isinstance(error, OrdermeshError)
    LOG.warning(
        event, system=feed.system, kind=feed.kind, error=error, reason=_known(error).reason, exc_info=crashed
    )
