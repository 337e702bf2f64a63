"""One commit under way: what its commands have seen and want written. Open this file to follow a write to its row."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Protocol

import sqlalchemy as sa

from libs.common.aggregate import Aggregate
from libs.common.durable import tables
from libs.common.durable.rows import Errand, Row, insert_rows, insert_together, update_rows
from libs.common.durable.seal import Sealer
from libs.common.durable.session import Session
from libs.common.durable.tx.kind import Kind
from libs.common.ids import NewId


class Lost(Exception):
    """Another transaction was faster: a version is taken, a delivery has moved. The group runs again."""


class LinkTaken(Lost):
    """An outside record is linked to another record of ours; found again in the next run, it is no race."""


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
MemoryKey = tuple[str, str, str]
"""What a memory is about, for example `sequence`, tenant, subject."""

WAKE_FOLLOWERS = """
UPDATE delivery f SET due_time = greatest(p.due_time, $2)
FROM delivery p
WHERE p.delivery_id = ANY($1::bigint[]) AND f.tenant = p.tenant AND f.target = p.target AND f.subject = p.subject
  AND f.sequence > p.sequence AND f.state = 'PENDING' AND f.lease_id IS NULL AND f.due_time > $2
"""
UPSERT_LINK = (
    "ON CONFLICT (tenant, system, kind, external_id) DO UPDATE SET number = excluded.number,"
    " version = excluded.version WHERE link.record_id = excluded.record_id RETURNING record_id"
)


class Command(Protocol):
    """What a group takes from a command that ended well: its `Tx`."""

    changed: dict[Key, tuple[Kind[Aggregate], Aggregate | None, Aggregate]]
    memory: dict[MemoryKey, object]
    targets: set[str]
    writes: Writes


class Group:
    """One commit under way."""

    def __init__(self, driver: Session, now: datetime, new_id: NewId, sealer: Sealer | None = None) -> None:
        self.driver = driver
        self.now = now
        self.new_id = new_id
        self.sealer = sealer or Sealer(None)
        self.seen: dict[Key, Aggregate | None] = {}
        self.memory: dict[MemoryKey, object] = {}
        """What accepted commands know of rows that are not written yet and belong to no record."""
        self.targets: set[str] = set()
        """Targets that will have something due once this is committed."""
        self._before: dict[Key, tuple[Kind[Aggregate], Aggregate | None]] = {}
        self._writes = Writes()
        self._errands: list[Errand] = []
        self._upsert_suffix: dict[sa.Table, str] = {tables.LINK: UPSERT_LINK}

    def accept(self, tx: Command) -> None:
        """The command ended well: what it wants is part of the commit, and later commands see it."""
        for key, (kind, before, after) in tx.changed.items():
            self._before.setdefault(key, (kind, before))
            self.seen[key] = after
        self.memory.update(tx.memory)
        self.targets |= tx.targets
        self._writes.take(tx.writes)

    def add(self, table: sa.Table, row: Row) -> None:
        """A further row to insert, outside any command."""
        self._writes.inserts.setdefault(table, []).append(row)

    def along(self, errand: Errand) -> None:
        """A statement that travels with what is inserted."""
        self._errands.append(errand)

    def new_events(self) -> Mapping[str, Row]:
        """Events that this commit adds, by id."""
        return {str(row["event_id"]): row for row in self._writes.inserts.get(tables.EVENT, ())}

    def take_deliveries(self, is_taken: Callable[[Row], bool]) -> list[Row]:
        """Takes deliveries out of what is to be inserted; an errand is to insert them instead."""
        rows = self._writes.inserts.get(tables.DELIVERY, [])
        taken = [row for row in rows if is_taken(row)]
        if taken:
            names = {(row["event_id"], row["target"]) for row in taken}
            rows[:] = [row for row in rows if (row["event_id"], row["target"]) not in names]
        return taken

    def stored(self) -> Mapping[tuple[str, str], Aggregate]:
        """Records as this commit leaves them, by tenant and subject."""
        return {
            (record.tenant, kind.subject(record.record_id)): record
            for key, (kind, _) in self._before.items()
            if (record := self.seen[key]) is not None
        }

    def transitions(self) -> Iterator[tuple[str, Enum | None, Enum | None]]:
        """Collection, state before and after of each record that is in another state now; a new one was in none."""
        for key, (kind, before) in self._before.items():
            was, now = getattr(before, "state", None), getattr(self.seen[key], "state", None)
            if was is not now:
                yield kind.collection, was, now

    async def flush(self) -> None:
        """Writes everything. Raises Lost when a version or link was taken meanwhile, the driver's error for a key."""
        made, changed = self._records()
        inserts = self._writes.inserts
        self.targets |= {str(row["target"]) for row in inserts.get(tables.DELIVERY, ())}
        keys = sorted(inserts.pop(tables.IDEMPOTENCY, []), key=_key_of)
        told = {table: inserts.pop(table, []) for table in (tables.EVENT, tables.DELIVERY, tables.AUDIT)}
        is_last = not self._writes.updates and not any(self._writes.upserts.values())
        if changed:
            # Whoever changes the same record waits here for its row, not further down for an event's number.
            await self._insert({tables.IDEMPOTENCY: keys, **made})
            await self._update(changed)
            await self._insert({**told, **inserts}, self._errands)
        else:
            await self._insert({tables.IDEMPOTENCY: keys, **made, **told, **inserts}, self._errands, is_last)
        await self._flush_deliveries(self._writes.updates.get(tables.DELIVERY, []))
        for table, rows in self._writes.upserts.items():
            await self._flush_upserts(table, rows)

    async def _insert(
        self, rows: Mapping[sa.Table, Sequence[Row]], errands: Sequence[Errand] = (), is_last: bool = False
    ) -> None:
        send = self.driver.fetch_last if is_last else self.driver.fetch
        await insert_together(send, rows, tables.IDEMPOTENCY, errands)

    async def _update(self, changed: Mapping[sa.Table, Sequence[Row]]) -> None:
        for table, rows in changed.items():
            if await update_rows(self.driver, table, rows, ("tenant", "record_id")) != len(rows):
                raise Lost("a record was stored by somebody else meanwhile")

    async def _flush_deliveries(self, updates: Sequence[Row]) -> None:
        """What waited behind a delivery that has moved is due with it, or now when it is closed."""
        for alike in _alike(updates):
            if await update_rows(self.driver, tables.DELIVERY, alike, ("delivery_id",)) != len(alike):
                raise Lost("a delivery moved on meanwhile")
        moved = [row["delivery_id"] for row in updates if "state" in row]
        if moved:
            await self.driver.execute(WAKE_FOLLOWERS, moved, self.now)

    def _records(self) -> tuple[dict[sa.Table, list[Row]], dict[sa.Table, list[Row]]]:
        """New records, and known ones to be updated where nobody else has stored a version meanwhile."""
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
                "record": kind.text(after),
            }
            if before is None:
                inserts.setdefault(kind.table, []).append(row)
            else:
                updates.setdefault(kind.table, []).append({**row, "was_version": before.version})
        return inserts, updates

    async def _flush_upserts(self, table: sa.Table, rows: Sequence[Row]) -> None:
        columns = list(table.primary_key.columns.keys()) or ["tenant", "system", "kind", "external_id"]
        latest: dict[tuple[str, ...], Row] = {}
        for row in rows:
            key = tuple(str(row[name]) for name in columns)
            if table is tables.LINK and key in latest and latest[key]["record_id"] != row["record_id"]:
                raise LinkTaken("two commands link one outside record to two of ours")
            latest[key] = row
        suffix = self._upsert_suffix.get(table) or _upsert_suffix(table, columns)
        written = await insert_rows(self.driver, table, [latest[key] for key in sorted(latest)], suffix)
        if table is tables.LINK and len(written) != len(latest):
            raise LinkTaken("an outside record is linked to another of ours")


def _key_of(row: Row) -> tuple[str, str, str]:
    """Order in which keys are claimed, the same for all: two groups never wait for each other."""
    return str(row["tenant"]), str(row["method"]), str(row["key"])


def _alike(updates: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Runs of updates that one statement can do: the same columns, each row once. What comes later stays later."""
    run: dict[object, Row] = {}
    columns: tuple[str, ...] = ()
    for row in updates:
        if run and (row["delivery_id"] in run or tuple(row) != columns):
            yield list(run.values())
            run = {}
        columns = tuple(row)
        run[row["delivery_id"]] = row
    if run:
        yield list(run.values())


def _upsert_suffix(table: sa.Table, keys: Sequence[str]) -> str:
    changed = ", ".join(f"{c.name} = excluded.{c.name}" for c in table.columns if c.name not in keys)
    return f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changed}"
