"""Records that several commands of a commit will ask for, read at once. Open this file when shared commits read slowly.

One statement for each kind instead of one for each command: a commit that settles fifty deliveries would otherwise wait
fifty times for the database, and everything behind it with it.
"""

from collections.abc import Iterable
from typing import Any

from libs.common.durable.tx.kind import Kind
from libs.common.durable.tx.view import Tx


async def read_ahead(tx: Tx, wanted: Iterable[tuple[str, str]]) -> None:
    """Reads the records of (tenant, subject) that `tx` has a kind for, so that `Tx.get` finds them in the group."""
    by_kind: dict[str, set[tuple[str, str]]] = {}
    for tenant, subject in wanted:
        collection, _, record_id = subject.partition("/")
        if (
            collection in tx.kinds
            and (tx.kinds[collection].table.name, tenant, record_id) not in tx.group.seen
        ):
            by_kind.setdefault(collection, set()).add((tenant, record_id))
    for collection, keys in by_kind.items():
        await _read(tx, tx.kinds[collection], sorted(keys))


async def _read(tx: Tx, kind: Kind[Any], keys: list[tuple[str, str]]) -> None:
    table, seen = kind.table.name, tx.group.seen
    rows = await tx.group.driver.fetch(
        f"SELECT tenant, record_id, version, audit_hash, record::text AS record FROM {table}"  # noqa: S608
        " JOIN unnest($1::text[], $2::text[]) AS asked (tenant, record_id) USING (tenant, record_id)",
        [tenant for tenant, _ in keys],
        [record_id for _, record_id in keys],
    )
    seen.update({(table, tenant, record_id): None for tenant, record_id in keys})
    for row in rows:
        seen[(table, row["tenant"], row["record_id"])] = kind.load(row)
