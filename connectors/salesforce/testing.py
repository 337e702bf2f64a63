"""The connector with its simulator, as the conformance suite wants them; open it when a promise is tested wrongly."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from google.type.decimal_pb2 import Decimal
from google.type.money_pb2 import Money
from ordermesh.connector.v1 import change_pb2, connector_service_pb2
from ordermesh.customer.v1 import customer_pb2
from ordermesh.invoice.v1 import invoice_pb2
from ordermesh.order.v1 import order_pb2
from ordermesh.product.v1 import product_pb2

from connectors.kit.conformance import JsonObject, SimulatedVendor
from connectors.kit.port import Connector, Kind
from connectors.kit.simulator import serving
from connectors.salesforce import app
from connectors.salesforce.config import Settings
from connectors.salesforce.simulator.app import Options
from connectors.salesforce.simulator.app import build as simulator
from libs.common.testing.suites.connector import NativePayload
from libs.common.testing.vendor import On

HELD_AS = {
    change_pb2.KIND_CUSTOMER: ("Account", "ERP_Key__c"),
    change_pb2.KIND_PRODUCT: ("Product2", "ERP_Key__c"),
    change_pb2.KIND_ORDER: ("Order", "Ordermesh_Order_Id__c"),
    change_pb2.KIND_INVOICE: ("ERP_Invoice__c", "ERP_Key__c"),
}
"""Object and field in which each kind carries our key."""


class SimulatedOrg(SimulatedVendor):
    """The org's operator and its salespeople."""

    # A new record takes two writing calls: the first finds out that it is new, the second makes it.
    struck = {On.WRITE: {"path": "/composite$", "after": 1}, On.READ: {"path": "/query"}}  # noqa: RUF012
    _touched = 0

    async def copies(self, kind: Kind.ValueType, key: str) -> int:
        sobject, field = HELD_AS[kind]
        return sum(document[field] == key for document in await self.documents(kind=sobject))

    async def touch(self, kind: Kind.ValueType, count: int) -> Sequence[str]:
        ids: list[str] = []
        for _ in range(count):
            self._touched += 1
            name = f"Touched {self._touched}"
            if kind == change_pb2.KIND_CUSTOMER:
                seeded = await self.control("seed", {"accounts": [{"Name": name, "ERP_Key__c": name}]})
                ids.append(first_id(seeded, "accounts"))
            else:
                product = {"Name": name, "ProductCode": name, "ERP_Key__c": name}
                ids.append(first_id(await self.control("seed", {"products": [product]}), "products"))
        return ids

    async def callout(self, order_id: str) -> bytes:
        """The body with which Apex would hand the Order to us."""
        answer = await self._http.get(f"/_sim/callout/order/{order_id}")
        return answer.content


class SalesforceTarget:
    """An org with an account and an order in it."""

    tenant = "acme"

    def __init__(self, settings: Settings, vendor: SimulatedOrg, seeded: JsonObject, callout: bytes) -> None:
        self.vendor = vendor
        self._settings = settings
        self._account = first_id(seeded, "accounts")
        self._order = first_id(seeded, "orders")
        self._callout = callout

    def build(self) -> Connector:
        return app.build(self._settings)

    def change(self, kind: Kind.ValueType, key: str) -> change_pb2.Change:
        change = change_pb2.Change(kind=kind, intent=change_pb2.INTENT_UPSERT, key=key)
        if kind == change_pb2.KIND_CUSTOMER:
            change.customer.CopyFrom(customer_pb2.Customer(name="Acme", number=f"N-{key}"))
        elif kind == change_pb2.KIND_PRODUCT:
            change.product.CopyFrom(product_pb2.Product(name="Rope", sku=f"S-{key}"))
            change.product.prices.add(price_book="Base", unit_price=_dollars(3))
        elif kind == change_pb2.KIND_ORDER:
            change.order.CopyFrom(_order(key))
            change.reference_ids["cus_1"] = self._account
        else:
            invoice = invoice_pb2.Invoice(number="INV1", order_id="ord_base", total=_dollars(25))
            change.invoice.CopyFrom(invoice)
            change.reference_ids["ord_base"] = self._order
        return change

    def refused_change(self, key: str) -> change_pb2.Change | None:
        """An Account needs a name."""
        nameless = customer_pb2.Customer(phone="1")
        return change_pb2.Change(
            kind=change_pb2.KIND_CUSTOMER, intent=change_pb2.INTENT_UPSERT, key=key, customer=nameless
        )

    def credit_question(self) -> connector_service_pb2.CheckCreditRequest:
        raise NotImplementedError("a sales system answers no such question")

    def availability_question(self) -> connector_service_pb2.CheckAvailabilityRequest:
        raise NotImplementedError("a sales system answers no such question")

    def price_question(self) -> connector_service_pb2.PriceLinesRequest:
        raise NotImplementedError("a sales system answers no such question")

    def tax_question(self) -> connector_service_pb2.CalculateTaxRequest:
        raise NotImplementedError("a sales system answers no such question")

    def native_payloads(self) -> Sequence[NativePayload]:
        return [NativePayload("Order", "application/json", self._callout)]


@asynccontextmanager
async def start() -> AsyncIterator[SalesforceTarget]:
    """Serves a fresh org and seeds it."""
    with TemporaryDirectory() as folder:
        secret = Path(folder) / "secret"
        secret.write_text("any", encoding="utf-8")
        async with _seeded(secret) as target:
            yield target


@asynccontextmanager
async def _seeded(secret: Path) -> AsyncIterator[SalesforceTarget]:
    async with AsyncExitStack() as listening:
        url = await listening.enter_async_context(serving(simulator(Options())))
        async with SimulatedOrg(url, listening.aclose) as vendor:
            seeded = await vendor.control("seed", MASTER_DATA)
            callout = await vendor.callout(first_id(seeded, "orders"))
            settings = Settings(base_url=url, client_id="ordermesh", client_secret_file=secret)
            yield SalesforceTarget(settings, vendor, seeded, callout)


MASTER_DATA: JsonObject = {
    "accounts": [{"Name": "Acme", "ERP_Key__c": "C-1"}],
    "products": [{"Name": "Anvil", "ProductCode": "ANVIL", "prices": {"USD": "12.50"}}],
    "orders": [
        {
            "AccountErpKey": "C-1",
            "EffectiveDate": "2026-03-04",
            "lines": [{"ProductCode": "ANVIL", "Quantity": 2, "UnitPrice": "12.34"}],
        }
    ],
}


def first_id(seeded: JsonObject, name: str) -> str:
    """Salesforce id of the first record of that sort."""
    return cast("list[dict[str, str]]", seeded[name])[0]["Id"]


def _dollars(units: int) -> Money:
    return Money(currency_code="USD", units=units)


def _order(order_id: str) -> order_pb2.Order:
    order = order_pb2.Order(
        order_id=order_id,
        customer_id="cus_1",
        currency_code="USD",
        sold_to=order_pb2.PartyRef(customer_id="cus_1"),
        state=order_pb2.ORDER_STATE_POSTED,
        erp_number="SO1",
        lines=[order_pb2.OrderLine(sku="P-1", quantity=Decimal(value="2"), unit_price=_dollars(12))],
    )
    order.create_time.FromJsonString("2026-03-04T10:00:00Z")
    order.update_time.FromJsonString("2026-03-04T10:00:01Z")
    return order
