"""The org's records and transactions: open this to see how a change is staged, looked up, committed or undone.

Every API call runs in one `Transaction`: what it writes is committed together when the call ends without an error, and
`savepoint` undoes one record or sub-request inside it. Reads inside a transaction see its own writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import cast

from connectors.kit.simulator import Change, Document, JsonObject, Store

from .catalog import Field, SObject, find_object
from .catalog.fields import Scalar, Values
from .ids import make_id
from .locks import Locks
from .values import print_time

ORG_ID = make_id("00D", 1)

# Beside the fields of a stored Order: every ERP_Status__c it was set to, one a line, oldest first.
HISTORY = "_history"


@dataclass(frozen=True)
class Session:
    """Who is calling: the user whose name goes into CreatedById and LastModifiedById."""

    user_id: str


class Index:
    """Ids of live records by (object, field, value). Text is found in any letter case, as in SOQL."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str, str, str], dict[str, None]] = {}

    def find(self, sobject: str, field: str, value: str) -> list[str]:
        return list(self._ids.get((sobject, field, value.casefold()), ()))

    def replace(self, sobject: SObject, record_id: str, old: Values | None, new: Values | None) -> None:
        """Takes the old values out and the new ones in; a deleted record counts as no values."""
        for field in sobject.fields.values():
            if not field.indexed:
                continue
            before, after = _live_text(old, field), _live_text(new, field)
            if before == after:
                continue
            if before is not None:
                self._ids[sobject.name, field.name, before.casefold()].pop(record_id, None)
            if after is not None:
                self._ids.setdefault((sobject.name, field.name, after.casefold()), {})[record_id] = None


def _live_text(values: Values | None, field: Field) -> str | None:
    if values is None or values.get("IsDeleted"):
        return None
    value = values.get(field.name)
    return value if isinstance(value, str) else None


class Transaction:
    """One call's view of the org and its pending writes."""

    def __init__(
        self, store: Store, index: Index, change: Change, session: Session, locks: Locks | None
    ) -> None:
        self._locks = locks
        self._store = store
        self._index = index
        self._change = change
        self.session = session
        self.now = print_time(change.now)

    # Reading

    def get(self, sobject: str, record_id: str) -> Values | None:
        """The record's values, deleted ones included; do not alter them."""
        document = self._change.get(sobject, record_id)
        return None if document is None else cast(Values, document.body)

    def live(self, sobject: str, record_id: Scalar) -> Values | None:
        """The same, for a record that is not in the recycle bin."""
        values = self.get(sobject, record_id) if isinstance(record_id, str) else None
        return None if values is None or values.get("IsDeleted") else values

    def find(self, sobject: str, field: str, value: str) -> list[Values]:
        """Live records whose indexed field holds this value."""
        candidates = dict.fromkeys(self._index.find(sobject, field, value))
        candidates |= {rid: None for kind, rid in self._change.staged if kind == sobject}
        found = (self.live(sobject, record_id) for record_id in candidates)
        return [each for each in found if each is not None and _same_text(each.get(field), value)]

    def scan(self, sobject: str) -> list[Values]:
        """Every record, deleted ones included, in the order they were made."""
        ids = {document.id: None for document in self._store.all(sobject)}
        ids |= {rid: None for kind, rid in self._change.staged if kind == sobject}
        found = (self.get(sobject, record_id) for record_id in sorted(ids))
        return [each for each in found if each is not None]

    def changed_since(self, sobject: str, stamp: str) -> list[Values]:
        """Records whose SystemModstamp is at or after the stamp, deleted ones included, in the order made.

        The store keeps documents in the order of their last write, which is that of SystemModstamp.
        """
        ids: list[str] = [rid for kind, rid in self._change.staged if kind == sobject]
        for document in reversed(self._store.all(sobject)):
            if str(document.body["SystemModstamp"]) < stamp:
                break
            ids.append(document.id)
        found = (self.get(sobject, record_id) for record_id in sorted(set(ids)))
        return [each for each in found if each is not None]

    # Writing

    def next_id(self, sobject: SObject) -> str:
        return make_id(sobject.key_prefix, self._change.next_number(f"{sobject.name}.Id"))

    def next_number(self, sobject: SObject, field: Field) -> str:
        """The next text of an auto-number field."""
        return field.auto_number.format(self._change.next_number(f"{sobject.name}.{field.name}"))

    def put(self, sobject: SObject, values: Values) -> None:
        """Stages a whole record under its Id. The dict passed in becomes the record."""
        record_id = cast(str, values["Id"])
        body, key = cast(JsonObject, values), _store_key(sobject, values)
        staged = self._change.get(sobject.name, record_id)
        if staged is None:
            self._change.add(sobject.name, record_id, body, key=key)
        else:
            # A fresh document, never an edit in place: a savepoint keeps the old one.
            self._change.staged[sobject.name, record_id] = replace(staged, body=body, key=key)

    def lock(self, sobject: SObject, record_id: str) -> None:
        """Takes the row for writing. Raises UNABLE_TO_LOCK_ROW when a test holds it."""
        if self._locks is not None:
            self._locks.check(sobject.name, record_id)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undoes what the block staged if it raises; the error goes on."""
        staged, counters = dict(self._change.staged), dict(self._change.counters)
        try:
            yield
        except BaseException:
            self._change.staged.clear()
            self._change.staged.update(staged)
            self._change.counters.clear()
            self._change.counters.update(counters)
            raise


class Org:
    """The whole org. Everything goes through `transaction`."""

    def __init__(self, store: Store, locks: Locks) -> None:
        self.store = store
        self._locks = locks
        self._index = Index()
        for kind in store.kinds():
            sobject = find_object(kind)
            for document in store.all(kind) if sobject else ():
                assert sobject is not None
                self._index.replace(sobject, document.id, None, cast(Values, document.body))

    @contextmanager
    def transaction(self, session: Session, *, counted: bool = True) -> Iterator[Transaction]:
        """One atomic change. Never await inside. counted: False for the org's own people (seeding)."""
        with self.store.change(counted=counted) as change:
            yield Transaction(self.store, self._index, change, session, self._locks if counted else None)
            before = {name: self.store.get(*name) for name in change.staged}
            after = dict(change.staged)
        for (kind, record_id), document in after.items():
            sobject = find_object(kind)
            if sobject is not None:
                self._index.replace(
                    sobject,
                    record_id,
                    _values_of(before[kind, record_id]),
                    _values_of(document),
                )


def _values_of(document: Document | None) -> Values | None:
    return None if document is None else cast(Values, document.body)


def _store_key(sobject: SObject, values: Values) -> str | None:
    """The key the ledger shows: the first unique external id."""
    if values.get("IsDeleted"):
        return None
    for field in sobject.key_fields():
        value = values.get(field.name)
        if field.unique and isinstance(value, str):
            return value
    return None


def _same_text(value: Scalar, wanted: str) -> bool:
    return isinstance(value, str) and value.casefold() == wanted.casefold()
