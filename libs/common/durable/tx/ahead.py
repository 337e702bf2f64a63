"""Records that several commands of a commit will ask for, read at once. Open this file when shared commits read slowly.

One statement for each kind instead of one for each command: a commit that settles fifty deliveries would otherwise wait
fifty times for the database, and everything behind it with it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from libs.common.durable.probes import lookup_statement
from libs.common.durable.tx.kind import COLUMNS, Kind
from libs.common.durable.tx.view import Tx

Asked = Sequence[tuple[Kind[Any], Sequence[tuple[str, str]]]]
"""Tenants and ids of the records to be read, by kind."""


async def read_ahead(tx: Tx, wanted: Iterable[tuple[str, str]]) -> None:
    """Reads the records of (tenant, subject) that `tx` has a kind for, so that `Tx.get` finds them in the group."""
    for kind, keys in not_seen(tx, wanted):
        rows = await tx.group.driver.fetch(
            lookup_statement(kind.table.name, COLUMNS, ("tenant", "record_id")),
            [tenant for tenant, _ in keys],
            [record_id for _, record_id in keys],
        )
        see(tx, kind, keys, rows)


def not_seen(tx: Tx, wanted: Iterable[tuple[str, str]]) -> Asked:
    """What the group has yet to read of (tenant, subject)."""
    asked: dict[str, set[tuple[str, str]]] = {}
    for tenant, subject in wanted:
        collection, _, record_id = subject.partition("/")
        if (
            collection in tx.kinds
            and (tx.kinds[collection].table.name, tenant, record_id) not in tx.group.seen
        ):
            asked.setdefault(collection, set()).add((tenant, record_id))
    return [(tx.kinds[collection], sorted(keys)) for collection, keys in asked.items()]


def see(
    tx: Tx, kind: Kind[Any], keys: Sequence[tuple[str, str]], rows: Iterable[Mapping[str, object]]
) -> None:
    """These rows are all there is under these keys."""
    table, seen = kind.table.name, tx.group.seen
    seen.update({(table, tenant, record_id): None for tenant, record_id in keys})
    for row in rows:
        seen[table, str(row["tenant"]), str(row["record_id"])] = kind.load(row)
