"""The ports of the services' commands in memory. Open this file to test a use case without a database."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from libs.common.aggregate import Aggregate, Link, Ruled
from libs.common.context import CallContext
from libs.common.ids import NewId
from libs.common.ownership import Ownership

A = TypeVar("A", bound=Aggregate)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACME = CallContext(
    "acme", "netsuite", "system:netsuite", frozenset({"mesh"}), "cor-1", traceparent="00-ab-cd-01"
)


def counted_ids() -> NewId:
    """`cus_1`, `cus_2`, …"""
    given: dict[str, int] = {}

    def new_id(prefix: str) -> str:
        given[prefix] = given.get(prefix, 0) + 1
        return f"{prefix}_{given[prefix]}"

    return new_id


class Memory(Generic[A]):
    """Records of one kind; keeps what was told, in order. `source`: who writes."""

    def __init__(self, ownership: Ownership | None = None, source: str = "mesh") -> None:
        self.records: dict[str, A] = {}
        self.told: list[str] = []
        self.source = source
        self.proposed: dict[str, str] = {}
        """Open proposals: field to value."""
        self.ruled: list[Ruled] = []
        self._ownership = ownership

    @property
    def ownership(self) -> Ownership:
        assert self._ownership is not None
        return self._ownership

    async def propose(self, record: A, field: str, value: str) -> None:
        self.proposed[field] = value

    async def withdraw(self, record: A, fields: Collection[str]) -> Mapping[str, tuple[str, str]]:
        return {field: ("salesforce", self.proposed.pop(field)) for field in fields if field in self.proposed}

    @property
    def only(self) -> A:
        (record,) = self.records.values()
        return record

    async def get(self, record_id: str) -> A | None:
        return self.records.get(record_id)

    async def by_link(self, system: str, external_id: str) -> A | None:
        return self._first(lambda record: _is_linked(record, system, external_id))

    async def put(self, record: A) -> A:
        """As the store does: a version more, nothing pending."""
        known = self.records.get(record.record_id)
        assert record.version == (known.version if known else 0)
        self.told += record.pending
        sequence = record.sequence + len(record.pending)
        self.ruled += record.ruled
        stored = replace(record, version=record.version + 1, sequence=sequence, pending=(), ruled=())
        self.records[record.record_id] = stored
        return stored

    def with_value(self, holds: Callable[[A], bool]) -> list[A]:
        return [record for record in self.records.values() if holds(record)]

    def _first(self, holds: Callable[[A], bool]) -> A | None:
        return next(iter(self.with_value(holds)), None)


def _is_linked(record: Aggregate, system: str, external_id: str) -> bool:
    link = record.link_of(system)
    return link is not None and link.external_id == external_id


@dataclass
class MemoryTx:
    """What every command may ask of its transaction."""

    now: datetime = NOW
    context: CallContext = ACME
    new_id: NewId = field(default_factory=counted_ids)

    def pass_by(self, span: timedelta) -> None:
        self.now += span


def at_minute(minute: int, system: str = "netsuite", external_id: str = "110", number: str = "") -> Link:
    """The link that a change of that minute teaches."""
    return Link(system, external_id, number, f"2026-03-01T08:{minute:02}:00")
