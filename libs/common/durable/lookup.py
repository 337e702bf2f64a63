"""Records by something else than their id.

Open this file when a feed looks for what another feed may just be registering.
"""

from collections.abc import Callable
from typing import TypeVar

from libs.common.aggregate import Aggregate
from libs.common.durable.tx import Kind, Tx

A = TypeVar("A", bound=Aggregate)
FOUND_MAX = 100


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
        f"SELECT record_id FROM {kind.table.name}"  # noqa: S608
        f" WHERE tenant = $1 AND {condition} ORDER BY record_id LIMIT {FOUND_MAX}",
        tx.context.tenant,
        value,
    )
    place = (kind.table.name, tx.context.tenant)
    near = {key[2] for key in (*tx.changed, *tx.group.seen) if key[:2] == place}
    found = [await tx.get(kind, record_id) for record_id in sorted(near | {row["record_id"] for row in rows})]
    return [record for record in found if record is not None and holds(record)]
