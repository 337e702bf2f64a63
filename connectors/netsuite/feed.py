"""Reading what changed: positions, overlap and repetition. Open it when changes are missed or told too often.

NetSuite tells the second of a record's last change, on the account's wall clock, and shows the record only once its
saving is done: a row can turn up behind rows that were read already. So reading goes in sweeps. A sweep walks forward
by (time, id) until nothing is left; the next one starts a little before the last row seen.

What a sweep meets again is left out when this process remembers it: rows whose second is over without reading their
details, changes whose version was told before. The memory is named in the cursor and belongs to it: whoever comes with
another cursor, or after a restart, is told again. Nothing is left out that the caller may lack.
"""

import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from zoneinfo import ZoneInfo

from ordermesh.connector.v1 import change_pb2, connector_service_pb2

from connectors.netsuite.client import PAGE_MAX, NetSuiteClient
from connectors.netsuite.mapping.values import Row, earlier, is_ambiguous
from libs.common.errors import Refused
from libs.common.ids import new_id

BEGINNING = "1980-01-01 00:00:00"
SETTLED_AFTER = timedelta(seconds=2)
"""A row is remembered once the second of its change is over: in the same second it may change again."""
CLOCK_CHANGE = timedelta(hours=1)
MEMORIES_MAX = 64

Changes = Callable[[Sequence[Row]], Awaitable[Sequence[Sequence[change_pb2.ExternalChange]]]]
"""Rows of a feed to the changes each of them stands for, none for a row that another one covers."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where to read on; what the caller keeps as an opaque cursor."""

    time: str = BEGINNING
    id: str = "0"
    top: str = BEGINNING
    """Latest time seen in this sweep."""
    memory: str = ""
    """Name of the memory of what was told before this position."""

    @classmethod
    def decode(cls, cursor: bytes) -> "Position":
        """Refused with INVALID_FIELD for bytes that are no cursor of ours."""
        if not cursor:
            return cls()
        try:
            return cls(**{name: str(value) for name, value in json.loads(cursor).items()})
        except (AttributeError, TypeError, ValueError):
            raise Refused.field("INVALID_FIELD", "cursor", "is no cursor of this connector") from None

    def encode(self) -> bytes:
        return json.dumps(asdict(self), separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Memory:
    """What was told before a position."""

    rows: Mapping[str, str]
    """Time of change of each row whose details need not be read again."""
    versions: Mapping[str, str]
    """Version of each record told; it begins with the time of change."""

    def knows_row(self, row: Row) -> bool:
        return self.rows.get(row["id"]) == row["lm"]

    def knows(self, change: change_pb2.ExternalChange) -> bool:
        return self.versions.get(change.ref.external_id) == change.version

    def since(self, time: str) -> "Memory":
        """What a sweep from that time on can meet again."""
        return Memory(
            {id_: lm for id_, lm in self.rows.items() if lm >= time},
            {id_: version for id_, version in self.versions.items() if version >= time},
        )


NOTHING = Memory({}, {})


class Memories:
    """Memories by the name that cursors carry. A bounded cache."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Memory] = OrderedDict()

    def recall(self, name: str) -> Memory:
        return self._kept.get(name, NOTHING)

    def keep(self, memory: Memory) -> str:
        """The name; empty for an empty memory."""
        if memory == NOTHING:
            return ""
        name = new_id("mem")
        self._kept[name] = memory
        while len(self._kept) > MEMORIES_MAX:
            self._kept.popitem(last=False)
        return name


@dataclass(frozen=True, slots=True)
class Feed:
    """One kind of record. statement: see `queries.py`."""

    client: NetSuiteClient
    statement: str
    changes: Changes
    memories: Memories
    zone: ZoneInfo
    overlap: timedelta

    async def read(
        self, cursor: bytes, limit: int
    ) -> AsyncIterator[connector_service_pb2.ReadChangesResponse]:
        """At most `limit` changes, but all of a row; ends when nothing is left or the limit is reached.

        Each change carries the position behind it, the last one that behind everything that was read.
        """
        position = Position.decode(cursor)
        held: connector_service_pb2.ReadChangesResponse | None = None
        told, size, more = 0, min(limit, PAGE_MAX), True
        while more and told < limit:
            known = self.memories.recall(position.memory)
            page = await self.client.query(
                self.statement, [position.time, position.time, position.id], limit=size
            )
            rows, left_out = _up_to(page.rows, known, limit - told)
            more = page.has_more or left_out
            versions = dict(known.versions)
            waiting = iter(await self.changes([row for row in rows if not known.knows_row(row)]))
            for row in rows:
                before, position = position, _after(position, row)
                mine = [] if known.knows_row(row) else [it for it in next(waiting) if not known.knows(it)]
                for number, change in enumerate(mine, start=1):
                    if held is not None:
                        yield held
                    told += 1
                    versions[change.ref.external_id] = change.version
                    reached = position if number == len(mine) else before
                    held = connector_service_pb2.ReadChangesResponse(change=change, cursor=reached.encode())
            position = self._page_end(
                position, known, Memory(self._rows_over(rows), versions), sweep_ends=not more
            )
            size = PAGE_MAX
        if held is not None:
            held.cursor = position.encode()
            yield held
        elif position.encode() != cursor:
            yield connector_service_pb2.ReadChangesResponse(cursor=position.encode())

    def _page_end(self, position: Position, known: Memory, page: Memory, *, sweep_ends: bool) -> Position:
        """The position after a page: with a memory that holds the page, and back by the overlap at a sweep's end."""
        memory = Memory({**known.rows, **page.rows}, page.versions)
        if sweep_ends and position.top != BEGINNING:
            position = replace(position, time=self._next_start(position.top), id="0", top=BEGINNING)
            memory = memory.since(position.time)
        return position if memory == known else replace(position, memory=self.memories.keep(memory))

    def _rows_over(self, rows: Sequence[Row]) -> Mapping[str, str]:
        """Rows that cannot change again without another time of change."""
        if not rows:
            return {}
        over_since = earlier(rows[0]["now"], SETTLED_AFTER)
        return {
            row["id"]: row["lm"]
            for row in rows
            if row["lm"] < over_since and not is_ambiguous(row["lm"], self.zone)
        }

    def _next_start(self, top: str) -> str:
        start = earlier(top, self.overlap)
        # In autumn an hour comes twice: rows of its second run sort behind those of the first.
        twice = is_ambiguous(start, self.zone) or is_ambiguous(top, self.zone)
        return earlier(start, CLOCK_CHANGE) if twice else start


def _after(position: Position, row: Row) -> Position:
    return replace(position, time=row["lm"], id=row["id"], top=max(position.top, row["lm"]))


def _up_to(rows: Sequence[Row], known: Memory, news_max: int) -> tuple[Sequence[Row], bool]:
    """The rows up to so many that are new, and whether some were left out."""
    news = 0
    for place, row in enumerate(rows):
        news += not known.knows_row(row)
        if news > news_max:
            return rows[:place], True
    return rows, False
