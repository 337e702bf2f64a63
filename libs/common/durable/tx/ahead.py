"""What several commands of a commit will ask for, read or held at once. Open this file when shared commits read slowly,
or wait for each other.

One statement for each kind instead of one for each command: a commit that settles fifty deliveries would otherwise wait
fifty times for the database, and everything behind it with it.

Deliveries are held in the order of their ids. Held one by one as the commands come, two commits that share two of them
could each wait for the other's, until the database ends one of them a second later.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from libs.common.durable.probes import given_rows, lookup_statement, probe
from libs.common.durable.tx.group import Group
from libs.common.durable.tx.kind import COLUMNS, Kind
from libs.common.durable.tx.view import Tx

Asked = Sequence[tuple[Kind[Any], Sequence[tuple[str, str]]]]
"""Tenants and ids of the records to be read, by kind."""
DELIVERIES = "deliveries"
"""The collection that a delivery is a subject of."""
HOLD = (
    "SELECT delivery_id FROM delivery WHERE delivery_id = ANY($1::bigint[]) AND tenant = ANY($2::text[])"
    " AND state = 'PARKED' ORDER BY delivery_id FOR UPDATE"
)
"""What a relay has is let alone: nobody but the relay may act on it."""


async def hold_ahead(group: Group, wanted: Iterable[tuple[str, str]]) -> None:
    """Locks the parked deliveries among (tenant, subject), for commands that will lock each of them: before any command
    locks something else."""
    named = [(tenant, subject) for tenant, subject in wanted if subject.startswith(f"{DELIVERIES}/")]
    if named:
        numbers = [int(subject.removeprefix(f"{DELIVERIES}/")) for _, subject in named]
        await group.driver.execute(HOLD, numbers, list({tenant for tenant, _ in named}))


async def read_ahead(tx: Tx, wanted: Iterable[tuple[str, str]]) -> None:
    """Reads the records of (tenant, subject) that `tx` has a kind for, so that `Tx.get` finds them in the group."""
    for kind, keys in not_seen(tx, wanted):
        rows = await tx.group.driver.fetch(
            lookup_statement(kind.table.name, COLUMNS, ("tenant", "record_id")),
            [tenant for tenant, _ in keys],
            [record_id for _, record_id in keys],
        )
        see(tx, kind, keys, rows)


async def read_linked_ahead(tx: Tx, outside: Collection[tuple[str, str]]) -> None:
    """Reads the records that are linked to (system, external id), so that `Tx.get_by_link` finds them in the group.

    Of one that has no record nothing is kept: whoever looks for it may wait for a lock before, and find what has been
    made meanwhile.
    """
    systems, external_ids = zip(*outside, strict=True)
    for kind in tx.kinds.values():
        rows = await tx.group.driver.fetch(
            _linked_statement(kind.table.name), tx.context.tenant, kind.collection, systems, external_ids
        )
        see(tx, kind, (), rows)


@cache
def _linked_statement(table: str) -> str:
    asked = given_rows("asked", system="$3::text[]", external_id="$4::text[]")
    link = probe(
        "link",
        "link",
        "record_id",
        tenant="$1",
        kind="$2",
        system="asked.system",
        external_id="asked.external_id",
    )
    record = probe("found", table, COLUMNS, tenant="$1", record_id="link.record_id")
    return f"SELECT found.* FROM {asked} CROSS JOIN {link} CROSS JOIN {record}"  # noqa: S608


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
