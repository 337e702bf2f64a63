"""Rows of a feed to changes: which details are read, and what each change is called. Open it to add a kind.

Details are read for a whole page at once, after the page: they are at least as new as its rows.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

from google.protobuf.message import Message
from ordermesh.common.v1 import external_ref_pb2
from ordermesh.connector.v1 import change_pb2

from connectors.netsuite import queries
from connectors.netsuite.client import NetSuiteClient
from connectors.netsuite.mapping import customer, invoice, order, product
from connectors.netsuite.mapping.values import Row, decimal_of, utc_of
from libs.common.clock import Clock
from libs.common.wire import render_time

Told = Sequence[Sequence[change_pb2.ExternalChange]]
"""For each row the changes it stands for."""


@dataclass(frozen=True, slots=True)
class Changes:
    """One account's records as changes."""

    client: NetSuiteClient
    system: str
    zone: ZoneInfo
    clock: Clock

    async def customers(self, rows: Sequence[Row]) -> Told:
        told = []
        for row in rows:
            change = self._change(change_pb2.KIND_CUSTOMER, row, row.get("externalid", ""), customer.READ)
            change.customer.CopyFrom(customer.customer_of(row))
            told.append([_versioned(change, row["lm"], change.customer)])
        return told

    async def products(self, rows: Sequence[Row]) -> Told:
        ids = [row["id"] for row in rows]
        prices = _grouped(await self.client.query_all(queries.PRICES, ids), "item")
        available: dict[str, Decimal] = {}
        for stock in await self.client.query_all(queries.STOCK, ids):
            free = decimal_of(stock, "quantityavailable")
            available[stock["item"]] = available.get(stock["item"], Decimal(0)) + free
        told = []
        for row in rows:
            change = self._change(change_pb2.KIND_PRODUCT, row, row["itemid"], product.READ)
            record = product.product_of(row, prices.get(row["id"], []), available.get(row["id"]))
            change.product.CopyFrom(record)
            told.append([_versioned(change, row["lm"], change.product)])
        return told

    async def orders(self, rows: Sequence[Row]) -> Told:
        """Rows are orders and fulfilments; each order is told once, where it turns up last, so that times rise."""
        shipped = [row["id"] for row in rows if row["type"] == "ItemShip"]
        links = await self.client.query_all(queries.ORDERS_SHIPPED, shipped)
        order_of = {link["shipment"]: link["order_"] for link in links}
        meant = [row["id"] if row["type"] == "SalesOrd" else order_of.get(row["id"], "") for row in rows]
        ids = [id_ for id_ in dict.fromkeys(meant) if id_]
        headers = {header["id"]: header for header in await self.client.query_all(queries.ORDERS, ids)}
        shipments = _grouped(await self.client.query_all(queries.SHIPMENTS, ids), "order_")
        told: list[list[change_pb2.ExternalChange]] = []
        for id_ in reversed(meant):
            header = headers.pop(id_, None)  # absent: deleted meanwhile, or told further down
            told.append([] if header is None else [self._progress(header, shipments.get(id_, []))])
        return told[::-1]

    def _progress(self, header: Row, shipped: Sequence[Row]) -> change_pb2.ExternalChange:
        latest = max([header["lm"], *(row["lm"] for row in shipped)])
        timed = {**header, "lm": latest}
        change = self._change(change_pb2.KIND_ORDER, timed, header.get("externalid", ""), order.PROGRESS)
        change.order.CopyFrom(order.order_progress(self.system, header, shipped))
        return _versioned(change, latest, change.order)

    async def invoices(self, rows: Sequence[Row]) -> Told:
        ids = [row["id"] for row in rows]
        lines = _grouped(await self.client.query_all(queries.INVOICE_LINES, ids), "invoice")
        orders = await self.client.query_all(queries.INVOICED_ORDERS, ids)
        keys = {link["invoice"]: link["key_"] for link in orders if "key_" in link}
        told = []
        for row in rows:
            key = keys.get(row["id"], "")
            change = self._change(change_pb2.KIND_INVOICE, row, key, invoice.INVOICE)
            change.invoice.CopyFrom(invoice.invoice_of(row, lines.get(row["id"], []), key))
            told.append([_versioned(change, row["lm"], change.invoice)])
        return told

    async def payments(self, rows: Sequence[Row]) -> Told:
        """One change for each invoice that a payment is applied to."""
        applied = _grouped(
            await self.client.query_all(queries.PAID_INVOICES, [row["id"] for row in rows]), "payment"
        )
        told = []
        for row in rows:
            mine = []
            for link in applied.get(row["id"], []):
                pair = {**row, "id": f"{row['id']}/{link['invoice']}"}
                change = self._change(change_pb2.KIND_PAYMENT, pair, row.get("tranid", ""), invoice.PAYMENT)
                change.payment.CopyFrom(invoice.payment_of(self.system, row, link))
                mine.append(_versioned(change, row["lm"], change.payment))
            told.append(mine)
        return told

    def _change(
        self, kind: change_pb2.Kind.ValueType, row: Row, key: str, mapping: str
    ) -> change_pb2.ExternalChange:
        return change_pb2.ExternalChange(
            kind=kind,
            ref=external_ref_pb2.ExternalRef(system=self.system, external_id=row["id"]),
            key=key,
            changed_time=render_time(utc_of(row["lm"], self.zone, self.clock.now())),
            mapping=mapping,
        )


def _versioned(change: change_pb2.ExternalChange, changed: str, record: Message) -> change_pb2.ExternalChange:
    """The second of the change is not enough: a record can change twice in it. So the content counts too."""
    digest = hashlib.sha256(record.SerializeToString(deterministic=True)).hexdigest()
    change.version = f"{changed} {digest[:16]}"
    return change


def _grouped(rows: Iterable[Row], name: str) -> Mapping[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[name], []).append(row)
    return groups
