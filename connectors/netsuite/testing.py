"""The connector with its simulator, as the conformance suite wants them; open it when a promise is tested wrongly."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import cast

from google.type import decimal_pb2, money_pb2
from ordermesh.connector.v1 import change_pb2, connector_service_pb2
from ordermesh.customer.v1 import customer_pb2
from ordermesh.order.v1 import order_pb2

from connectors.kit.conformance import JsonObject, SimulatedVendor
from connectors.kit.http import Unlimited
from connectors.kit.port import Connector, Kind
from connectors.kit.simulator import serving
from connectors.netsuite import app
from connectors.netsuite.config import Settings
from connectors.netsuite.simulator.app import build
from libs.common.config import Environment
from libs.common.testing.suites.connector import NativePayload
from libs.common.testing.vendor import On

BUYER = "CUST-1"
CURRENCY = "EUR"
RECORD_TYPES = {change_pb2.KIND_ORDER: "salesOrder", change_pb2.KIND_CUSTOMER: "customer"}
MASTER_DATA: JsonObject = {
    "customers": [
        {"externalId": BUYER, "companyName": "Bergen Bruk", "currency": CURRENCY, "creditLimit": "100000"}
    ],
    "items": [
        {
            "itemId": "SKU-1",
            "displayName": "Widget",
            "prices": {CURRENCY: "12.50"},
            "quantityAvailable": 1000,
        },
        {"itemId": "SKU-2", "displayName": "Gadget", "prices": {CURRENCY: "0.10"}, "quantityAvailable": 1000},
    ],
    "taxCodes": [{"code": "S25", "rate": "25"}],
}


class NetSuiteVendor(SimulatedVendor):
    """The account, seen by its operator."""

    struck: Mapping[On, JsonObject] = {
        On.WRITE: {"method": "PUT", "path": "/services/rest/record/"},
        On.READ: {"path": "/services/rest/(record|query)/"},
    }
    _touched = 0

    async def copies(self, kind: Kind.ValueType, key: str) -> int:
        return len(await self.documents(kind=RECORD_TYPES[kind], externalId=key))

    async def touch(self, kind: Kind.ValueType, count: int) -> Sequence[str]:
        return [await self._touch_one(kind) for _ in range(count)]

    async def _touch_one(self, kind: Kind.ValueType) -> str:
        self._touched += 1
        name = f"touched-{self._touched}"
        if kind == change_pb2.KIND_CUSTOMER:
            customer = {"externalId": name, "companyName": name, "currency": CURRENCY}
            return await self._seeded("customers", name, customer)
        if kind == change_pb2.KIND_PRODUCT:
            return await self._seeded("items", name, {"itemId": name, "prices": {CURRENCY: "1"}})
        lines = [{"itemId": "SKU-1", "quantity": 2}]
        order = await self._seeded("orders", name, {"externalId": name, "customer": BUYER, "lines": lines})
        if kind == change_pb2.KIND_ORDER:
            return order
        await self.control("advance", {"to": "paid", "orders": [name]})
        invoice = await self._newest("invoice")
        return (
            invoice
            if kind == change_pb2.KIND_INVOICE
            else f"{await self._newest('customerPayment')}/{invoice}"
        )

    async def _seeded(self, part: str, name: str, record: JsonObject) -> str:
        answer = await self.control("seed", {part: [record]})
        return cast("dict[str, str]", answer[part])[name]

    async def _newest(self, record_type: str) -> str:
        return max((str(document["id"]) for document in await self.documents(kind=record_type)), key=int)


class NetSuiteTarget:
    """One account with a buyer and two items in it."""

    tenant = "acme"

    def __init__(self, url: str, vendor: NetSuiteVendor, buyer: str) -> None:
        self.vendor = vendor
        self._url = url
        self._buyer = buyer

    def build(self) -> Connector:
        settings = Settings(base_url=self._url, client_id="ordermesh", environment=Environment.DEVELOPMENT)
        return app.build(settings, budget=Unlimited())

    def change(self, kind: Kind.ValueType, key: str) -> change_pb2.Change:
        change = change_pb2.Change(kind=kind, intent=change_pb2.INTENT_UPSERT, key=key)
        if kind == change_pb2.KIND_ORDER:
            change.order.CopyFrom(an_order(key, "S25"))
            change.reference_ids[change.order.customer_id] = self._buyer
        else:
            change.customer.CopyFrom(customer_pb2.Customer(name=f"Buyer {key}", currency_code=CURRENCY))
        return change

    def refused_change(self, key: str) -> change_pb2.Change | None:
        change = self.change(change_pb2.KIND_ORDER, key)
        change.order.lines[1].tax_code = "XX-VAT-99"
        return change

    def credit_question(self) -> connector_service_pb2.CheckCreditRequest:
        amount = money_pb2.Money(currency_code=CURRENCY, units=10)
        return connector_service_pb2.CheckCreditRequest(customer_external_id=self._buyer, amount=amount)

    def availability_question(self) -> connector_service_pb2.CheckAvailabilityRequest:
        return connector_service_pb2.CheckAvailabilityRequest(lines=an_order("ord_1", "").lines)

    def price_question(self) -> connector_service_pb2.PriceLinesRequest:
        return connector_service_pb2.PriceLinesRequest(
            customer_external_id=self._buyer, currency_code=CURRENCY, lines=an_order("ord_1", "").lines
        )

    def tax_question(self) -> connector_service_pb2.CalculateTaxRequest:
        return connector_service_pb2.CalculateTaxRequest(order=an_order("ord_1", ""))

    def native_payloads(self) -> Sequence[NativePayload]:
        return ()


def an_order(key: str, tax_code: str) -> order_pb2.Order:
    price = money_pb2.Money(currency_code=CURRENCY, units=10, nanos=500_000_000)
    lines = [
        order_pb2.OrderLine(
            line_number=number,
            sku=sku,
            quantity=decimal_pb2.Decimal(value="2"),
            unit_price=price,
            tax_code=tax_code,
        )
        for number, sku in enumerate(("SKU-1", "SKU-2"), start=1)
    ]
    sold_to = order_pb2.PartyRef(customer_id="cus_1")
    return order_pb2.Order(
        order_id=key, customer_id="cus_1", sold_to=sold_to, currency_code=CURRENCY, lines=lines
    )


@asynccontextmanager
async def start() -> AsyncIterator[NetSuiteTarget]:
    """A fresh account on a free port."""
    async with AsyncExitStack() as listening:
        url = await listening.enter_async_context(serving(build()))
        async with NetSuiteVendor(url, listening.aclose) as vendor:
            seeded = await vendor.control("seed", MASTER_DATA)
            yield NetSuiteTarget(url, vendor, cast("dict[str, str]", seeded["customers"])[BUYER])
