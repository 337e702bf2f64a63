"""How one kind of record is stored, told of and audited. Open this file to bring a new kind of record."""

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import sqlalchemy as sa
from pydantic import TypeAdapter

from libs.common.aggregate import Aggregate, revised
from libs.common.ownership import MESH, Ownership

A = TypeVar("A", bound=Aggregate)


def mesh(_system: str) -> str:
    """The source where no outside system is known."""
    return MESH


STORED_APART = {"tenant", "record_id", "version", "audit_hash", "pending", "ruled"}
"""Fields of an aggregate that are columns or not stored at all; everything else is the JSON record."""
PARSED_MAX = 256
COLUMNS = "tenant, record_id, version, audit_hash, record::text AS record"
"""What `Kind.load` wants of a row."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[A]):
    """One kind of record."""

    table: sa.Table
    collection: str
    """First part of the subject, for example `orders`."""
    codec: TypeAdapter[A]
    columns: Callable[[A], Mapping[str, str]]
    """Values of the table's index columns."""
    render_event: Callable[[str, A], tuple[str, bytes]]
    """Event name and record to full type name and data."""
    targets: Callable[[str, A], Sequence[str]]
    """Who hears of an event: the service's `reactions`."""
    redacted: frozenset[str] = frozenset()
    """Fields whose values never reach the audit."""
    tells_cause: bool = True
    """Whether a system hears of what it has caused itself."""
    answers: frozenset[str] = frozenset()
    """Events that the system which caused them hears all the same: they answer it."""
    ownership: Ownership | None = None
    """Who may change what; None where nobody is asked."""
    source_of: Callable[[str], str] = mesh
    """A system's name to what it is as a source of writes: `erp`, `crm` or `mesh`."""
    parsed: OrderedDict[tuple[object, ...], A] = field(default_factory=OrderedDict, repr=False, compare=False)
    """By row: a step reads the same row when it asks and again when it settles."""

    def subject(self, record_id: str) -> str:
        return f"{self.collection}/{record_id}"

    def dump(self, record: A, only: set[str] | None = None) -> dict[str, object]:
        """The record as JSON values, or these fields of it."""
        dumped: dict[str, object] = self.codec.dump_python(
            record, mode="json", include=only, exclude=STORED_APART
        )
        return dumped

    def text(self, record: A) -> str:
        """The record as the JSON that is stored. A field that holds its default is left out: half of an order's text.

        So a default is part of the stored form and stays as it is (`docs/migrations.md`); a test watches them.
        """
        return self.codec.dump_json(record, exclude=STORED_APART, exclude_defaults=True).decode()

    def load(self, row: Mapping[str, object]) -> A:
        """The record of a row with columns tenant, record_id, version, audit_hash and record (JSON text)."""
        row_as_key = tuple(row[name] for name in ("tenant", "record_id", "version", "audit_hash", "record"))
        record = self.parsed.get(row_as_key)
        if record is None:
            record = self.parsed[row_as_key] = self._parse(row)
            if len(self.parsed) > PARSED_MAX:
                self.parsed.popitem(last=False)
        return record

    def _parse(self, row: Mapping[str, object]) -> A:
        """As one text, which is read without Python's objects in between: two thirds of the time."""
        apart = json.dumps({name: row[name] for name in ("tenant", "record_id", "version")})
        record = self.codec.validate_json(f"{apart[:-1]},{str(row['record'])[1:]}")
        return revised(record, audit_hash=bytes(row["audit_hash"]))  # type: ignore[call-overload]
