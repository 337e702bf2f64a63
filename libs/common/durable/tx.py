"""What one command may read and write. Open this file to learn how state, events, deliveries and audit stay together.

Commands of one commit share a `Group` (one connection, one identity map); each has its own `Tx`, whose writes count
only once the command has ended well. Nothing is written before `Group.flush`, which writes everything in a handful of
multi-row statements.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Generic, TypeVar

import asyncpg
import sqlalchemy as sa
from pydantic import TypeAdapter

from libs.common.aggregate import Aggregate
from libs.common.context import CallContext
from libs.common.durable import tables
from libs.common.durable.rows import Row, insert_rows, update_rows
from libs.common.ids import NewId

A = TypeVar("A", bound=Aggregate)
STORED_APART = {"tenant", "record_id", "version", "audit_hash", "pending"}
"""Fields of an aggregate that are columns or not stored at all; everything else is the JSON record."""
NOT_AUDITED = {"update_time", "sequence", "create_time", "correlation_id", "traceparent"}
MASK = "***"
AUDIT_VALUE_MAX = 2000


class Lost(Exception):
    """Another transaction was faster: a key, a version or a sequence is taken. The group runs again."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[A]):
    """How one kind of record is stored, told of and audited."""

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


@dataclass(slots=True)
class Writes:
    """Rows a command wants written, by table."""

    inserts: dict[sa.Table, list[Row]] = field(default_factory=dict)
    updates: dict[sa.Table, list[Row]] = field(default_factory=dict)
    """Of `delivery` only: keyed by its id, guarded by `was_…` values."""
    upserts: dict[sa.Table, list[Row]] = field(default_factory=dict)

    def take(self, other: "Writes") -> None:
        for mine, theirs in (
            (self.inserts, other.inserts),
            (self.updates, other.updates),
            (self.upserts, other.upserts),
        ):
            for table, rows in theirs.items():
                mine.setdefault(table, []).extend(rows)


Key = tuple[str, str, str]
"""Table name, tenant, record id."""


class Tx:
    """One command's view: reads see what earlier commands of the commit have changed."""

    def __init__(self, group: "Group", context: CallContext, rule: str) -> None:
        self.group = group
        self.context = context
        self.rule = rule
        """The command, for the audit."""
        self.now: datetime = group.now
        self.new_id: NewId = group.new_id
        self.changed: dict[Key, tuple[Kind[Aggregate], Aggregate | None, Aggregate]] = {}
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
        changed = self._changed_with_link(kind, system, external_id)
        if changed is not None:
            return changed
        record_id = await self.driver.fetchval(
            "SELECT record_id FROM link WHERE tenant = $1 AND system = $2 AND kind = $3 AND external_id = $4",
            self.context.tenant,
            system,
            kind.collection,
            external_id,
        )
        return await self.get(kind, record_id) if record_id else None

    def _changed_with_link(self, kind: Kind[A], system: str, external_id: str) -> A | None:
        candidates = [*(after for _, _, after in self.changed.values()), *self.group.seen.values()]
        for record in candidates:
            link = record.link_of(system) if record else None
            if record and link and link.external_id == external_id and record.tenant == self.context.tenant:
                return record  # type: ignore[return-value]
        return None

    async def put(self, kind: Kind[A], record: A) -> A:
        """Stores a new or changed record together with its pending events. The only door to state.

        Returns the record as stored: version moved, nothing pending.
        """
        key = (kind.table.name, record.tenant, record.record_id)
        assert record.tenant == self.context.tenant, "a command may only write its own tenant"
        before = await self.get(kind, record.record_id) if record.version else None
        record = replace(record, version=record.version + 1, update_time=self.now)
        numbered = replace(record, sequence=record.sequence + len(record.pending), pending=())
        self._tell(kind, record, numbered)
        numbered = replace(numbered, audit_hash=self._audit(kind, before, numbered))
        self._link(kind, before, numbered)
        self.changed[key] = (kind, before, numbered)  # type: ignore[assignment]
        return numbered

    def _tell(self, kind: Kind[A], record: A, stored: A) -> None:
        for offset, name in enumerate(record.pending, 1):
            event_type, data = kind.render_event(name, stored)
            self.add_event(
                event_type,
                kind.subject(record.record_id),
                record.sequence + offset,
                data,
                kind.targets(name, stored),
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
        """One fact and one delivery for each target; the id of the event."""
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
        for target in targets:
            delivery: Row = {
                **shared,
                "target": target,
                "state": "PENDING",
                "due_time": self.now,
                "create_time": self.now,
            }
            self.writes.inserts.setdefault(tables.DELIVERY, []).append(delivery)
            self.group.targets.add(target)
        return event_id

    def _audit(self, kind: Kind[A], before: A | None, after: A) -> bytes:
        changes = _changes(kind, before, after)
        chain = before.audit_hash if before else b""
        for name, old, new in changes:
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


def audit_digest(chain: bytes, row: Mapping[str, object]) -> bytes:
    """Hash of an audit row chained to the one before; what a checker computes again."""
    text = json.dumps([str(row[name]) for name in sorted(row)], ensure_ascii=False)
    return hashlib.sha256(chain + text.encode()).digest()


def _changes(kind: Kind[A], before: A | None, after: A) -> list[tuple[str, str, str]]:
    """Field, old and new value of what changed; one entry for a new record."""
    if before is None:
        return [("", "", "registered")]
    old, new = kind.dump(before), kind.dump(after)
    names = [name for name in new if name not in NOT_AUDITED and old.get(name) != new[name]]
    return [
        (name, MASK, MASK) if name in kind.redacted else (name, _text(old.get(name)), _text(new[name]))
        for name in names
    ]


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= AUDIT_VALUE_MAX else text[: AUDIT_VALUE_MAX - 1] + "…"


UPSERT_LINK = (
    "ON CONFLICT (tenant, system, kind, external_id) DO UPDATE SET number = excluded.number,"
    " version = excluded.version WHERE link.record_id = excluded.record_id RETURNING record_id"
)


class Group:
    """One commit under way."""

    def __init__(self, driver: asyncpg.Connection, now: datetime, new_id: NewId) -> None:
        self.driver = driver
        self.now = now
        self.new_id = new_id
        self.seen: dict[Key, Aggregate | None] = {}
        self.sequences: dict[tuple[str, str], int] = {}
        """Last sequence given to a subject that has no record of its own."""
        self.targets: set[str] = set()
        self._before: dict[Key, tuple[Kind[Aggregate], Aggregate | None]] = {}
        self._writes = Writes()
        self._upsert_suffix: dict[sa.Table, str] = {tables.LINK: UPSERT_LINK}

    def accept(self, tx: Tx) -> None:
        """The command ended well: what it wants is part of the commit, and later commands see it."""
        for key, (kind, before, after) in tx.changed.items():
            self._before.setdefault(key, (kind, before))
            self.seen[key] = after
        self._writes.take(tx.writes)

    def add(self, table: sa.Table, row: Row) -> None:
        """A further row to insert, outside any command."""
        self._writes.inserts.setdefault(table, []).append(row)

    async def flush(self) -> None:
        """Writes everything. Raises Lost when a key, version, sequence or link was taken meanwhile."""
        await self._flush_keys()
        await self._flush_records()
        for table in (tables.EVENT, tables.DELIVERY, tables.AUDIT):
            await insert_rows(self.driver, table, self._writes.inserts.pop(table, []))
        for table, rows in self._writes.inserts.items():
            await insert_rows(self.driver, table, rows)
        for row in self._writes.updates.get(tables.DELIVERY, []):
            if not await update_rows(self.driver, tables.DELIVERY, [row], ("delivery_id",)):
                raise Lost("a delivery moved on meanwhile")
        for table, rows in self._writes.upserts.items():
            await self._flush_upserts(table, rows)

    async def _flush_keys(self) -> None:
        rows = sorted(
            self._writes.inserts.pop(tables.IDEMPOTENCY, []),
            key=lambda row: (str(row["tenant"]), str(row["method"]), str(row["key"])),
        )
        taken = await insert_rows(
            self.driver, tables.IDEMPOTENCY, rows, "ON CONFLICT DO NOTHING RETURNING key"
        )
        if len(taken) != len(rows):
            raise Lost("an idempotency key was answered meanwhile")

    async def _flush_records(self) -> None:
        """New records are inserted, known ones updated where nobody else has stored a version meanwhile."""
        inserts: dict[sa.Table, list[Row]] = {}
        updates: dict[sa.Table, list[Row]] = {}
        for key in sorted(self._before):
            kind, before = self._before[key]
            after = self.seen[key]
            assert after is not None
            row = {
                "tenant": after.tenant,
                "record_id": after.record_id,
                "version": after.version,
                "audit_hash": after.audit_hash,
                "update_time": after.update_time,
                **kind.columns(after),
                "record": kind.codec.dump_json(after, exclude=STORED_APART).decode(),
            }
            if before is None:
                inserts.setdefault(kind.table, []).append(row)
            else:
                updates.setdefault(kind.table, []).append({**row, "was_version": before.version})
        for table, rows in inserts.items():
            await insert_rows(self.driver, table, rows)
        for table, rows in updates.items():
            if await update_rows(self.driver, table, rows, ("tenant", "record_id")) != len(rows):
                raise Lost("a record was stored by somebody else meanwhile")

    async def _flush_upserts(self, table: sa.Table, rows: Sequence[Row]) -> None:
        columns = list(table.primary_key.columns.keys()) or ["tenant", "system", "kind", "external_id"]
        latest = {tuple(str(row[name]) for name in columns): row for row in rows}
        suffix = self._upsert_suffix.get(table) or _upsert_suffix(table, columns)
        written = await insert_rows(self.driver, table, [latest[key] for key in sorted(latest)], suffix)
        if table is tables.LINK and len(written) != len(latest):
            raise Lost("an outside record is linked to another of ours")


def _upsert_suffix(table: sa.Table, keys: Sequence[str]) -> str:
    changed = ", ".join(f"{c.name} = excluded.{c.name}" for c in table.columns if c.name not in keys)
    return f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changed}"
