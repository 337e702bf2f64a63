"""Reads of records outside any transaction. Open this file to see how a service's `Get` and `List` are served."""

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

from libs.common.aggregate import Aggregate
from libs.common.durable.store import Store
from libs.common.durable.tx import Kind

A = TypeVar("A", bound=Aggregate)
COLUMNS = "tenant, record_id, version, audit_hash, record::text AS record"


class Reads(Generic[A]):
    """Records of one kind, of one tenant at a time."""

    def __init__(self, store: Store, kind: Kind[A]) -> None:
        self._store = store
        self._kind = kind

    async def get(self, tenant: str, record_id: str) -> A | None:
        """The record as last committed, or None."""
        rows = await self._store.fetch(
            f"SELECT {COLUMNS} FROM {self._kind.table.name} WHERE tenant = $1 AND record_id = $2",  # noqa: S608
            tenant,
            record_id,
        )
        return self._kind.load(rows[0]) if rows else None

    async def page(self, tenant: str, where: Mapping[str, str], before: str, limit: int) -> Sequence[A]:
        """Newest first: ids sort by time. `where`: column of the table to value; `before`: id the page ends before."""
        terms = {f"{column} =": value for column, value in where.items()}
        if before:
            terms["record_id <"] = before
        asked = "".join(f" AND {term} ${number}" for number, term in enumerate(terms, 3))
        rows = await self._store.fetch(
            f"SELECT {COLUMNS} FROM {self._kind.table.name}"  # noqa: S608
            f" WHERE tenant = $1{asked} ORDER BY record_id DESC LIMIT $2",
            tenant,
            limit,
            *terms.values(),
        )
        return [self._kind.load(row) for row in rows]
