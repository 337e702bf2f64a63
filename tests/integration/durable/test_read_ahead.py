"""A commit that settles many deliveries reads their records in one statement."""

from dataclasses import replace

import asyncpg

from libs.common.durable.tx import Group
from libs.common.durable.tx.ahead import read_ahead
from libs.common.testing.records import a_context
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
