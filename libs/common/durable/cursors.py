"""How far each feed has come. Open this file to see how two processes that read one feed are kept apart.

A cursor carries a generation that rises with each move: of two that read the same page one moves it, and the other
finds out before it has changed anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ordermesh.connector.v1 import change_pb2

from libs.common.durable.store import Store
from libs.common.durable.tx import Group

POSITION = "SELECT position, generation FROM cursor WHERE tenant = $1 AND system = $2 AND kind = $3"
MOVE = """
INSERT INTO cursor AS c (tenant, system, kind, position, generation, caught_up_time, reason)
VALUES ($1, $2, $3, $4, $5 + 1, $6, '')
ON CONFLICT (tenant, system, kind) DO UPDATE
SET position = excluded.position, generation = excluded.generation, reason = '',
    caught_up_time = coalesce(excluded.caught_up_time, c.caught_up_time)
WHERE c.generation = $5 RETURNING 1
"""
HOLD = """
INSERT INTO cursor AS c (tenant, system, kind, position, generation, reason) VALUES ($1, $2, $3, '', 0, '')
ON CONFLICT (tenant, system, kind) DO UPDATE SET reason = c.reason WHERE c.generation = $4 RETURNING 1
"""
NOTE = """
INSERT INTO cursor (tenant, system, kind, position, generation, reason) VALUES ($1, $2, $3, '', 0, $4)
ON CONFLICT (tenant, system, kind) DO UPDATE SET reason = excluded.reason RETURNING 1
"""


class Read(Protocol):
    """What a cursor is the position in."""

    @property
    def tenant(self) -> str: ...

    @property
    def system(self) -> str: ...

    @property
    def kind(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Page:
    """What one reading brought."""

    changes: Sequence[change_pb2.ExternalChange]
    positions: Sequence[bytes]
    """Where to read on after each of them."""
    position: bytes
    """Where to read on after all of it."""
    generation: int
    """Of the cursor it was read from."""
    caught_up: bool
    """True when there was nothing more."""

    @property
    def told(self) -> Sequence[change_pb2.ExternalChange]:
        """The changes that somebody there has made, and not we."""
        return [change for change in self.changes if not change.echo]

    def parts(self, changes_max: int) -> Sequence["Page"]:
        """The page as several that follow each other, of at most so many changes; the last ends where it does."""
        parts: list[Page] = []
        for number, begin in enumerate(range(0, len(self.changes) or 1, changes_max)):
            end = begin + changes_max
            is_last = end >= len(self.changes)
            part = replace(
                self,
                changes=self.changes[begin:end],
                positions=self.positions[begin:end],
                position=self.position if is_last else self.positions[end - 1],
                generation=self.generation + number,
                caught_up=self.caught_up and is_last,
            )
            parts.append(part)
        return parts


class Raced(Exception):
    """Another process moved the cursor; it has taken the page in."""


async def position(store: Store, feed: Read) -> tuple[bytes, int]:
    """Where to read on, and the generation to move from; the beginning for a feed never read."""
    rows = await store.fetch(POSITION, feed.tenant, feed.system, feed.kind)
    return (rows[0]["position"], rows[0]["generation"]) if rows else (b"", 0)


async def move(group: Group, feed: Read, page: Page) -> None:
    """Raises Raced when it is no longer where the page was read from."""
    caught_up_time = group.now if page.caught_up else None
    place = (feed.tenant, feed.system, feed.kind)
    if not await group.driver.fetch(MOVE, *place, page.position, page.generation, caught_up_time):
        raise Raced


async def hold(group: Group, feed: Read, page: Page) -> None:
    """Until the commit nobody moves it. Raises Raced when somebody has."""
    if not await group.driver.fetch(HOLD, feed.tenant, feed.system, feed.kind, page.generation):
        raise Raced


async def note_failure(store: Store, feed: Read, reason: str) -> None:
    """For operators; the next move forgets it."""
    await store.fetch(NOTE, feed.tenant, feed.system, feed.kind, reason)
