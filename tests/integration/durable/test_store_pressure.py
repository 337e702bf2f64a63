"""The database is there and cannot: its disk is full, its connections are taken, others are in the way.

What a caller is told then is refused or done again, and nothing is ever half written.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest
import pytest_asyncio
from google.protobuf.wrappers_pb2 import StringValue

from libs.common.aggregate import Link
from libs.common.durable import unit as unit_module
from libs.common.durable.model import State
from libs.common.durable.rehearsal import rehearse
from libs.common.durable.unit import Unit
from libs.common.errors import NotDone, OrdermeshError
from libs.common.ids import new_id
from libs.common.testing.disk import FULL, FullDisk
from libs.common.testing.faults import MemorySystem
from libs.common.testing.records import (
    Note,
    NoteTx,
    WriteNote,
    a_context,
    a_key,
    id_in,
    render_note,
    write_note,
)
from tests.integration.durable.world import ERP, World, connector_target

TABLES = ("idempotency", "notes", "event", "delivery", "audit", "link")
EMPTY = dict.fromkeys(TABLES, 0)
FULL_ROWS = {**dict.fromkeys(TABLES, 1), "delivery": 2}
CROWD = 60

needs_linux = pytest.mark.skipif(not FULL.exists(), reason="a disk is filled by way of /dev/full")


async def write(unit: Unit[NoteTx], key: str = "k") -> StringValue:
    command = WriteNote("hello", ("stage:next", "connector:erp"), (Link("erp", f"x-{key}"),))
    return await unit.run_once(write_note, command, render_note, a_key(key, command))


async def outcome(call: "asyncio.Future[StringValue] | asyncio.Task[StringValue]") -> str:
    try:
        await call
    except OrdermeshError as error:
        return f"{type(error).__name__} {error.reason}"
    return "done"


@pytest_asyncio.fixture
async def operator(world: World) -> AsyncIterator[asyncpg.Connection]:
    """A connection beside the product's."""
    driver = await world.postgres.connect(world.service)
    yield driver
    await driver.close()


@needs_linux
@pytest.mark.parametrize("table", TABLES)
async def test_a_full_disk_writes_nothing_says_so_and_a_repeat_makes_it_whole(
    world: World, operator: asyncpg.Connection, table: str
) -> None:
    """Whichever of the tables finds no room, none has anything of the command."""
    async with FullDisk(operator, [table]):
        with pytest.raises(NotDone) as full:
            await write(world.unit)
        assert full.value.reason == "STORE_UNAVAILABLE"
        assert isinstance(full.value.__cause__, asyncpg.DiskFullError)
        assert await world.counts() == EMPTY

    await write(world.unit)
    assert await world.counts() == FULL_ROWS


@needs_linux
async def test_many_who_wait_while_the_disk_is_full_are_all_told_and_none_is_half_written(
    world: World, operator: asyncpg.Connection
) -> None:
    async with FullDisk(operator, ["audit"]):
        calls = [asyncio.ensure_future(write(world.unit, f"k{number}")) for number in range(CROWD)]
        told = Counter([await outcome(call) for call in calls])
        assert told == {"NotDone STORE_UNAVAILABLE": CROWD}
        assert await world.counts() == EMPTY

    await asyncio.gather(*(write(world.unit, f"k{number}") for number in range(CROWD)))
    assert await world.count("notes") == CROWD


@needs_linux
async def test_what_was_written_outside_before_the_disk_was_full_is_found_and_not_written_again(
    world: World, operator: asyncpg.Connection
) -> None:
    system = MemorySystem()
    note_id = await world.write("hello", ERP)
    relay = world.new_relay({ERP: connector_target(system)})
    async with FullDisk(operator, ["attempt"]):
        with pytest.raises(NotDone):
            await relay.run_once()
        assert system.keys() == [note_id]
        assert await world.states() == [State.PENDING]

    world.advance(61)
    await relay.run_once()
    assert await world.states() == [State.DELIVERED]
    assert system.calls == [f"apply {note_id}", f"find {note_id}"]


async def test_a_pool_that_is_exhausted_under_load_is_not_done_and_nothing_is_half_written(
    world: World,
) -> None:
    """One connection for sixty callers, and somebody keeps it."""
    unit = world.new_unit(pool_max=1)
    unit.store.engine.pool._timeout = 0.05  # type: ignore[attr-defined]
    async with unit.store.driver():
        calls = [asyncio.ensure_future(write(unit, f"k{number}")) for number in range(CROWD)]
        reads = [asyncio.ensure_future(unit.store.fetch("SELECT 1")) for _ in range(CROWD)]
        told = Counter([await outcome(call) for call in calls])
        refused = await asyncio.gather(*reads, return_exceptions=True)
    assert told == {"NotDone STORE_UNAVAILABLE": CROWD}
    assert {type(each) for each in refused} == {NotDone}
    assert await world.counts() == EMPTY

    await asyncio.gather(*(write(unit, f"k{number}") for number in range(CROWD)))
    assert await world.count("notes") == CROWD


async def test_more_callers_than_may_wait_are_refused_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit_module, "WAITING_MAX", 8)
    calls = [asyncio.ensure_future(write(world.unit, f"k{number}")) for number in range(CROWD)]
    told = Counter([await outcome(call) for call in calls])

    assert told["NotDone OVERLOADED"] > 0
    assert told["NotDone OVERLOADED"] + told["done"] == CROWD
    assert await world.count("notes") == told["done"]


@pytest_asyncio.fixture
async def strict_url(world: World) -> AsyncIterator[str]:
    """A user whose every transaction is serializable."""
    role = new_id("strict").replace("-", "_")
    await world.execute(f'CREATE ROLE "{role}" SUPERUSER LOGIN')
    await world.execute(f"ALTER ROLE \"{role}\" SET default_transaction_isolation = 'serializable'")
    yield world.postgres.url.replace("postgres@", f"{role}@")
    await world.close()
    await world.execute(f'DROP ROLE "{role}"')


async def test_serialization_failures_are_run_again_and_no_change_is_lost(
    world: World, strict_url: str
) -> None:
    """Two processes add to a text that both have read; PostgreSQL lets only one of two such through."""
    note_id = await world.write("")
    units = [world.new_unit(url=strict_url) for _ in range(2)]
    both_have_read = asyncio.Barrier(2)
    runs: Counter[str] = Counter()

    async def add_one(process: str, tx: NoteTx) -> Note:
        note = await tx.notes.get(note_id)
        assert note is not None
        runs[process] += 1
        if runs[process] == 1:
            await both_have_read.wait()
        return await tx.notes.put(replace(note, text=note.text + "x"))

    async def add(process: str, unit: Unit[NoteTx], key: str) -> None:
        while (
            await outcome(asyncio.ensure_future(unit.run_once(add_one, process, render_note, a_key(key))))
            == "NotDone CONFLICT"
        ):
            pass

    await asyncio.gather(
        *(add(f"p{place}", unit, f"{place}-{n}") for place, unit in enumerate(units) for n in range(10))
    )

    (row,) = await world.rows("SELECT text FROM notes WHERE record_id = $1", note_id)
    assert row["text"] == "x" * 20
    assert runs.total() > 20


async def test_deadlocks_are_run_again_and_each_command_takes_effect_once(world: World) -> None:
    """Two processes lock the same two rows, each in the other's order."""
    await world.execute("CREATE TABLE latch (side text PRIMARY KEY, taken integer NOT NULL)")
    await world.execute("INSERT INTO latch VALUES ('left', 0), ('right', 0)")
    both_hold_one = asyncio.Barrier(2)
    runs: Counter[str] = Counter()

    async def take_both(first: str, tx: NoteTx) -> Note:
        second = "right" if first == "left" else "left"
        runs[first] += 1
        await tx.driver.execute("UPDATE latch SET taken = taken + 1 WHERE side = $1", first)
        if runs[first] == 1:
            await both_hold_one.wait()
        await tx.driver.execute("UPDATE latch SET taken = taken + 1 WHERE side = $1", second)
        return await write_note(WriteNote(first), tx)

    async def take(unit: Unit[NoteTx], first: str, key: str) -> str:
        return id_in(await unit.run_once(take_both, first, render_note, a_key(key)))

    sides = (("left", world.new_unit()), ("right", world.new_unit()))
    ids = await asyncio.gather(*(take(unit, side, f"{side}-{n}") for side, unit in sides for n in range(5)))

    assert len(set(ids)) == 10 == await world.count("notes")
    assert {row["taken"] for row in await world.rows("SELECT taken FROM latch")} == {10}
    assert runs.total() > 10


async def test_work_that_keeps_losing_is_told_so_and_leaves_nothing(world: World) -> None:
    """Somebody holds the row for good: after some tries the caller is told to come back."""
    note_id = await world.write("held")
    unit = world.new_unit()
    async with unit.store.driver() as holder:
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("SELECT FROM notes WHERE record_id = $1 FOR UPDATE", note_id)

        async def want_it(command: str, tx: NoteTx) -> Note:
            await tx.driver.execute("SET LOCAL lock_timeout = '10ms'")
            await tx.driver.execute("SELECT FROM notes WHERE record_id = $1 FOR UPDATE", note_id)
            raise AssertionError("somebody else holds it")

        with pytest.raises(NotDone) as busy:
            await unit.run_once(want_it, "", render_note, a_key("k"))
        await transaction.rollback()

    assert busy.value.reason == "CONFLICT"
    assert await world.count("notes") == 1


async def test_a_rehearsal_that_another_transaction_hinders_is_not_done(world: World) -> None:
    async def lose(tx: NoteTx) -> None:
        await tx.driver.execute("DO $$ BEGIN RAISE EXCEPTION SQLSTATE '40P01'; END $$")

    with pytest.raises(NotDone) as error:
        await rehearse(world.unit, a_context(), "rehearsal", lose)

    assert error.value.reason == "CONFLICT"
    assert await world.counts() == EMPTY
