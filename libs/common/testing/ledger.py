"""What the services' tables say of a run, as the history checker takes it. Open it to add a table to the evidence.

It reads over connections of its own, past every service: a process that remembers wrongly cannot colour it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import asyncpg

from libs.common.durable.store import schema_of
from libs.common.durable.tables import AUDIT, OPEN_STATES
from libs.common.testing.history import DeliveryRow, EventRow, History, OrderRow

SERVICES = ("order", "customer", "product", "invoice")
CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0

_ORDERS = """
SELECT o.record_id, o.state, o.audit_hash, (o.record->>'sequence')::bigint AS sequence,
       coalesce(l.external_id, '') AS erp_external_id
FROM orders o
LEFT JOIN link l ON l.tenant = o.tenant AND l.record_id = o.record_id AND l.system = $1 AND l.kind = 'orders'
ORDER BY o.record_id
"""


@dataclass(frozen=True, slots=True)
class Tables:
    """The database of a mesh."""

    host: str
    """Folder of PostgreSQL's socket."""
    database: str = "postgres"
    services: Sequence[str] = SERVICES

    async def history(self, erp: str) -> History:
        """Orders, and events, deliveries and audit of all services, each at one moment. erp: name of the ERP."""
        found = History()
        for service in self.services:
            found = await self._add(found, service, erp)
        return found

    async def open_deliveries(self) -> list[str]:
        """What a machine still has to do, in words."""
        said: list[str] = []
        query = "SELECT target, subject, state, reason, due_time FROM delivery WHERE state = ANY($1::text[]) LIMIT 100"
        for service in self.services:
            driver = await self.connect(service)
            try:
                rows = await driver.fetch(query, list(OPEN_STATES), timeout=READ_SECONDS)
            finally:
                await driver.close()
            said += [
                f"{row['subject']} {row['state']} for {row['target']} {row['reason']}".rstrip()
                for row in rows
            ]
        return said

    async def held(self, service: str) -> int:
        """Open deliveries of a service that some process holds a lease on."""
        query = "SELECT count(*) FROM delivery WHERE state = ANY($1::text[]) AND lease_id IS NOT NULL"
        driver = await self.connect(service)
        try:
            return int(await driver.fetchval(query, list(OPEN_STATES), timeout=READ_SECONDS))
        finally:
            await driver.close()

    async def order_states(self) -> dict[str, str]:
        """State of each order."""
        driver = await self.connect("order")
        try:
            rows = await driver.fetch("SELECT record_id, state FROM orders", timeout=READ_SECONDS)
        finally:
            await driver.close()
        return {row["record_id"]: row["state"] for row in rows}

    async def known_to_orders(self, crm: str) -> tuple[int, int]:
        """Customers under their id in the CRM, and products, that the order service has copies of."""
        query = "SELECT count(*) FROM reference WHERE name LIKE $1"
        driver = await self.connect("order")
        try:
            customers = await driver.fetchval(query, f"customer/{crm}/%", timeout=READ_SECONDS)
            products = await driver.fetchval(query, "product/%", timeout=READ_SECONDS)
        finally:
            await driver.close()
        return customers, products

    async def _add(self, history: History, service: str, erp: str) -> History:
        driver = await self.connect(service)
        try:
            async with driver.transaction(isolation="repeatable_read", readonly=True):
                return replace(
                    history,
                    orders=await _orders(driver, erp) if service == "order" else history.orders,
                    events=[*history.events, *await _events(driver)],
                    deliveries=[*history.deliveries, *await _deliveries(driver)],
                    audit=[*history.audit, *await _audit(driver)],
                )
        finally:
            await driver.close()

    async def connect(self, service: str) -> asyncpg.Connection:
        """A connection past the service; the caller closes it."""
        return await asyncpg.connect(
            host=self.host,
            user="postgres",
            database=self.database,
            timeout=CONNECT_SECONDS,
            server_settings={"search_path": schema_of(service), "TimeZone": "UTC"},
        )


async def _orders(driver: asyncpg.Connection, erp: str) -> list[OrderRow]:
    rows = await driver.fetch(_ORDERS, erp, timeout=READ_SECONDS)
    return [
        OrderRow(
            order_id=row["record_id"],
            state=row["state"],
            sequence=row["sequence"],
            audit_hash=row["audit_hash"],
            erp_external_id=row["erp_external_id"],
        )
        for row in rows
    ]


async def _events(driver: asyncpg.Connection) -> list[EventRow]:
    rows = await driver.fetch(
        "SELECT subject, sequence, type, data FROM event ORDER BY position", timeout=READ_SECONDS
    )
    return [EventRow(**row) for row in rows]


async def _deliveries(driver: asyncpg.Connection) -> list[DeliveryRow]:
    rows = await driver.fetch(
        "SELECT delivery_id, subject, target, state FROM delivery ORDER BY delivery_id", timeout=READ_SECONDS
    )
    return [DeliveryRow(**row) for row in rows]


async def _audit(driver: asyncpg.Connection) -> list[Mapping[str, object]]:
    """Columns that this code knows: a later release's are not under this one's seal."""
    columns = ", ".join(column.name for column in AUDIT.columns)
    query = f"SELECT {columns} FROM audit ORDER BY position"  # noqa: S608
    rows = await driver.fetch(query, timeout=READ_SECONDS)
    return [dict(row) for row in rows]
