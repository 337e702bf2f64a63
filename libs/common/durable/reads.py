"""Reads of records outside any transaction. Open this file to see how a service's `Get` and `List` are served."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Generic, TypeVar

from libs.common.aggregate import Aggregate
from libs.common.durable.conditions import sql_of
from libs.common.durable.model import Delivery
from libs.common.durable.probes import lookup_statement
from libs.common.durable.store import Store
from libs.common.durable.tx import Kind
from libs.common.durable.tx.kind import COLUMNS
from libs.common.filtering import Term
from libs.common.together import Together

A = TypeVar("A", bound=Aggregate)
AT_HAND: ContextVar[Delivery | None] = ContextVar("at_hand", default=None)


@contextmanager
def at_hand(delivery: Delivery) -> Iterator[None]:
    """Within the block the record that came along with the delivery is not read again."""
    token = AT_HAND.set(delivery)
    try:
        yield
    finally:
        AT_HAND.reset(token)


class Reads(Generic[A]):
    """Records of one kind, of one tenant at a time."""

    def __init__(self, store: Store, kind: Kind[A]) -> None:
        self._store = store
        self._kind = kind
        self._together = Together(self._read)

    async def get(self, tenant: str, record_id: str) -> A | None:
        """The record as last committed, or None."""
        under_way = AT_HAND.get()
        if under_way is not None and under_way.record is not None:
            event = under_way.event
            if (event.tenant, event.subject) == (tenant, self._kind.subject(record_id)):
                return under_way.record  # type: ignore[return-value]
        return (await self._together.get([(tenant, record_id)])).get((tenant, record_id))

    async def _read(self, keys: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], A]:
        rows = await self._store.fetch(
            lookup_statement(self._kind.table.name, COLUMNS, ("tenant", "record_id")),
            [tenant for tenant, _ in keys],
            [record_id for _, record_id in keys],
        )
        return {(row["tenant"], row["record_id"]): self._kind.load(row) for row in rows}

    async def page(self, tenant: str, terms: Sequence[Term], before: str, limit: int) -> Sequence[A]:
        """Newest first: ids sort by time. `terms`: what the records must be like; `before`: id the page ends before."""
        begin = " AND record_id < $3" if before else ""
        values: list[object] = [before] if before else []
        asked, further = sql_of(terms, 3 + len(values))
        rows = await self._store.fetch(
            f"SELECT {COLUMNS} FROM {self._kind.table.name}"  # noqa: S608
            f" WHERE tenant = $1{begin}{asked} ORDER BY record_id DESC LIMIT $2",
            tenant,
            limit,
            *values,
            *further,
        )
        return [self._kind.load(row) for row in rows]
