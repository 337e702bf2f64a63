"""A commit that settles many deliveries reads their records in one statement."""

import asyncio
from dataclasses import replace

import asyncpg

from libs.common.context import using
from libs.common.durable.tx import Group
from libs.common.durable.tx.ahead import read_ahead
from libs.common.testing.records import Note, NoteEvent, NoteTx, WriteNote, a_context, a_key, write_note
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
