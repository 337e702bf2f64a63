"""Sweeps, overlap and memory, against a table of rows that answers the feed's own query."""

from collections.abc import Sequence
from datetime import timedelta
from typing import cast
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st
from ordermesh.common.v1 import external_ref_pb2
from ordermesh.connector.v1 import change_pb2

from connectors.netsuite.client import NetSuiteClient, Page
from connectors.netsuite.feed import MARKS_IN_CURSOR, Feed, Memories
from connectors.netsuite.mapping.values import Row

NEW_YORK = ZoneInfo("America/New_York")
OVERLAP = timedelta(seconds=30)
CURSOR_BYTES_MAX = 4096


class Rows:
    """A NetSuite that has one table: id → time of last change, on the wall clock `now`."""

    def __init__(self) -> None:
        self.changed: dict[str, str] = {}
        self.now = "2026-03-01 12:00:00"
        self.detail_reads = 0

    def set(self, id_: str, second: int, minute: int = 0) -> None:
        self.changed[id_] = self.now = f"2026-03-01 12:{minute:02}:{second:02}"

    async def query(self, statement: str, parameters: Sequence[str], *, limit: int) -> Page:
        time, same, after_id = parameters
        assert time == same
        rows = sorted((lm, int(id_)) for id_, lm in self.changed.items())
        after = [row for row in rows if row > (time, int(after_id))]
        shown: list[Row] = [{"id": str(id_), "lm": lm, "now": self.now} for lm, id_ in after[:limit]]
        return Page(shown, len(after) > limit)

    async def details(self, rows: Sequence[Row]) -> list[list[change_pb2.ExternalChange]]:
        self.detail_reads += len(rows)
        return [
            [
                change_pb2.ExternalChange(
                    ref=external_ref_pb2.ExternalRef(system="netsuite", external_id=row["id"]),
                    version=row["lm"],
                )
            ]
            for row in rows
        ]


class Reader:
    """Reads on from its last cursor, as a service does."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.cursor = b""
        self.restart()

    def restart(self) -> None:
        """The connector's process begins anew; the cursor is with the service."""
        rows = self._rows
        self._feed = Feed(cast(NetSuiteClient, rows), "", rows.details, Memories(), NEW_YORK, OVERLAP)

    async def read(self, limit: int = 100) -> list[str]:
        told = []
        async for item in self._feed.read(self.cursor, limit):
            self.cursor = item.cursor
            if item.HasField("change"):
                told.append(item.change.ref.external_id)
        return told


async def test_a_row_behind_the_last_one_is_told_while_the_overlap_reaches_it() -> None:
    rows = Rows()
    reader = Reader(rows)
    rows.set("1", 10)
    rows.set("3", 38)
    assert await reader.read() == ["1", "3"]
    rows.changed["2"] = "2026-03-01 12:00:20"  # its saving began before that of 3 and ended after it
    assert await reader.read() == ["2"]
    assert await reader.read() == []


async def test_a_record_that_changes_again_in_the_same_second_is_read_again() -> None:
    rows = Rows()
    reader = Reader(rows)
    rows.set("1", 10)
    await reader.read()
    await reader.read()
    assert rows.detail_reads == 2
    rows.now = "2026-03-01 12:00:13"  # the second is over: now it would have another time
    await reader.read()
    await reader.read()
    assert rows.detail_reads == 3


async def test_an_idle_feed_keeps_its_cursor_also_over_restarts() -> None:
    rows = Rows()
    reader = Reader(rows)
    rows.set("1", 10)
    rows.now = "2026-03-01 12:30:00"
    await reader.read()
    cursor = reader.cursor
    for _ in range(3):
        reader.restart()
        assert await reader.read() == []
    assert reader.cursor == cursor


async def test_a_restart_within_the_overlap_tells_nothing_again_while_the_marks_fit() -> None:
    rows = Rows()
    reader = Reader(rows)
    for number in range(MARKS_IN_CURSOR // 2):
        rows.set(str(number + 1), 10)
    await reader.read(1000)
    reader.restart()
    assert await reader.read(1000) == []


async def test_more_than_a_cursor_holds_is_told_again_after_a_restart_and_never_too_little() -> None:
    rows = Rows()
    reader = Reader(rows)
    names = {str(number + 1) for number in range(MARKS_IN_CURSOR * 3)}
    for name in names:
        rows.set(name, 10)
    told = set()
    for _ in range(4):
        told |= set(await reader.read(500))
        assert len(reader.cursor) <= CURSOR_BYTES_MAX
    assert told == names
    assert await reader.read(500) == []
    reader.restart()
    again = set(await reader.read(1000)) | set(await reader.read(1000))
    assert 0 < len(again) < len(names)


async def test_the_overlap_is_behind_us_once_the_last_row_is_old() -> None:
    rows = Rows()
    reader = Reader(rows)
    rows.set("1", 10)
    rows.now = "2026-03-01 12:00:41"
    await reader.read()
    reads = rows.detail_reads
    rows.changed["2"] = "2026-03-01 12:00:09"  # later than any saving takes: the overlap is what we rely on
    assert await reader.read() == []
    assert rows.detail_reads == reads


async def test_an_empty_account_is_read_from_the_beginning_each_time() -> None:
    rows = Rows()
    reader = Reader(rows)
    assert await reader.read() == []
    rows.set("1", 10)
    assert await reader.read() == ["1"]


async def test_rows_that_vanish_do_not_send_the_reader_back_to_the_beginning() -> None:
    rows = Rows()
    reader = Reader(rows)
    for number in range(1, 4):
        rows.set(str(number), 10, minute=number)
    await reader.read()
    del rows.changed["3"]
    assert await reader.read() == []
    assert await reader.read() == []


async def test_in_autumn_the_second_run_of_the_hour_is_read_although_it_sorts_behind() -> None:
    rows = Rows()
    reader = Reader(rows)
    rows.changed["1"] = rows.now = "2026-11-01 01:59:00"
    assert await reader.read() == ["1"]
    rows.changed["2"] = rows.now = "2026-11-01 01:01:00"  # two minutes later, an hour earlier on the wall
    assert await reader.read() == ["2"]


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(1, 8), st.integers(0, 40), st.integers(1, 4)), min_size=1, max_size=25
    ),
)
async def test_however_rows_change_and_pages_fall_the_last_change_of_each_is_told(
    steps: list[tuple[int, int, int]],
) -> None:
    """Goal: nothing is lost. Method: change rows at rising times, read with small limits, drain, compare."""
    rows = Rows()
    reader = Reader(rows)
    told: dict[str, str] = {}
    clock = 0
    for id_, wait, limit in steps:
        clock += wait
        rows.set(str(id_), clock % 60, minute=clock // 60)
        for name in await reader.read(limit):
            told[name] = rows.changed[name]
    for _ in range(20):
        for name in await reader.read(3):
            told[name] = rows.changed[name]
    assert told == rows.changed
