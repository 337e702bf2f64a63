"""What one command sees and wants written. Open this file to learn what a command may do to records."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic

from libs.common.aggregate import Aggregate, revised
from libs.common.conflicts import FIELDS
from libs.common.context import MESH_ROLE, CallContext
from libs.common.durable import tables
from libs.common.durable.rows import Row
from libs.common.durable.session import Session
from libs.common.durable.tx import proposals
from libs.common.durable.tx.audit import audit_digest, changes, rulings
from libs.common.durable.tx.group import Group, Key, MemoryKey, Writes
from libs.common.durable.tx.kind import COLUMNS, A, Kind
from libs.common.errors import Refused
from libs.common.ids import NewId
from libs.common.ownership import MESH, Ownership, check_registered, check_stored


class Tx:
    """One command's view: reads see what it and earlier commands of the commit have changed."""

    def __init__(self, group: Group, context: CallContext, rule: str, *kinds: Kind[Any]) -> None:
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
        """Targets to wake once this is committed, besides those that new deliveries go to."""
        self.writes = Writes()
        self.kinds: Mapping[str, Kind[Any]] = {kind.collection: kind for kind in kinds}
        """The kinds this service's transactions know, by collection."""

    @property
    def driver(self) -> Session:
        """For a service's own reads; all writes go through `put` and `writes`."""
        return self.group.driver

    async def get(self, kind: Kind[A], record_id: str) -> A | None:
        """The record as this command sees it, of the context's tenant only."""
        key = (kind.table.name, self.context.tenant, record_id)
        if key in self.changed:
            return self.changed[key][2]  # type: ignore[return-value]
        if key not in self.group.seen:
            row = await self.driver.fetchrow(
                f"SELECT {COLUMNS} FROM {kind.table.name} WHERE tenant = $1 AND record_id = $2",  # noqa: S608
                self.context.tenant,
                record_id,
            )
            self.group.seen[key] = kind.load(row) if row else None
        return self.group.seen[key]  # type: ignore[return-value]

    async def get_by_link(self, kind: Kind[A], system: str, external_id: str) -> A | None:
        """The record linked to an outside one."""
        for record in self._in_sight(kind):
            if any((link.system, link.external_id) == (system, external_id) for link in record.all_links):
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
        altered = changes(kind, before, record)
        self._check_owners(kind, before, [name for name, _, _ in altered])
        audited = [*((*change, "") for change in altered), *rulings(kind, record)]
        numbered = revised(
            record,
            version=record.version + 1,
            update_time=self.now,
            sequence=record.sequence + len(record.pending),
            pending=(),
            ruled=(),
            audit_hash=self._audit(kind, record, audited, before.audit_hash if before else b""),
        )
        self._tell(kind, record, numbered)
        self._link(kind, before, numbered)
        self.changed[key] = (kind, found, numbered)  # type: ignore[assignment]
        return numbered

    def source(self, kind: Kind[A]) -> str:
        """`erp`, `crm` or `mesh`: who writes."""
        return kind.source_of(self.context.system)

    def _check_owners(self, kind: Kind[A], before: A | None, names: Sequence[str]) -> None:
        """Refused with OWNERSHIP_VIOLATION. Our own steps write down what others have said, whoever owns it."""
        source = self.source(kind)
        if kind.ownership is None or (source == MESH and MESH_ROLE in self.context.roles):
            return
        if before is None:
            check_registered(kind.ownership, source)
        else:
            check_stored(kind.ownership, [FIELDS.get(name, name) for name in names], source)

    def _tell(self, kind: Kind[A], record: A, stored: A) -> None:
        deaf = "" if kind.tells_cause else f"connector:{self.context.system}"
        for offset, name in enumerate(record.pending, 1):
            event_type, data = kind.render_event(name, stored)
            self.add_event(
                event_type,
                kind.subject(record.record_id),
                record.sequence + offset,
                data,
                [t for t in kind.targets(name, stored) if t != deaf or name in kind.answers],
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
        return event_id

    def _audit(
        self, kind: Kind[A], record: A, entries: Sequence[tuple[str, str, str, str]], chain: bytes
    ) -> bytes:
        for name, old, new, rule in entries:
            chain = self.add_audit(kind.subject(record.record_id), name, old, new, chain, rule=rule)
        return chain

    def add_audit(
        self, subject: str, name: str, old: str, new: str, chain: bytes, *, rule: str = ""
    ) -> bytes:
        """One audit row after the row whose hash is `chain`; its hash. `rule`: where it is not the command."""
        row = {
            "tenant": self.context.tenant,
            "subject": subject,
            "field": name,
            "old_value": old,
            "new_value": new,
            "source_system": self.context.system,
            "actor": self.context.actor,
            "rule": rule or self.rule,
            "correlation_id": self.context.correlation_id,
            "occurred_time": self.now,
        }
        digest = audit_digest(chain, row)
        self.writes.inserts.setdefault(tables.AUDIT, []).append({**row, "hash": digest})
        return digest

    def _link(self, kind: Kind[A], before: A | None, after: A) -> None:
        known = set(before.all_links) if before else set()
        for link in after.all_links:
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
    """One kind of record within a transaction.

    Made for each use. Kept by the transaction that it knows it would close a circle, and all that the command has made
    would wait for the garbage collector.
    """

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

    # What is not the source's to write: the port of `libs.common.conflicts` --------------------------

    @property
    def ownership(self) -> Ownership:
        """Who may change what of these records."""
        assert self._kind.ownership is not None, f"{self._kind.collection} have no ownership"
        return self._kind.ownership

    @property
    def source(self) -> str:
        """`erp`, `crm` or `mesh`: who writes."""
        return self._tx.source(self._kind)

    async def propose(self, record: A, field: str, value: str) -> None:
        """Keeps a value for a steward, in place of an earlier proposal of the field."""
        proposal = proposals.Proposal(
            subject=self._kind.subject(record.record_id),
            field=field,
            value=value,
            source_system=self._tx.context.system,
            owner_system=self._owner_system(record, field),
        )
        await proposals.propose(self._tx, proposal)

    def _owner_system(self, record: A, field: str) -> str:
        """The oldest link into a system of the field's owner."""
        owner = self.ownership.fields[field].owner
        systems = [link.system for link in record.links if self._kind.source_of(link.system) == owner]
        if not systems:
            raise Refused("REFERENCE_UNKNOWN", f"no {owner.upper()} has the record yet")
        return systems[0]

    async def withdraw(self, record: A, fields: Collection[str]) -> Mapping[str, tuple[str, str]]:
        """Closes open proposals of the fields; field → system and value of each."""
        return await proposals.withdraw(self._tx, self._kind.subject(record.record_id), fields)
