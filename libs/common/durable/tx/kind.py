"""How one kind of record is stored, told of and audited. Open this file to bring a new kind of record."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import sqlalchemy as sa
from pydantic import TypeAdapter

from libs.common.aggregate import Aggregate

A = TypeVar("A", bound=Aggregate)
STORED_APART = {"tenant", "record_id", "version", "audit_hash", "pending"}
"""Fields of an aggregate that are columns or not stored at all; everything else is the JSON record."""


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

    def subject(self, record_id: str) -> str:
        return f"{self.collection}/{record_id}"

    def dump(self, record: A) -> dict[str, object]:
        """The record as JSON values."""
        dumped: dict[str, object] = self.codec.dump_python(record, mode="json", exclude=STORED_APART)
        return dumped

    def load(self, row: Mapping[str, object]) -> A:
        """The record of a row with columns tenant, record_id, version, audit_hash and record (JSON text)."""
        record = self.codec.validate_python(
            {
                **json.loads(str(row["record"])),
                "tenant": row["tenant"],
                "record_id": row["record_id"],
                "version": row["version"],
            }
        )
        return replace(record, audit_hash=bytes(row["audit_hash"]))  # type: ignore[call-overload]
