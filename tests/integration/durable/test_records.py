"""Records, links and audit: of one tenant, found by what they are linked to, and with a history that shows damage."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
import sqlalchemy as sa

from libs.common.aggregate import Link
from libs.common.context import using
from libs.common.durable.reads import Reads
from libs.common.durable.tx import Kind, verify_audit
from libs.common.errors import Refused
from libs.common.filtering import Term
from libs.common.testing.records import (
    NOTE,
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
from tests.integration.durable.world import Row, World


async def write_linked(world: World, external_id: str, key: str = "", text: str = "x") -> str:
    command = WriteNote(text, links=(Link("erp", external_id),))
    return id_in(
        await world.unit.run_once(write_note, command, render_note, a_key(key or external_id, command))
    )


async def link_more(world: World, note_id: str, link: Link, key: str) -> None:
    await world.unit.run_once(change_note, ChangeNote(note_id, "linked", link), render_note, a_key(key))


async def by_link(world: World, system: str, external_id: str) -> Note | None:
    return await world.unit.commit(
        lambda group: world.unit.open(group, a_context(), "look").notes.by_link(system, external_id)
    )


ODD = ("plain", "a,b", "{}", 'a "b"', "a\\b", "a\x1fb", "\x1f", " ", "NULL", "é")


async def test_rows_stored_together_keep_every_character_of_their_texts(world: World) -> None:
    for odd in (ODD, ODD[:2], ODD[5:6]):
        keys = [f"{len(odd)}{external_id}" for external_id in odd]
        ids = await asyncio.gather(*(write_linked(world, key, text=key) for key in keys))
        found = [await by_link(world, "erp", key) for key in keys]
        assert [(note.record_id, note.text) for note in found if note] == list(zip(ids, keys, strict=True))
        again = await asyncio.gather(*(write_linked(world, key, text=key) for key in keys))
        assert again == ids


# Tenants ------------------------------------------------------------------------------------------------


async def test_another_tenant_s_record_is_not_there(world: World) -> None:
    note_id = await write_linked(world, "110")
    found: list[Note | None] = []

    async def look(command: str, tx: NoteTx) -> Note:
        found.append(await tx.notes.get(note_id))
        found.append(await tx.notes.by_link("erp", "110"))
        return await write_note(WriteNote("theirs"), tx)

    with using(a_context("other")):
        await world.unit.run_once(look, "", render_note, a_key("look"))

    assert found == [None, None]
    assert await Reads(world.unit.store, NOTE).get("other", note_id) is None
    assert [note.text for note in await Reads(world.unit.store, NOTE).page("other", (), "", 10)] == ["theirs"]


async def test_another_tenant_s_record_is_not_there_even_in_the_same_commit(world: World) -> None:
    note_id = await world.write("mine")
    found: list[Note | None] = []
    mine, theirs = a_context("acme"), a_context("other")

    async def change_and_look(group: object) -> None:
        first = world.unit.open(group, mine, "change")  # type: ignore[arg-type]
        await change_note(ChangeNote(note_id, "changed", Link("erp", "110")), first)
        first.group.accept(first)
        second = world.unit.open(first.group, theirs, "look")
        found.append(await second.notes.get(note_id))
        found.append(await second.notes.by_link("erp", "110"))
        found.append(await world.unit.open(first.group, mine, "look").notes.by_link("erp", "110"))

    await world.unit.commit(change_and_look)

    assert found[:2] == [None, None]
    assert found[2] is not None


async def test_a_command_cannot_store_another_tenant_s_record(world: World) -> None:
    async def steal(command: str, tx: NoteTx) -> Note:
        note = await write_note(WriteNote("x"), tx)
        return await tx.notes.put(replace(note, tenant="other"))

    with pytest.raises(AssertionError):
        await world.unit.run_once(steal, "", render_note, a_key("k"))

    assert await world.count("notes") == 0


# Links --------------------------------------------------------------------------------------------------


async def test_a_record_is_found_by_what_it_is_linked_to(world: World) -> None:
    note_id = await write_linked(world, "110")

    found = await by_link(world, "erp", "110")

    assert found is not None
    assert found.record_id == note_id
    assert await by_link(world, "crm", "110") is None
    assert await by_link(world, "erp", "111") is None


async def test_one_record_may_stand_for_several_outside_ones(world: World) -> None:
    note_id = await write_linked(world, "110")
    await link_more(world, note_id, Link("erp", "120"), "more")

    for external_id in ("110", "120"):
        found = await by_link(world, "erp", external_id)
        assert found is not None
        assert found.record_id == note_id


async def test_looking_by_link_shows_the_record_as_the_command_left_it(world: World) -> None:
    note_id = await write_linked(world, "110")
    seen: list[str] = []

    async def relink_and_look(command: str, tx: NoteTx) -> Note:
        note = await tx.notes.get(note_id)
        assert note is not None
        changed = replace(note, text="relinked").linked(Link("erp", "120"))
        stored = await tx.notes.put(changed.telling(NoteEvent.CHANGED))
        for external_id in ("110", "120"):
            found = await tx.notes.by_link("erp", external_id)
            assert found is not None
            seen.append(found.text)
        return stored

    await world.unit.run_once(relink_and_look, "", render_note, a_key("k"))

    assert seen == ["relinked", "relinked"]


async def test_two_kinds_may_be_linked_to_the_same_outside_id(world: World) -> None:
    """A customer 110 and a product 110 of one system are two things."""
    await world.execute("CREATE TABLE memos (LIKE notes INCLUDING ALL)")
    memos = sa.Table("memos", sa.MetaData(), *(sa.Column(c.name, c.type) for c in NOTE.table.columns))
    memo_kind: Kind[Note] = replace(NOTE, table=memos, collection="memos")
    found: list[Note | None] = []

    async def look(command: str, tx: NoteTx) -> Note:
        note = await write_note(WriteNote("a note", links=(Link("erp", "110"),)), tx)
        found.append(await tx.get_by_link(memo_kind, "erp", "110"))
        memo = replace(note, text="a memo", record_id="memo_1", version=0, sequence=0)
        await tx.put(memo_kind, memo.telling(NoteEvent.WRITTEN))
        found.append(await tx.get_by_link(memo_kind, "erp", "110"))
        found.append(await tx.get_by_link(NOTE, "erp", "110"))
        return note

    await world.unit.run_once(look, "", render_note, a_key("k"))

    assert found[0] is None
    assert [note.text if note else "" for note in found[1:]] == ["a memo", "a note"]
    assert await world.count("link") == 2


async def test_an_outside_record_is_linked_to_one_of_ours_only(world: World) -> None:
    note_id = await write_linked(world, "110")

    with pytest.raises(Refused) as refused:
        await write_linked(world, "110", key="second")

    assert refused.value.reason == "DUPLICATE_CANDIDATE"
    assert await world.rows("SELECT record_id FROM link") == [{"record_id": note_id}]
    assert await world.count("notes") == 1


async def test_of_two_that_link_one_outside_record_at_once_one_is_refused(world: World) -> None:
    calls = [write_linked(world, "110", key=f"k{number}") for number in range(6)]
    others = [world.write(f"n{number}") for number in range(6)]

    outcomes = await asyncio.gather(*calls, *others, return_exceptions=True)

    assert sum(isinstance(outcome, str) for outcome in outcomes[:6]) == 1
    assert all(isinstance(outcome, str | Refused) for outcome in outcomes)
    assert await world.count("link") == 1
    assert await world.count("notes") == 7


# Audit --------------------------------------------------------------------------------------------------


async def audit_of(world: World, note_id: str) -> Sequence[Row]:
    return await world.rows("SELECT * FROM audit WHERE subject = $1 ORDER BY position", f"notes/{note_id}")


async def a_history(world: World) -> tuple[str, bytes]:
    """A note changed several times, some of them in one commit; its id and the last hash it keeps."""
    note_id = await world.write("first")
    changes = [
        world.unit.run_once(change_note, ChangeNote(note_id, f"text {n}"), render_note, a_key(f"c{n}"))
        for n in range(8)
    ]
    await asyncio.gather(*changes)
    row = (await world.rows("SELECT audit_hash FROM notes WHERE record_id = $1", note_id))[0]
    return note_id, bytes(row["audit_hash"])  # type: ignore[call-overload]


async def test_who_changed_what_is_kept_field_by_field(world: World) -> None:
    note_id = await world.write("first")
    with using(a_context(actor="user:2", correlation_id="cor-2")):
        await world.unit.run_once(change_note, ChangeNote(note_id, "second"), render_note, a_key("c"))

    rows = await audit_of(world, note_id)

    told = [tuple(row[name] for name in ("field", "old_value", "new_value", "actor", "rule")) for row in rows]
    assert told == [
        ("", "", "registered", "user:1", "write_note"),
        ("text", "first", "second", "user:2", "change_note"),
    ]
    assert rows[1]["correlation_id"] == "cor-2"


async def test_a_redacted_field_never_reaches_the_audit(world: World) -> None:
    async def change_secret(command: str, tx: NoteTx) -> Note:
        note = await tx.notes.get(command)
        assert note is not None
        return await tx.notes.put(replace(note, secret="4711-secret"))

    note_id = await world.write("x")
    await world.unit.run_once(change_secret, note_id, render_note, a_key("c"))

    rows = await audit_of(world, note_id)
    assert rows[-1]["field"] == "secret"
    assert "4711" not in str(rows)


async def test_a_whole_audit_verifies(world: World) -> None:
    note_id, last = await a_history(world)

    rows = await audit_of(world, note_id)
    assert len(rows) == 9
    assert verify_audit(rows, last) is None


@pytest.mark.parametrize("column", ["old_value", "new_value", "actor", "rule", "field", "correlation_id"])
async def test_an_altered_audit_row_shows(world: World, column: str) -> None:
    note_id, last = await a_history(world)
    position = (await audit_of(world, note_id))[4]["position"]

    await world.execute(f"UPDATE audit SET {column} = 'forged' WHERE position = $1", position)

    assert verify_audit(await audit_of(world, note_id), last) == position


async def test_an_audit_row_taken_out_shows(world: World) -> None:
    note_id, last = await a_history(world)
    rows = await audit_of(world, note_id)

    await world.execute("DELETE FROM audit WHERE position = $1", rows[4]["position"])

    assert verify_audit(await audit_of(world, note_id), last) == rows[5]["position"]


async def test_an_audit_cut_off_at_the_end_shows(world: World) -> None:
    note_id, last = await a_history(world)
    rows = await audit_of(world, note_id)

    await world.execute("DELETE FROM audit WHERE position >= $1", rows[6]["position"])

    assert verify_audit(await audit_of(world, note_id), last) is not None
    assert verify_audit(await audit_of(world, note_id)) is None


# Reads --------------------------------------------------------------------------------------------------


async def test_pages_come_newest_first_and_miss_nothing(world: World) -> None:
    written = [await world.write(f"n{number}") for number in range(7)]
    reads = Reads(world.unit.store, NOTE)

    pages: list[list[str]] = []
    before = ""
    while page := await reads.page("acme", (), before, 3):
        pages.append([note.record_id for note in page])
        before = page[-1].record_id

    assert [len(page) for page in pages] == [3, 3, 1]
    assert sorted(note_id for page in pages for note_id in page) == sorted(written)
    flat = [note_id for page in pages for note_id in page]
    assert flat == sorted(flat, reverse=True)


async def test_pages_hold_only_what_is_asked_for(world: World) -> None:
    await world.write("a")
    await world.write("b")

    page = await Reads(world.unit.store, NOTE).page("acme", [Term("text", "=", ("a",))], "", 10)

    assert [note.text for note in page] == ["a"]
