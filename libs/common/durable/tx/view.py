"""What one command sees and wants written. Open this file to learn what a command may do to records."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Generic

import asyncpg

from libs.common.aggregate import Aggregate
from libs.common.context import CallContext
from libs.common.durable import tables
from libs.common.durable.rows import Row
from libs.common.durable.tx.audit import audit_digest, changes
from libs.common.durable.tx.group import Group, Key, MemoryKey, Writes
from libs.common.durable.tx.kind import A, Kind
from libs.common.ids import NewId


class Tx:
    """One command's view: reads see what it and earlier commands of the commit have changed."""

    def __init__(self, group: Group, context: CallContext, rule: str) -> None:
        self.group = group
        self.context = context
        self.rule = rule
        """The command, for the audit."""
        self.now: datetime = group.now
        self.new_id: NewId = group.new_id
        self.changed: dict[Key, tuple[Kind[Aggregate], Aggregate | None, Aggregate]] = {}
        """Each record as this command found it and as it leaves it."""
        self.memory: dict[MemoryKey, object] = {}
        self.targets: set[str] = set()
        """Targets to wake once this is committed."""
        self.writes = Writes()

    @property
    def driver(self) -> asyncpg.Connection:
        """For a service's own reads; all writes go through `put` and `writes`."""
        return self.group.driver

    async def get(self, kind: Kind[A], record_id: str) -> A | None:
        """The record as this command sees it, of the context's tenant only."""
        key = (kind.table.name, self.context.tenant, record_id)
        if key in self.changed:
            return self.changed[key][2]  # type: ignore[return-value]
        if key not in self.group.seen:
            row = await self.driver.fetchrow(
                f"SELECT tenant, record_id, version, audit_hash, record::text AS record FROM {kind.table.name}"  # noqa: S608
                " WHERE tenant = $1 AND record_id = $2",
                self.context.tenant,
                record_id,
            )
            self.group.seen[key] = kind.load(row) if row else None
        return self.group.seen[key]  # type: ignore[return-value]

    async def get_by_link(self, kind: Kind[A], system: str, external_id: str) -> A | None:
        """The record linked to an outside one."""
        for record in self._in_sight(kind):
            link = record.link_of(system)
            if link and link.external_id == external_id:
                return record
        record_id = await self.driver.fetchval(
            "SELECT record_id FROM link WHERE tenant = $1 AND system = $2 AND kind = $3 AND external_id = $4",
            self.context.tenant,
            system,
            kind.collection,
            external_id,
        )
        return await self.get(kind, record_id) if record_id else None

    def _in_sight(self, kind: Kind[A]) -> Iterator[A]:
        """Records of a kind that this commit has read or changed, as this command sees them."""
        for key in {**self.changed, **self.group.seen}:
            record = self.changed[key][2] if key in self.changed else self.group.seen[key]
            if record is not None and key[:2] == (kind.table.name, self.context.tenant):
                yield record  # type: ignore[misc]

    async def put(self, kind: Kind[A], record: A) -> A:
        """Stores a new or changed record together with its pending events. The only door to state.

        Returns the record as stored: version moved, nothing pending.
        """
        key = (kind.table.name, record.tenant, record.record_id)
        assert record.tenant == self.context.tenant, "a command may only write its own tenant"
        before = await self.get(kind, record.record_id) if record.version or key in self.changed else None
        assert record.version == (before.version if before else 0), "the copy was changed from an older one"
        found = self.changed[key][1] if key in self.changed else before
        record = replace(record, version=record.version + 1, update_time=self.now)
        numbered = replace(record, sequence=record.sequence + len(record.pending), pending=())
        self._tell(kind, record, numbered)
        numbered = replace(numbered, audit_hash=self._audit(kind, before, numbered))
        self._link(kind, before, numbered)
        self.changed[key] = (kind, found, numbered)  # type: ignore[assignment]
        return numbered

    def _tell(self, kind: Kind[A], record: A, stored: A) -> None:
        deaf = "" if kind.tells_cause else f"connector:{self.context.system}"
        for offset, name in enumerate(record.pending, 1):
            event_type, data = kind.render_event(name, stored)
            self.add_event(
                event_type,
                kind.subject(record.record_id),
                record.sequence + offset,
                data,
                [target for target in kind.targets(name, stored) if target != deaf],
                correlation_id=record.correlation_id,
                traceparent=record.traceparent,
            )

    def add_event(
        self,
        event_type: str,
        subject: str,
        sequence: int,
        data: bytes,
        targets: Sequence[str],
        *,
        correlation_id: str = "",
        traceparent: str = "",
    ) -> str:
        """One fact and one delivery for each target, however often it is named; the id of the event."""
        event_id = self.new_id("evt")
        shared = {
            "tenant": self.context.tenant,
            "event_id": event_id,
            "subject": subject,
            "sequence": sequence,
        }
        event: Row = {
            **shared,
            "type": event_type,
            "data": data,
            "source_system": self.context.system,
            "actor": self.context.actor,
            "correlation_id": correlation_id or self.context.correlation_id,
            "causation_id": self.context.causation_id or self.context.correlation_id,
            "traceparent": traceparent or self.context.traceparent,
            "contract_version": "v1",
            "occurred_time": self.now,
        }
        self.writes.inserts.setdefault(tables.EVENT, []).append(event)
        for target in dict.fromkeys(targets):
            delivery: Row = {
                **shared,
                "target": target,
                "state": "PENDING",
                "due_time": self.now,
                "create_time": self.now,
            }
            self.writes.inserts.setdefault(tables.DELIVERY, []).append(delivery)
            self.targets.add(target)
        return event_id

    def _audit(self, kind: Kind[A], before: A | None, after: A) -> bytes:
        chain = before.audit_hash if before else b""
        for name, old, new in changes(kind, before, after):
            chain = self.add_audit(kind.subject(after.record_id), name, old, new, chain)
        return chain

    def add_audit(self, subject: str, name: str, old: str, new: str, chain: bytes) -> bytes:
        """One audit row after the row whose hash is `chain`; its hash."""
        row = {
            "tenant": self.context.tenant,
            "subject": subject,
            "field": name,
            "old_value": old,
            "new_value": new,
            "source_system": self.context.system,
            "actor": self.context.actor,
            "rule": self.rule,
            "correlation_id": self.context.correlation_id,
            "occurred_time": self.now,
        }
        digest = audit_digest(chain, row)
        self.writes.inserts.setdefault(tables.AUDIT, []).append({**row, "hash": digest})
        return digest

    def _link(self, kind: Kind[A], before: A | None, after: A) -> None:
        known = set(before.links) if before else set()
        for link in after.links:
            if link in known:
                continue
            self.writes.upserts.setdefault(tables.LINK, []).append(
                {
                    "tenant": after.tenant,
                    "system": link.system,
                    "kind": kind.collection,
                    "external_id": link.external_id,
                    "record_id": after.record_id,
                    "number": link.number,
                    "version": link.version,
                }
            )

    def remember(self, key: MemoryKey, fact: object) -> None:
        """Keeps what later commands of the commit must know of a row that is not written yet."""
        self.memory[key] = fact

    def recall(self, key: MemoryKey) -> object | None:
        """What this command or an earlier one of the commit remembers."""
        return self.memory.get(key, self.group.memory.get(key))


class Records(Generic[A]):
    """One kind of record within a transaction."""

    def __init__(self, tx: Tx, kind: Kind[A]) -> None:
        self._tx = tx
        self._kind = kind

    async def get(self, record_id: str) -> A | None:
        """The record of the caller's tenant, or None."""
        return await self._tx.get(self._kind, record_id)

    async def by_link(self, system: str, external_id: str) -> A | None:
        """The record linked to an outside one, or None."""
        return await self._tx.get_by_link(self._kind, system, external_id)

    async def put(self, record: A) -> A:
        """Stores the record with its events; the record as stored."""
        return await self._tx.put(self._kind, record)
