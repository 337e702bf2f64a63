"""What every record of every service has. Open this file before you write a domain model.

An aggregate is a frozen value. A change returns a new one that carries the facts to be told (`pending`); the store
writes both in one commit, so nobody can forget the event.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, Self, TypeVar

from libs.common.errors import Refused
from libs.common.value import value


@dataclass(frozen=True, slots=True)
class Link:
    """The record of an outside system that stands for the same thing."""

    system: str
    external_id: str
    number: str = ""
    version: str = ""
    """Moment of the change last taken in, as text that sorts by time. Empty before the first."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a system shows in a field that it does not own; how it is used stands in `conflicts.py`."""

    system: str
    field: str
    """As the contract names it."""
    values: tuple[str, ...]
    """Digests: what the system showed last, then what the record has held since, oldest first."""


@dataclass(frozen=True, slots=True)
class Ruled:
    """A value that was not taken, for the audit."""

    field: str
    kept: str
    wanted: str
    rule: str


@value(kw_only=True)
class Aggregate:
    """One record with its history's length. Times are UTC."""

    tenant: str
    record_id: str
    create_time: datetime
    update_time: datetime
    correlation_id: str
    """One value for everything that follows from what made the record."""
    traceparent: str
    links: tuple[Link, ...] = ()
    version: int = 0
    """Times it was stored; 0 = not yet. Guards against two writers at once."""
    sequence: int = 0
    """Events stored so far."""
    audit_hash: bytes = b""
    """Last hash of the record's audit chain."""
    pending: tuple[StrEnum, ...] = ()
    """Facts that the next commit tells, in order."""
    shown: tuple[Shown, ...] = ()
    """What systems show in fields that they do not own."""
    ruled: tuple[Ruled, ...] = ()
    """What the next commit writes into the audit besides what changes."""

    def is_worth_storing(self, before: "Aggregate") -> bool:
        """True when there is something to tell, to audit or to remember; a mere repetition is none of it."""
        return bool(self.pending or self.ruled) or self.shown != before.shown

    def telling(self, *events: StrEnum) -> Self:
        """The same record with more to tell."""
        return revised(self, pending=self.pending + events)

    def link_of(self, system: str) -> Link | None:
        """Its link into a system, where there is one."""
        return next((link for link in self.links if link.system == system), None)

    def is_linked_to(self, link: Link) -> bool:
        """True when this very record stands for it in its system."""
        known = self.link_of(link.system)
        return known is not None and known.external_id == link.external_id

    def refuse_second(self, link: Link, name: str) -> None:
        """Refused with DUPLICATE_CANDIDATE when another record of its system stands for it. name: what people say."""
        known = self.link_of(link.system)
        if known is not None and not self.is_linked_to(link):
            said = f"{link.system} has {known.external_id} and {link.external_id} for {name}"
            raise Refused("DUPLICATE_CANDIDATE", said)

    @property
    def all_links(self) -> tuple[Link, ...]:
        """Every outside record that stands for it, also where a system has several."""
        return self.links

    def linked(self, link: Link) -> Self:
        """The same record, linked; an older link into the same system gives way, but not to one that knows less."""
        known = self.link_of(link.system)
        if known and known.external_id == link.external_id:
            link = replace(known, number=link.number or known.number, version=link.version or known.version)
        if known == link:
            return self
        others = tuple(other for other in self.links if other.system != link.system)
        return revised(self, links=(*others, link))

    @property
    def etag(self) -> str:
        """Version as callers see it."""
        return f'"{self.version}"'


A = TypeVar("A", bound=Aggregate)


def revised(record: A, **changes: object) -> A:
    """`dataclasses.replace` for records, on the way that every write takes: 1 µs for an order, where that takes 5."""
    kind: type = type(record)
    copy: A = _copier_of(kind)(record)
    for name, changed in changes.items():
        setattr(copy, name, changed)
    return copy


@cache
def _copier_of(kind: type) -> Callable[[Any], Any]:
    """What copies a record of this kind. Written out field by field, in the way `dataclass` writes an `__init__`."""
    lines = [f"    copy.{field.name} = record.{field.name}\n" for field in fields(kind)]
    source = f"def copier(record):\n    copy = new(kind)\n{''.join(lines)}    return copy\n"
    made: dict[str, Any] = {"kind": kind, "new": object.__new__}
    exec(source, made)  # noqa: S102  (names of fields are ours)
    copier: Callable[[Any], Any] = made["copier"]
    return copier


def is_stale(known: Link | None, seen: Link) -> bool:
    """True for a change older than what was taken in already of the same outside record."""
    return known is not None and known.external_id == seen.external_id and known.version > seen.version
