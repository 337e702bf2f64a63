"""A simulated NetSuite account with the connector that speaks to it, for the tests of the connector."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import httpx
from google.type import date_pb2, decimal_pb2, money_pb2
from ordermesh.common.v1 import address_pb2
from ordermesh.connector.v1 import change_pb2
from ordermesh.order.v1 import order_pb2

from connectors.kit.http import Unlimited
from connectors.kit.simulator import serving
from connectors.netsuite.app import build
from connectors.netsuite.config import Settings
from connectors.netsuite.connector import NetSuite
from connectors.netsuite.simulator import app as simulator
from libs.common.config import Environment

TLS = ssl.create_default_context()
ORDER, CUSTOMER, PRODUCT = change_pb2.KIND_ORDER, change_pb2.KIND_CUSTOMER, change_pb2.KIND_PRODUCT
INVOICE, PAYMENT = change_pb2.KIND_INVOICE, change_pb2.KIND_PAYMENT
ADDRESS = {"addressee": "Bergen Bruk", "addr1": "Bryggen 1", "city": "Bergen", "zip": "5003", "country": "NO"}
MASTER_DATA = {
    "customers": [
        {
            "externalId": "CUST-77",
            "entityId": "CUST-77",
            "companyName": "Bergen Bruk",
            "currency": "EUR",
            "creditLimit": "1000",
            "terms": "Net 30",
            "email": "invoices@bergen.example",
            "billTo": ADDRESS,
            "shipTo": ADDRESS,
        },
        {"externalId": "CUST-HOLD", "companyName": "Held", "currency": "EUR", "creditHoldOverride": "ON"},
        {"externalId": "CUST-GONE", "companyName": "Closed", "currency": "EUR", "inactive": True},
    ],
    "items": [
        {
            "itemId": "SKU-1",
            "displayName": "Widget",
            "unit": "EA",
            "prices": {"EUR": "12.50"},
            "quantityAvailable": 100,
        },
        {
            "itemId": "HELP",
            "displayName": "Help",
            "type": "nonInventorySaleItem",
            "prices": {"EUR": "80", "USD": "90"},
        },
    ],
    "taxCodes": [{"code": "S25", "rate": "25"}],
}


class Account:
    """One simulated account with the connector that speaks to it, and the operator's switches."""

    def __init__(self, connector: NetSuite, http: httpx.AsyncClient, ids: dict[str, dict[str, str]]) -> None:
        self.connector = connector
        self.http = http
        self.ids = ids

    def change(
        self, order: order_pb2.Order, intent: change_pb2.Intent.ValueType = change_pb2.INTENT_UPSERT
    ) -> change_pb2.Change:
        references = {"cus_77": self.ids["customers"]["CUST-77"]}
        return change_pb2.Change(
            kind=ORDER, intent=intent, key=order.order_id, reference_ids=references, order=order
        )

    async def post(self, key: str, **changed: str) -> change_pb2.Receipt:
        return await self.connector.apply_change(self.change(an_order(key, **changed)), "")

    async def cancel(self, key: str) -> change_pb2.Receipt:
        return await self.connector.apply_change(self.change(an_order(key), change_pb2.INTENT_CANCEL), "")

    async def read(
        self, kind: change_pb2.Kind.ValueType, cursor: bytes = b"", limit: int = 200
    ) -> tuple[list[change_pb2.ExternalChange], bytes]:
        changes = []
        async for item in self.connector.read_changes(kind, cursor, limit):
            cursor = item.cursor
            if item.HasField("change"):
                changes.append(item.change)
        return changes, cursor

    async def advance(self, to: str, *orders: str) -> None:
        (await self.http.post("/_sim/advance", json={"to": to, "orders": orders})).raise_for_status()

    async def fault(self, **fault: object) -> None:
        (await self.http.post("/_sim/faults", json=fault)).raise_for_status()

    async def clear_faults(self) -> None:
        await self.http.delete("/_sim/faults")

    async def calls(self) -> int:
        """Requests that NetSuite has answered so far."""
        ledger = (await self.http.get("/_sim/ledger")).json()
        return cast(int, ledger["requests"]["total"])

    async def orders(self) -> list[dict[str, object]]:
        ledger = (await self.http.get("/_sim/ledger?kind=salesOrder")).json()
        return cast(list[dict[str, object]], ledger["documents"])


def an_order(
    key: str, *, sku: str = "SKU-1", tax_code: str = "S25", customer_id: str = "cus_77"
) -> order_pb2.Order:
    """Four widgets at 12.50 and two more at 10, with tax."""

    def line(number: int, quantity: str, units: int, nanos: int) -> order_pb2.OrderLine:
        price = money_pb2.Money(units=units, nanos=nanos, currency_code="EUR")
        amount = decimal_pb2.Decimal(value=quantity)
        return order_pb2.OrderLine(
            line_number=number, sku=sku, quantity=amount, unit_price=price, tax_code=tax_code
        )

    return order_pb2.Order(
        order_id=key,
        customer_id=customer_id,
        currency_code="EUR",
        purchase_order_number=f"PO-{key}",
        memo="Ring twice",
        requested_date=date_pb2.Date(year=2026, month=3, day=10),
        ship_to=address_pb2.Address(
            addressee="Dock 3", lines=["Bryggen 1"], locality="Bergen", country_code="NO"
        ),
        lines=[line(1, "4", 12, 500_000_000), line(2, "2.0", 10, 0)],
    )


@asynccontextmanager
async def connected() -> AsyncIterator[Account]:
    async with serving(simulator.build()) as url, httpx.AsyncClient(base_url=url, verify=TLS) as http:
        ids = (await http.post("/_sim/seed", json=MASTER_DATA)).json()
        settings = Settings(base_url=url, client_id="ordermesh", environment=Environment.DEVELOPMENT)
        connector = build(settings, budget=Unlimited())
        yield Account(connector, http, ids)
        await connector.close()
