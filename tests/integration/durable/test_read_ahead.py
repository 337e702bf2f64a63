"""A commit that settles many deliveries, or takes many changes in, reads their records in one statement."""

import asyncio
from dataclasses import replace

import asyncpg

from libs.common.aggregate import Link
from libs.common.context import using
from libs.common.durable.tx import Group
from libs.common.durable.tx.ahead import read_ahead, read_linked_ahead
from libs.common.testing.records import (
    Note,
    NoteEvent,
    NoteTx,
    WriteNote,
    a_context,
    a_key,
    render_note,
    write_note,
)
from tests.integration.durable.world import World


async def test_what_was_read_ahead_is_not_asked_for_again(world: World) -> None:
    first, second = await world.write("one"), await world.write("two")
    asked: list[str] = []

    async def work(group: Group) -> list[str]:
        def note(record: asyncpg.connection.LoggedQuery) -> None:
            asked.append(record.query)

        tx = world.unit.open(group, a_context(), "test")
        with (await group.driver.begun()).query_logger(note):
            wanted = [("acme", f"notes/{first}"), ("acme", f"notes/{second}"), ("acme", f"notes/{second}")]
            await read_ahead(tx, [*wanted, ("acme", "notes/not-there"), ("acme", "changes/of-no-kind")])
            found = [await tx.notes.get(name) for name in (first, second, "not-there")]
        assert found[2] is None
        return [record.text for record in found if record]

    assert await world.unit.commit(work) == ["one", "two"]
    assert len(asked) == 1


async def test_reading_ahead_never_shows_a_record_to_another_tenant(world: World) -> None:
    note_id = await world.write("mine")

    async def work(group: Group) -> object:
        tx = world.unit.open(group, replace(a_context(), tenant="globex"), "test")
        await read_ahead(tx, [("acme", f"notes/{note_id}"), ("globex", f"notes/{note_id}")])
        return await tx.notes.get(note_id)

    assert await world.unit.commit(work) is None


async def test_commands_that_wait_together_have_their_records_read_by_one_statement(world: World) -> None:
    """Of what each has said that it is about; a record that is not there is a record that is not there."""
    ids = await asyncio.gather(*(world.write(f"n{number}") for number in range(8)))
    asked: list[str] = []

    async def lengthen(note_id: str, tx: NoteTx) -> Note:
        (await tx.driver.begun()).add_query_logger(lambda record: asked.append(record.query))
        note = await tx.notes.get(note_id)
        if note is None:
            return await write_note(WriteNote("fresh"), tx)
        return await tx.notes.put(replace(note, text=f"{note.text}!").telling(NoteEvent.CHANGED))

    with using(a_context()):
        answers = [
            world.unit.enlist(
                lengthen, note_id, lambda note: note.text.encode(), a_key(note_id), about=[f"notes/{note_id}"]
            )
            for note_id in (*ids, "note_not_there")
        ]
    texts = [(await answer).answer.decode() for answer in answers]

    assert texts == [*(f"n{number}!" for number in range(8)), "fresh"]
    assert not any("FROM notes" in query and "record_id = $2" in query for query in asked)


async def test_a_command_alone_has_the_records_it_is_about_read_by_one_statement(world: World) -> None:
    ids = [await world.write("one"), await world.write("two")]
    asked: list[str] = []

    async def joined(ids: list[str], tx: NoteTx) -> Note:
        (await tx.driver.begun()).add_query_logger(lambda record: asked.append(record.query))
        texts = [note.text for name in ids if (note := await tx.notes.get(name)) is not None]
        return await write_note(WriteNote(" ".join(texts)), tx)

    about = [f"notes/{note_id}" for note_id in ids]
    answered = await world.unit.enlist(
        joined, ids, lambda note: note.text.encode(), a_key("k", ids), about=about
    )

    assert answered.answer == b"one two"
    assert not any("record_id = $2" in query for query in asked)


async def write_linked(world: World, *external_ids: str) -> None:
    """A note for each, in a commit of its own."""
    for external_id in external_ids:
        command = WriteNote(f"note {external_id}", links=(Link("erp", external_id),))
        await world.unit.run_once(write_note, command, render_note, a_key(external_id))


async def test_records_that_outside_ones_stand_for_are_not_asked_for_again(world: World) -> None:
    await write_linked(world, "1", "2")
    asked: list[str] = []

    async def work(group: Group) -> list[str]:
        tx = world.unit.open(group, a_context(), "test")
        with (await group.driver.begun()).query_logger(lambda record: asked.append(record.query)):
            await read_linked_ahead(tx, [("erp", "1"), ("erp", "2"), ("erp", "3"), ("crm", "1")])
            found = [await tx.notes.by_link("erp", external_id) for external_id in ("1", "2")]
            again = await tx.notes.get(found[0].record_id) if found[0] else None
        assert again is found[0]
        return [record.text for record in found if record]

    with using(a_context()):
        assert await world.unit.commit(work) == ["note 1", "note 2"]
    assert len(asked) == 1


async def test_what_gets_a_record_after_it_was_read_ahead_is_found(world: World) -> None:
    async def work(group: Group) -> list[Note | None]:
        tx = world.unit.open(group, a_context(), "test")
        await read_linked_ahead(tx, [("erp", "1"), ("erp", "2")])
        await write_linked(world, "1")
        return [await tx.notes.by_link("erp", external_id) for external_id in ("1", "2")]

    with using(a_context()):
        first, second = await world.unit.commit(work)
    assert first is not None
    assert second is None


async def test_reading_ahead_never_shows_a_linked_record_to_another_tenant(world: World) -> None:
    with using(a_context()):
        await write_linked(world, "1")

    async def work(group: Group) -> object:
        tx = world.unit.open(group, replace(a_context(), tenant="globex"), "test")
        await read_linked_ahead(tx, [("erp", "1"), ("erp", "2")])
        return group.seen, await tx.notes.by_link("erp", "1")

    assert await world.unit.commit(work) == ({}, None)
