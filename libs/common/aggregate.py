"""What every record of every service has. Open this file before you write a domain model.

An aggregate is a frozen value. A change returns a new one that carries the facts to be told (`pending`); the store
writes both in one commit, so nobody can forget the event.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Self


@dataclass(frozen=True, slots=True)
class Link:
    """The record of an outside system that stands for the same thing."""

    system: str
    external_id: str
    number: str = ""
    version: str = ""
    """Moment of the change last taken in, as text that sorts by time. Empty before the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
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

    def telling(self, *events: StrEnum) -> Self:
        """The same record with more to tell."""
        return replace(self, pending=self.pending + events)

    def link_of(self, system: str) -> Link | None:
        """Its link into a system, where there is one."""
        return next((link for link in self.links if link.system == system), None)

    def linked(self, link: Link) -> Self:
        """The same record, linked; an older link into the same system gives way, but not to one that knows less."""
        known = self.link_of(link.system)
        if known and known.external_id == link.external_id:
            link = replace(known, number=link.number or known.number, version=link.version or known.version)
        if known == link:
            return self
        others = tuple(other for other in self.links if other.system != link.system)
        return replace(self, links=(*others, link))

    @property
    def etag(self) -> str:
        """Version as callers see it."""
        return f'"{self.version}"'


def is_stale(known: Link | None, seen: Link) -> bool:
    """True for a change older than what was taken in already of the same outside record."""
    return known is not None and known.external_id == seen.external_id and known.version > seen.version
