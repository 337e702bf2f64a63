"""A record links to one thing in each system, learns and forgets nothing by accident, and tells what it has to tell."""

from datetime import UTC, datetime

import pytest

from libs.common.aggregate import Link, is_stale
from libs.common.testing.records import Note, NoteEvent

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def a_note(*links: Link) -> Note:
    return Note(
        tenant="acme",
        record_id="note_1",
        create_time=NOW,
        update_time=NOW,
        correlation_id="cor-1",
        traceparent="",
        text="x",
        links=links,
    )


def test_a_change_is_a_new_value() -> None:
    note = a_note()

    told = note.telling(NoteEvent.CHANGED)

    assert (note.pending, told.pending) == ((), (NoteEvent.CHANGED,))


def test_facts_are_told_in_order() -> None:
    note = a_note().telling(NoteEvent.WRITTEN).telling(NoteEvent.CHANGED, NoteEvent.CHANGED)

    assert note.pending == (NoteEvent.WRITTEN, NoteEvent.CHANGED, NoteEvent.CHANGED)


def test_a_link_into_another_system_is_added() -> None:
    note = a_note(Link("erp", "1")).linked(Link("crm", "2"))

    assert (note.link_of("erp"), note.link_of("crm")) == (Link("erp", "1"), Link("crm", "2"))
    assert note.link_of("wms") is None


def test_a_link_to_another_record_of_the_system_takes_the_place_of_the_old() -> None:
    note = a_note(Link("erp", "1", "SO1", "v1")).linked(Link("erp", "2"))

    assert note.links == (Link("erp", "2"),)


@pytest.mark.parametrize(
    ("learned", "kept"),
    [
        (Link("erp", "1"), Link("erp", "1", "SO1", "v1")),
        (Link("erp", "1", "", "v2"), Link("erp", "1", "SO1", "v2")),
        (Link("erp", "1", "SO9"), Link("erp", "1", "SO9", "v1")),
    ],
)
def test_a_link_that_knows_less_takes_nothing_away(learned: Link, kept: Link) -> None:
    assert a_note(Link("erp", "1", "SO1", "v1")).linked(learned).links == (kept,)


def test_the_same_link_again_is_no_change() -> None:
    note = a_note(Link("erp", "1", "SO1", "v1"))

    assert note.linked(Link("erp", "1", "SO1", "v1")) is note


@pytest.mark.parametrize(
    ("known", "seen", "stale"),
    [
        (None, "2026-01-01", False),
        ("", "2026-01-01", False),
        ("2026-01-01", "2026-01-01", False),
        ("2026-01-01", "2026-01-02", False),
        ("2026-01-02", "2026-01-01", True),
    ],
)
def test_only_what_is_older_than_what_is_known_is_stale(known: str | None, seen: str, stale: bool) -> None:
    link = None if known is None else Link("erp", "1", version=known)

    assert is_stale(link, Link("erp", "1", version=seen)) is stale
