"""The Salesforce connector and a simulated org behind it: what the contract tests of the connector share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
from google.type.decimal_pb2 import Decimal
from google.type.money_pb2 import Money
from ordermesh.connector.v1 import change_pb2
from ordermesh.order.v1 import order_pb2

from connectors.kit.simulator import serving
from connectors.salesforce import app
from connectors.salesforce.config import Settings
from connectors.salesforce.connector import SalesforceConnector
from connectors.salesforce.simulator.app import Options, build


@dataclass
class Mesh:
    """The connector, and the org behind it."""

    connector: SalesforceConnector
    org: httpx.AsyncClient

    async def fault(self, **fault: object) -> None:
        answer = await self.org.post("/_sim/faults", json=fault)
        assert answer.status_code == 201, answer.text

    async def ledger(self, kind: str = "Order") -> list[dict[str, Any]]:
        answer = await self.org.get("/_sim/ledger", params={"kind": kind})
        return cast(list[dict[str, Any]], answer.json()["documents"])

    async def seed(self, **body: object) -> dict[str, Any]:
        answer = await self.org.post("/_sim/seed", json=body)
        assert answer.status_code == 200, answer.text
        return cast(dict[str, Any], answer.json())

    async def handed_in(self) -> tuple[str, order_pb2.Order]:
        """An Order that a salesperson activated, and the canonical order that its callout becomes."""
        seeded = await self.seed(
            accounts=[{"Name": "Acme", "ERP_Key__c": "C-1"}],
            products=[
                {"Name": "Anvil", "ProductCode": "ANVIL", "ERP_Key__c": "P-1", "prices": {"USD": "12.50"}}
            ],
            orders=[
                {
                    "AccountErpKey": "C-1",
                    "EffectiveDate": "2026-03-04",
                    "lines": [{"ProductCode": "ANVIL", "Quantity": 2, "UnitPrice": "12.34"}],
                    "activate": True,
                }
            ],
        )
        record_id = str(seeded["orders"][0]["Id"])
        payload = (await self.org.get(f"/_sim/callout/order/{record_id}")).content
        translated = await self.connector.translate("Order", "application/json", payload)
        order = order_pb2.Order()
        order.CopyFrom(translated.submit_order.order)
        order.order_id = "ord_1"
        return record_id, order


@asynccontextmanager
async def connected(url: str, folder: Path) -> AsyncIterator[SalesforceConnector]:
    secret = folder / "secret"
    secret.write_text("s\n")
    connector = app.build(Settings(base_url=url, client_id="ordermesh", client_secret_file=secret))
    try:
        yield connector
    finally:
        await connector.close()


@asynccontextmanager
async def meshed(folder: Path) -> AsyncIterator[Mesh]:
    """A fresh org, and the connector pointed at it."""
    async with (
        serving(build(Options())) as url,
        httpx.AsyncClient(base_url=url) as org,
        connected(url, folder) as connector,
    ):
        yield Mesh(connector, org)


def an_order(state: int = order_pb2.ORDER_STATE_POSTED, second: int = 1) -> order_pb2.Order:
    """Our own order, last changed at that second."""
    order = order_pb2.Order(order_id="ord_1", currency_code="USD", erp_number="SO1")
    order.sold_to.customer_id = "cus_1"
    line = order.lines.add(sku="P-1", quantity=Decimal(value="2"))
    line.unit_price.CopyFrom(Money(currency_code="USD", units=12, nanos=340_000_000))
    order.state = cast(order_pb2.OrderState.ValueType, state)
    order.create_time.FromJsonString("2026-03-04T10:00:00Z")
    order.update_time.FromJsonString(f"2026-03-04T10:00:{second:02}Z")
    return order


async def a_change(mesh: Mesh, order: order_pb2.Order | None = None) -> change_pb2.Change:
    """The order's change, its buyer linked to a seeded Account."""
    seeded = await mesh.seed(accounts=[{"Name": "Acme", "ERP_Key__c": "C-1"}])
    order = order or an_order()
    order.customer_id = order.customer_id or "cus_1"
    change = change_pb2.Change(
        kind=change_pb2.KIND_ORDER, intent=change_pb2.INTENT_UPSERT, key=order.order_id, order=order
    )
    change.reference_ids[order.customer_id] = seeded["accounts"][0]["Id"]
    return change
