"""Reading what changed: positions, overlap and repetition. Open it when changes are missed or told too often.

NetSuite tells the second of a record's last change, on the account's wall clock, and shows the record only once its
saving is done: a row can turn up behind rows that were read already. So reading goes in sweeps. A sweep walks forward
by (time, id) until nothing is left; the next one starts where a row may still turn up, `overlap` before NetSuite's now.

What a sweep meets again is left out when the cursor says that it was told: it carries a mark for each of the last few
hundred rows and changes. A longer list of marks stays in this process under a name in the cursor; without it, after a
restart for example, more is told again. Nothing is left out that the caller may lack.
"""

import hashlib
import json
from base64 import b64decode, b64encode
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from zoneinfo import ZoneInfo

from ordermesh.connector.v1 import change_pb2
from ordermesh.connector.v1.connector_service_pb2 import ReadChangesResponse

from connectors.netsuite.client import PAGE_MAX, NetSuiteClient
from connectors.netsuite.mapping.values import Row, earlier, is_ambiguous
from libs.common.errors import Refused
from libs.common.ids import new_id

BEGINNING = "1980-01-01 00:00:00"
SETTLED_AFTER = timedelta(seconds=2)
"""A row needs no second look once the second of its change is over: in the same second it may change again."""
CLOCK_CHANGE = timedelta(hours=1)
MARK_BYTES = 6
"""With 48 bits one change in 10¹¹ looks like one that was told."""
MARKS_IN_CURSOR = 450
"""A cursor has at most 4,096 bytes."""
MARKS_MAX = 20_000
MEMORIES_MAX = 64

Marks = Mapping[str, None]
"""Marks of what was told, oldest first."""
ToChanges = Callable[[Sequence[Row]], Awaitable[Sequence[Sequence[change_pb2.ExternalChange]]]]
"""Rows of a feed to the changes each of them stands for, none for a row that another one covers."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where to read on; what the caller keeps as an opaque cursor."""

    time: str = BEGINNING
    id: str = "0"
    top: str = ""
    """Latest time seen in this sweep, empty at its start."""
    told: str = ""
    """The latest marks, base64."""
    memory: str = ""
    """Name of the longer list, where there is one."""

    @classmethod
    def decode(cls, cursor: bytes) -> "Position":
        """Refused with INVALID_FIELD for bytes that are no cursor of ours."""
        try:
            return cls(*(str(part) for part in json.loads(cursor))) if cursor else cls()
        except (TypeError, ValueError):
            raise Refused.field("INVALID_FIELD", "cursor", "is no cursor of this connector") from None

    def encode(self) -> bytes:
        return json.dumps(
            [self.time, self.id, self.top, self.told, self.memory], separators=(",", ":")
        ).encode()

    def behind(self, row: Row) -> "Position":
        return replace(self, time=row["lm"], id=row["id"], top=max(self.top, row["lm"]))


class Memories:
    """Marks by the name that cursors carry. A bounded cache."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Marks] = OrderedDict()

    def recall(self, position: Position) -> Marks:
        kept = self._kept.get(position.memory)
        if kept is not None:
            return kept
        packed = b64decode(position.told)
        return {packed[at : at + MARK_BYTES].hex(): None for at in range(0, len(packed), MARK_BYTES)}

    def keep(self, position: Position, marks: Marks) -> Position:
        """The position with these marks."""
        latest = list(marks)[-MARKS_MAX:]
        packed = b64encode(bytes.fromhex("".join(latest[-MARKS_IN_CURSOR:]))).decode()
        if len(latest) <= MARKS_IN_CURSOR:
            return replace(position, told=packed, memory="")
        name = new_id("mem")
        self._kept[name] = dict.fromkeys(latest)
        while len(self._kept) > MEMORIES_MAX:
            self._kept.popitem(last=False)
        return replace(position, told=packed, memory=name)


def mark(*words: str) -> str:
    return hashlib.blake2b("\n".join(words).encode(), digest_size=MARK_BYTES).hexdigest()


def mark_of_row(row: Row) -> str:
    return mark("row", row["id"], row["lm"])


def mark_of_change(change: change_pb2.ExternalChange) -> str:
    return mark("change", change.ref.external_id, change.version)


@dataclass(frozen=True, slots=True)
class Feed:
    """One kind of record. statement: see `queries.py`."""

    client: NetSuiteClient
    statement: str
    changes: ToChanges
    memories: Memories
    zone: ZoneInfo
    overlap: timedelta

    async def read(self, cursor: bytes, limit: int) -> AsyncIterator[ReadChangesResponse]:
        """At most `limit` changes, but all of a row; ends when nothing is left or the limit is reached.

        Each change carries the position behind it, the last one that behind everything that was read.
        """
        position = Position.decode(cursor)
        held: ReadChangesResponse | None = None
        told, size, more = 0, min(limit, PAGE_MAX), True
        while more and told < limit:
            marks = dict(self.memories.recall(position))
            known = len(marks)
            page = await self.client.query(
                self.statement, [position.time, position.time, position.id], limit=size
            )
            rows, left_out = _up_to(page.rows, marks, limit - told)
            more = page.has_more or left_out
            waiting = iter(await self.changes([row for row in rows if mark_of_row(row) not in marks]))
            for row in rows:
                before, position = position, position.behind(row)
                mine = [] if mark_of_row(row) in marks else _news(next(waiting), marks)
                for number, change in enumerate(mine, start=1):
                    if held is not None:
                        yield held
                    told += 1
                    reached = position if number == len(mine) else before
                    held = ReadChangesResponse(change=change, cursor=reached.encode())
            marks |= {mark_of_row(row): None for row in rows if self._is_settled(row)}
            position = position if len(marks) == known else self.memories.keep(position, marks)
            if not more and position.top:
                position = self._next_sweep(position, now=rows[-1]["now"] if rows else position.top)
            size = PAGE_MAX
        if held is not None:
            held.cursor = position.encode()
            yield held
        elif position.encode() != cursor:
            yield ReadChangesResponse(cursor=position.encode())

    def _next_sweep(self, position: Position, *, now: str) -> Position:
        """Back to where rows may still turn up; not at all once the last row is old enough."""
        open_since = earlier(now, self.overlap)
        start = replace(position, top="")
        if open_since <= position.top:
            start = replace(start, time=open_since, id="0")
        if is_ambiguous(start.time, self.zone):
            # In autumn an hour comes twice: rows of its second run sort behind those of the first.
            start = replace(start, time=earlier(start.time, CLOCK_CHANGE), id="0")
        return start

    def _is_settled(self, row: Row) -> bool:
        return row["lm"] < earlier(row["now"], SETTLED_AFTER) and not is_ambiguous(row["lm"], self.zone)


def _news(
    changes: Sequence[change_pb2.ExternalChange], marks: dict[str, None]
) -> list[change_pb2.ExternalChange]:
    """Those of a row's changes that have no mark yet; they get one."""
    news = [change for change in changes if mark_of_change(change) not in marks]
    marks |= {mark_of_change(change): None for change in news}
    return news


def _up_to(rows: Sequence[Row], marks: Marks, news_max: int) -> tuple[Sequence[Row], bool]:
    """The rows up to so many that are new, and whether some were left out."""
    news = 0
    for place, row in enumerate(rows):
        news += mark_of_row(row) not in marks
        if news > news_max:
            return rows[:place], True
    return rows, False
