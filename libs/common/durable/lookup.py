"""Records by something else than their id.

Open this file when a feed looks for what another feed may just be registering.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import TypeVar

from libs.common.aggregate import Aggregate
from libs.common.durable.tx import Kind, Tx
from libs.common.durable.tx.ahead import read_ahead

A = TypeVar("A", bound=Aggregate)
FOUND_MAX = 100
SHARING_MAX = 50
"""Records compared for one value that they share; the oldest."""
LOOKED_AT_MAX = 200
"""Records that have the value, looked at for those without a link."""


async def hold(tx: Tx, name: str) -> None:
    """Until the commit nobody else holds `name` of this tenant; reads after this see what others did under it.

    One name per kind of record: with one lock there is no order of locks to get wrong.
    """
    await tx.driver.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"{name}/{tx.context.tenant}"
    )


async def find(tx: Tx, kind: Kind[A], condition: str, value: str, holds: Callable[[A], bool]) -> list[A]:
    """Records of the tenant that `holds`, oldest first, as this command sees them: earlier changes of the commit count.

    condition: the same as `holds`, as trusted SQL over the table's columns with `$2` for `value`.
    """
    rows = await tx.driver.fetch(
        _holding(kind.table.name, condition),
        tx.context.tenant,
        value,
    )
    place = (kind.table.name, tx.context.tenant)
    near = {key[2] for key in (*tx.changed, *tx.group.seen) if key[:2] == place}
    found = [await tx.get(kind, record_id) for record_id in sorted(near | {row["record_id"] for row in rows})]
    return [record for record in found if record is not None and holds(record)]


@cache
def _holding(table: str, condition: str) -> str:
    """A fence: for an order that the primary key has already, all records of the tenant would be read."""
    holding = f"SELECT record_id FROM {table} WHERE tenant = $1 AND {condition} OFFSET 0"  # noqa: S608
    return f"SELECT record_id FROM ({holding}) AS holding ORDER BY record_id LIMIT {FOUND_MAX}"  # noqa: S608


async def find_sharing(
    tx: Tx, kind: Kind[A], values: Mapping[str, str], unlinked: str, holds: Callable[[A], bool]
) -> list[A]:
    """Records of the tenant that `holds`, without a link into the system `unlinked`, as this command sees them.

    values: by index column of the table, trusted names, what such records have in at least one of them; empty ones are
    shared with nobody.
    """
    asked = {column: value for column, value in values.items() if value}
    near = {
        key[2]
        for key, seen in {
            **tx.group.seen,
            **{key: after for key, (_, _, after) in tx.changed.items()},
        }.items()
        if key[:2] == (kind.table.name, tx.context.tenant)
        and seen is not None
        and seen.link_of(unlinked) is None
    }
    rows = (
        await tx.driver.fetch(
            _sharing(kind.table.name, tuple(asked)),
            tx.context.tenant,
            unlinked,
            kind.collection,
            *asked.values(),
        )
        if asked
        else []
    )
    wanted = sorted(near | {row["record_id"] for row in rows})
    await read_ahead(tx, [(tx.context.tenant, kind.subject(record_id)) for record_id in wanted])
    found = [await tx.get(kind, record_id) for record_id in wanted]
    return [record for record in found if record and record.link_of(unlinked) is None and holds(record)]


@cache
def _sharing(table: str, columns: tuple[str, ...]) -> str:
    """A sub-select, because PostgreSQL turns NOT EXISTS into a join that reads all links."""
    parts = (
        f"(SELECT s.record_id FROM (SELECT record_id FROM {table} WHERE tenant = $1 AND {column} = ${place}"  # noqa: S608
        f" ORDER BY record_id LIMIT {LOOKED_AT_MAX}) AS s WHERE (SELECT l.record_id FROM link l"
        " WHERE l.tenant = $1 AND l.record_id = s.record_id AND l.system = $2 AND l.kind = $3 LIMIT 1) IS NULL"
        f" LIMIT {SHARING_MAX})"
        for place, column in enumerate(columns, 4)
    )
    return " UNION ".join(parts)
