"""Notes: the smallest kind of record there is, with all that a service brings to the durable core.

Open this file to test the core without a service. A note says itself who hears of it, so that a test picks the targets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import sqlalchemy as sa
from google.protobuf.wrappers_pb2 import StringValue
from pydantic import TypeAdapter

from libs.common.aggregate import Aggregate, Link
from libs.common.context import CallContext
from libs.common.durable.idempotency import Once
from libs.common.durable.tables import record_table
from libs.common.durable.tx import Group, Kind, Records, Tx
from libs.common.errors import Refused
from libs.common.value import value

NOTES = record_table("notes", sa.MetaData(), "text")
CREATE_NOTES = """
CREATE TABLE notes (
    tenant text, record_id text, version bigint NOT NULL, audit_hash bytea NOT NULL, update_time timestamptz NOT NULL,
    text text NOT NULL, record jsonb NOT NULL, PRIMARY KEY (tenant, record_id))
"""


class NoteEvent(StrEnum):
    """What can be told of a note."""

    WRITTEN = "NoteWritten"
    CHANGED = "NoteChanged"


@value(kw_only=True)
class Note(Aggregate):
    """A text that somebody keeps."""

    text: str
    secret: str = ""
    hears: tuple[str, ...] = ()
    """Targets of its events."""


@dataclass(frozen=True, slots=True)
class WriteNote:
    """A new note. An empty id takes a fresh one."""

    text: str
    hears: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    note_id: str = ""
    secret: str = ""


@dataclass(frozen=True, slots=True)
class ChangeNote:
    """Another text, and perhaps one more link."""

    note_id: str
    text: str
    link: Link | None = None


class NoteTx(Tx):
    """One command's transaction over notes."""

    def __init__(self, group: Group, context: CallContext, rule: str) -> None:
        super().__init__(group, context, rule, NOTE)

    @property
    def notes(self) -> "Records[Note]":
        return Records(self, NOTE)


def _columns(note: Note) -> Mapping[str, str]:
    return {"text": note.text}


def _render_event(name: str, note: Note) -> tuple[str, bytes]:
    return f"ordermesh.note.v1.{name}", note.text.encode()


def _targets(name: str, note: Note) -> Sequence[str]:
    return note.hears


NOTE: Kind[Note] = Kind(
    table=NOTES,
    collection="notes",
    codec=TypeAdapter(Note),
    columns=_columns,
    render_event=_render_event,
    targets=_targets,
    redacted=frozenset({"secret"}),
)


async def write_note(command: WriteNote, tx: NoteTx) -> Note:
    note = Note(
        tenant=tx.context.tenant,
        record_id=command.note_id or tx.new_id("note"),
        create_time=tx.now,
        update_time=tx.now,
        correlation_id=tx.context.correlation_id,
        traceparent=tx.context.traceparent,
        text=command.text,
        secret=command.secret,
        hears=command.hears,
        links=command.links,
    )
    return await tx.notes.put(note.telling(NoteEvent.WRITTEN))


async def change_note(command: ChangeNote, tx: NoteTx) -> Note:
    """Refused with NOT_FOUND."""
    note = await tx.notes.get(command.note_id)
    if note is None:
        raise Refused("NOT_FOUND")
    changed = replace(note, text=command.text)
    if command.link is not None:
        changed = changed.linked(command.link)
    return await tx.notes.put(changed.telling(NoteEvent.CHANGED))


def render_note(note: Note) -> StringValue:
    """Id and version, so that an answer tells which run it came from."""
    return StringValue(value=f"{note.record_id} {note.version}")


def id_in(answer: StringValue) -> str:
    """The id of the note an answer is about."""
    return answer.value.split(" ")[0]


def a_key(key: str, request: object = "") -> Once:
    """A key and the fingerprint of some request."""
    return Once(key, repr(request).encode())


def a_context(tenant: str = "acme", actor: str = "user:1", correlation_id: str = "cor-1") -> CallContext:
    """A person's call."""
    return CallContext(
        tenant=tenant, system="crm", actor=actor, roles=frozenset(), correlation_id=correlation_id
    )
