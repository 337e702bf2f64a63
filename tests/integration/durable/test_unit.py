"""One commit for everything a command changes, or nothing at all."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from libs.common.aggregate import Link
from libs.common.context import current_context, using
from libs.common.durable import unit as unit_module
from libs.common.errors import NotDone, Refused
from libs.common.testing.clock import START
from libs.common.testing.records import (
    ChangeNote,
    Note,
    NoteEvent,
    NoteTx,
    WriteNote,
    a_context,
    a_key,
    change_note,
    id_in,
    render_note,
    write_note,
)
from tests.integration.durable.world import World

NOTHING = dict.fromkeys(("idempotency", "notes", "event", "delivery", "audit", "link"), 0)


async def test_state_event_deliveries_audit_link_and_answer_commit_together(world: World) -> None:
    command = WriteNote("hello", ("connector:erp", "stage:next"), (Link("erp", "x1"),))

    note_id = id_in(await world.unit.run_once(write_note, command, render_note, a_key("k")))

    assert await world.counts() == {
        "idempotency": 1,
        "notes": 1,
        "event": 1,
        "delivery": 2,
        "audit": 1,
        "link": 1,
    }
    assert {row["subject"] for row in await world.rows("SELECT subject FROM delivery")} == {
        f"notes/{note_id}"
    }
    assert world.woken == [{"connector:erp", "stage:next"}]


async def crash_before_put(command: WriteNote, tx: NoteTx) -> Note:
    raise RuntimeError("before")


async def crash_after_put(command: WriteNote, tx: NoteTx) -> Note:
    await write_note(command, tx)
    raise RuntimeError("after")


async def refuse_after_put(command: WriteNote, tx: NoteTx) -> Note:
    await write_note(command, tx)
    raise Refused("CREDIT_HOLD")


async def break_a_statement_after_put(command: WriteNote, tx: NoteTx) -> Note:
    note = await write_note(command, tx)
    await tx.driver.execute("SELECT 1 / 0")
    return note


def crash_rendering(note: Note) -> StringValue:
    raise RuntimeError("rendering")


@pytest.mark.parametrize(
    "handler", [crash_before_put, crash_after_put, refuse_after_put, break_a_statement_after_put]
)
async def test_a_command_that_fails_leaves_nothing(
    world: World, handler: unit_module.Handler[NoteTx, Note]
) -> None:
    with pytest.raises((RuntimeError, Refused, asyncpg.DivisionByZeroError)):
        await world.unit.run_once(handler, WriteNote("x", ("stage:next",)), render_note, a_key("k"))

    assert await world.counts() == NOTHING
    assert world.woken == []


async def test_an_answer_that_cannot_be_rendered_leaves_nothing(world: World) -> None:
    with pytest.raises(RuntimeError):
        await world.unit.run_once(write_note, WriteNote("x", ("stage:next",)), crash_rendering, a_key("k"))

    assert await world.counts() == NOTHING


async def test_a_value_that_the_database_cannot_hold_is_refused_and_leaves_nothing(world: World) -> None:
    with pytest.raises(Refused) as refused:
        await world.write("nul \x00 inside", "stage:next")

    assert refused.value.reason == "INVALID_FIELD"
    assert await world.counts() == NOTHING


async def test_commands_that_wait_together_share_commits(world: World) -> None:
    await asyncio.gather(*(world.write(f"n{number}") for number in range(130)))

    transactions = await world.rows("SELECT count(DISTINCT xmin::text) AS commits FROM idempotency")
    assert await world.count("notes") == 130
    # Two groups of 64 start at once; the two commands that are left wait and make a third.
    assert transactions[0]["commits"] == 3


async def flooded(
    world: World, gate: asyncio.Event, count: int, *, behind: bool
) -> list[asyncio.Task[object]]:
    """Commands that end when the gate opens; returns once the first of them are under way."""
    begun = asyncio.Event()

    async def write_later(command: WriteNote, tx: NoteTx) -> Note:
        begun.set()
        await gate.wait()
        return await write_note(command, tx)

    async def run(number: int) -> object:
        command = WriteNote(f"flood {number}")
        return await world.unit.run_once(
            write_later, command, render_note, a_key(f"flood {number}"), behind=behind
        )

    tasks = [asyncio.create_task(run(number)) for number in range(count)]
    await begun.wait()
    return tasks


@pytest.mark.parametrize("behind", [False, True])
async def test_another_tenant_s_backlog_does_not_hold_a_command_up(world: World, behind: bool) -> None:
    gate = asyncio.Event()
    flood = await flooded(world, gate, 300, behind=behind)

    with using(a_context(tenant="other")):
        await world.write("through")

    assert await world.count("notes") == 1
    gate.set()
    await asyncio.gather(*flood)
    assert await world.count("notes") == 301


async def test_what_nobody_waits_for_does_not_hold_up_calls_of_the_same_tenant(world: World) -> None:
    gate = asyncio.Event()
    flood = await flooded(world, gate, 300, behind=True)

    await world.write("through")

    assert await world.count("notes") == 1
    gate.set()
    await asyncio.gather(*flood)


async def test_a_command_that_fails_does_not_touch_the_others_of_its_commit(world: World) -> None:
    unit = world.unit

    async def outcome(handler: unit_module.Handler[NoteTx, Note], number: int) -> object:
        try:
            command = WriteNote(f"n{number}", ("stage:next",))
            return await unit.run_once(handler, command, render_note, a_key(f"k{number}"))
        except (Refused, RuntimeError, asyncpg.DivisionByZeroError) as error:
            return error

    handlers = (write_note, crash_after_put, write_note, refuse_after_put, break_a_statement_after_put)
    outcomes = await asyncio.gather(*(outcome(handlers[number % 5], number) for number in range(50)))

    told = [type(found).__name__ for found in outcomes]
    assert told == ["StringValue", "RuntimeError", "StringValue", "Refused", "DivisionByZeroError"] * 10
    assert await world.counts() == {**dict.fromkeys(NOTHING, 20), "link": 0}


async def test_a_value_that_cannot_be_stored_does_not_touch_the_others_of_its_commit(world: World) -> None:
    texts = ["good"] * 9 + ["bad \x00"] + ["good"] * 10

    outcomes = await asyncio.gather(*(world.write(text) for text in texts), return_exceptions=True)

    assert [isinstance(found, Refused) for found in outcomes] == [text != "good" for text in texts]
    assert await world.count("notes") == 19


async def test_a_command_reads_what_it_and_earlier_commands_of_the_commit_wrote(world: World) -> None:
    note_id = await world.write("first")
    unit = world.unit
    texts: list[str] = []

    async def append(command: str, tx: NoteTx) -> Note:
        note = await tx.notes.get(note_id)
        assert note is not None
        stored = await tx.notes.put(replace(note, text=note.text + command).telling(NoteEvent.CHANGED))
        again = await tx.notes.get(note_id)
        assert again == stored
        texts.append(stored.text)
        return stored

    await asyncio.gather(
        *(unit.run_once(append, str(number), render_note, a_key(f"k{number}")) for number in range(9))
    )

    rows = await world.rows("SELECT version, text, record->>'sequence' AS sequence FROM notes")
    assert rows == [{"version": 10, "text": max(texts, key=len), "sequence": "10"}]
    assert sorted(str(rows[0]["text"]).removeprefix("first")) == list("012345678")
    sequences = await world.rows("SELECT sequence FROM event ORDER BY position")
    assert [row["sequence"] for row in sequences] == list(range(1, 11))


async def test_a_command_may_store_one_record_twice(world: World) -> None:
    async def write_and_mend(command: WriteNote, tx: NoteTx) -> Note:
        note = await write_note(command, tx)
        return await change_note(ChangeNote(note.record_id, "mended"), tx)

    async def mend_twice(command: str, tx: NoteTx) -> Note:
        await change_note(ChangeNote(command, "once"), tx)
        return await change_note(ChangeNote(command, "twice"), tx)

    note_id = id_in(await world.unit.run_once(write_and_mend, WriteNote("x"), render_note, a_key("k1")))
    await world.unit.run_once(mend_twice, note_id, render_note, a_key("k2"))

    assert await world.rows("SELECT version, text FROM notes") == [{"version": 4, "text": "twice"}]
    assert await world.count("event") == 4


async def test_a_stale_copy_is_never_stored(world: World) -> None:
    note_id = await world.write("first")

    async def store_the_older_copy(command: str, tx: NoteTx) -> Note:
        old = await tx.notes.get(note_id)
        assert old is not None
        await change_note(ChangeNote(note_id, "newer"), tx)
        return await tx.notes.put(replace(old, text="from the older copy"))

    with pytest.raises(AssertionError):
        await world.unit.run_once(store_the_older_copy, "", render_note, a_key("k"))

    assert await world.rows("SELECT text FROM notes") == [{"text": "first"}]


async def test_one_target_named_twice_hears_once(world: World) -> None:
    await world.write("x", "stage:next", "stage:next")

    assert await world.count("delivery") == 1


async def test_two_units_that_change_one_record_run_again_and_lose_nothing(world: World) -> None:
    note_id = await world.write("")
    other = world.new_unit()
    read, changed = asyncio.Event(), asyncio.Event()
    runs: list[str] = []

    async def slow(command: str, tx: NoteTx) -> Note:
        note = await tx.notes.get(note_id)
        assert note is not None
        runs.append(note.text)
        read.set()
        await changed.wait()
        return await tx.notes.put(replace(note, text=note.text + "slow").telling(NoteEvent.CHANGED))

    async def fast() -> None:
        await read.wait()
        await other.run_once(change_note, ChangeNote(note_id, "fast "), render_note, a_key("fast"))
        changed.set()

    answer, _ = await asyncio.gather(world.unit.run_once(slow, "", render_note, a_key("slow")), fast())

    assert runs == ["", "fast "]
    assert answer.value == f"{note_id} 3"
    assert await world.rows("SELECT text FROM notes") == [{"text": "fast slow"}]
    assert await world.count("event") == 3


async def test_two_units_that_change_one_record_in_silence_lose_nothing_either(world: World) -> None:
    """No event, so only the record's version stands between both."""
    note_id = await world.write("")
    units = [world.unit, world.new_unit()]

    async def append(command: str, tx: NoteTx) -> Note:
        note = await tx.notes.get(note_id)
        assert note is not None
        await asyncio.sleep(0)
        return await tx.notes.put(replace(note, text=note.text + command))

    await asyncio.gather(
        *(units[n % 2].run_once(append, "x", render_note, a_key(f"k{n}")) for n in range(20))
    )

    assert await world.rows("SELECT version, text FROM notes") == [{"version": 21, "text": "x" * 20}]


@pytest.mark.parametrize("code", ["40001", "40P01", "55P03"])
async def test_a_commit_runs_again_when_another_was_in_the_way(world: World, code: str) -> None:
    """serialization_failure, deadlock_detected, lock_not_available."""
    runs: list[str] = []

    async def fail_once(command: WriteNote, tx: NoteTx) -> Note:
        note = await write_note(command, tx)
        runs.append(note.record_id)
        if len(runs) == 1:
            await tx.driver.execute(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{code}'; END $$")
        return note

    answer = await world.unit.run_once(fail_once, WriteNote("x"), render_note, a_key("k"))

    assert len(runs) == 2
    assert id_in(answer) == runs[1]
    assert await world.count("notes") == 1


async def test_two_units_in_a_deadlock_both_end_well(world: World) -> None:
    other = world.new_unit()
    arrived = asyncio.Barrier(2)
    first_runs = {"a": True, "b": True}

    async def lock_both(command: str, tx: NoteTx) -> Note:
        mine, theirs = (1, 2) if command == "a" else (2, 1)
        await tx.driver.execute("SELECT pg_advisory_xact_lock($1)", mine)
        if first_runs[command]:
            first_runs[command] = False
            await arrived.wait()
        await tx.driver.execute("SELECT pg_advisory_xact_lock($1)", theirs)
        return await write_note(WriteNote(command), tx)

    await asyncio.gather(
        world.unit.run_once(lock_both, "a", render_note, a_key("a")),
        other.run_once(lock_both, "b", render_note, a_key("b")),
    )

    assert await world.count("notes") == 2


async def test_a_commit_that_keeps_losing_gives_up_as_not_done(world: World) -> None:
    runs: list[int] = []

    async def always_in_the_way(command: WriteNote, tx: NoteTx) -> Note:
        runs.append(1)
        await tx.driver.execute("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$")
        return await write_note(command, tx)

    with pytest.raises(NotDone) as error:
        await world.unit.run_once(always_in_the_way, WriteNote("x"), render_note, a_key("k"))

    assert error.value.reason == "CONFLICT"
    assert len(runs) == unit_module.RUNS_MAX
    assert world.clock.now() - START == timedelta(milliseconds=20 + 40 + 80)
    assert await world.counts() == NOTHING


async def test_more_commands_than_may_wait_are_turned_away_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit_module, "WAITING_MAX", 3)
    gate, entered = asyncio.Event(), asyncio.Event()

    async def wait(command: WriteNote, tx: NoteTx) -> Note:
        entered.set()
        await gate.wait()
        return await write_note(command, tx)

    def submit(number: int) -> "asyncio.Task[StringValue]":
        return asyncio.create_task(
            world.unit.run_once(wait, WriteNote(str(number)), render_note, a_key(f"k{number}"))
        )

    accepted = []
    for number in range(2):  # under way, each in a group of its own
        entered.clear()
        accepted.append(submit(number))
        await entered.wait()
    accepted += [submit(number) for number in range(2, 5)]  # these wait
    with pytest.raises(NotDone) as error:
        await submit(5)
    gate.set()

    assert error.value.reason == "OVERLOADED"
    await asyncio.gather(*accepted)
    assert await world.count("notes") == 5


async def test_a_command_nobody_waits_for_any_more_is_not_begun(world: World) -> None:
    gate, entered = asyncio.Event(), asyncio.Event()
    begun: list[str] = []

    async def wait(command: WriteNote, tx: NoteTx) -> Note:
        begun.append(command.text)
        entered.set()
        await gate.wait()
        return await write_note(command, tx)

    def submit(text: str) -> "asyncio.Task[StringValue]":
        return asyncio.create_task(world.unit.run_once(wait, WriteNote(text), render_note, a_key(text)))

    calls = []
    for text in ("a", "b"):  # under way, each in a group of its own
        entered.clear()
        calls.append(submit(text))
        await entered.wait()
    calls += [submit("c"), submit("d")]
    await asyncio.sleep(0)  # now they wait for a commit
    calls[2].cancel()
    gate.set()
    await asyncio.gather(*calls, return_exceptions=True)

    assert sorted(begun) == ["a", "b", "d"]
    assert await world.count("notes") == 3


async def test_a_command_sees_its_own_caller_when_it_shares_a_commit(world: World) -> None:
    seen: list[tuple[str, str]] = []

    async def look(command: str, tx: NoteTx) -> Note:
        seen.append((command, current_context().tenant))
        return await write_note(WriteNote(command), tx)

    async def call(tenant: str) -> None:
        with using(a_context(tenant)):
            await world.unit.run_once(look, tenant, render_note, a_key(tenant))

    tenants = [f"tenant-{number}" for number in range(10)]
    await asyncio.gather(*(call(tenant) for tenant in tenants))

    assert sorted(seen) == sorted((tenant, tenant) for tenant in tenants)
    rows = await world.rows("SELECT tenant, text FROM notes")
    assert all(row["tenant"] == row["text"] for row in rows)


async def test_closing_waits_for_what_is_under_way(world: World) -> None:
    call = asyncio.create_task(world.write("x"))
    await asyncio.sleep(0)

    await world.unit.close()

    assert await world.count("notes") == 1
    await call
