"""The NetSuite connector against the simulated account: one key, one document; every change told; failures sorted."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import cast

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.type import date_pb2, decimal_pb2, money_pb2
from joserfc.jwk import RSAKey
from ordermesh.common.v1 import address_pb2
from ordermesh.connector.v1 import change_pb2
from ordermesh.connector.v1 import connector_service_pb2 as contract
from ordermesh.customer.v1 import customer_pb2
from ordermesh.order.v1 import order_pb2

from connectors.kit.http import Unlimited
from connectors.kit.simulator import serving
from connectors.netsuite.app import build
from connectors.netsuite.config import Settings
from connectors.netsuite.connector import NetSuite
from connectors.netsuite.simulator import app as simulator
from connectors.netsuite.simulator.auth import Integration
from libs.common.config import Environment
from libs.common.errors import NotDone, OrdermeshError, OutcomeUnknown, Refused
from libs.common.money import money_from

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


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    async with serving(simulator.build()) as url, httpx.AsyncClient(base_url=url, verify=TLS) as http:
        ids = (await http.post("/_sim/seed", json=MASTER_DATA)).json()
        settings = Settings(base_url=url, client_id="ordermesh", environment=Environment.DEVELOPMENT)
        connector = build(settings, budget=Unlimited())
        yield Account(connector, http, ids)
        await connector.close()


# Writing


async def test_an_order_is_posted_with_every_figure(account: Account) -> None:
    receipt = await account.post("ord_1")
    assert (receipt.number, receipt.mapping) == ("SO1001", "netsuite.sales_order@1")
    assert receipt.exchange.operation == "PUT /services/rest/record/v1/salesOrder/eid:ord_1"
    [order] = await account.orders()
    assert (order["id"], order["externalId"], order["total"], order["reference"]) == (
        receipt.external_id,
        "ord_1",
        "87.50",
        "PO-ord_1",
    )


async def test_one_key_is_one_document_with_its_lines_once(account: Account) -> None:
    receipts = [await account.post("ord_1") for _ in range(3)]
    assert len({receipt.external_id for receipt in receipts}) == 1
    assert [order["total"] for order in await account.orders()] == ["87.50"]


async def test_racing_posts_of_one_key_make_one_document(account: Account) -> None:
    await asyncio.gather(*(account.post("ord_1") for _ in range(5)))
    assert len(await account.orders()) == 1


async def test_lost_answers_are_in_doubt_and_found_by_key(account: Account) -> None:
    await account.fault(kind="lose_reply", method="PUT", count=0)
    with pytest.raises(OutcomeUnknown):
        await account.post("ord_1")
    await account.clear_faults()
    found = await account.connector.find_by_key(ORDER, "ord_1")
    assert found is not None
    assert found.number == "SO1001"
    assert (await account.post("ord_1")).external_id == found.external_id
    assert len(await account.orders()) == 1


async def test_a_key_that_was_never_used_is_surely_not_there(account: Account) -> None:
    assert await account.connector.find_by_key(ORDER, "ord_never") is None


@pytest.mark.parametrize(
    ("fault", "outcome", "reason"),
    [
        ({"kind": "throttle", "retryAfter": "7"}, NotDone, "SYSTEM_THROTTLED"),
        ({"kind": "unavailable"}, OutcomeUnknown, "OUTCOME_UNKNOWN"),
        ({"kind": "unavailable_after"}, OutcomeUnknown, "OUTCOME_UNKNOWN"),
        ({"kind": "reset", "count": 0}, OutcomeUnknown, "OUTCOME_UNKNOWN"),
        ({"kind": "expired_token", "count": 0}, NotDone, "SYSTEM_CREDENTIALS"),
    ],
)
async def test_a_failed_write_tells_what_is_known(
    account: Account, fault: dict[str, object], outcome: type[OrdermeshError], reason: str
) -> None:
    await account.fault(method="PUT", **fault)
    with pytest.raises(outcome) as raised:
        await account.post("ord_1")
    assert raised.value.reason == reason
    if "retryAfter" in fault:
        assert raised.value.retry_after is not None
        assert raised.value.retry_after.total_seconds() == 7


@pytest.mark.parametrize("kind", ["unavailable", "reset", "lose_reply", "throttle"])
async def test_a_failed_read_is_not_done(account: Account, kind: str) -> None:
    await account.fault(kind=kind, count=0, path="suiteql|salesOrder")
    with pytest.raises(NotDone):
        await account.connector.find_by_key(ORDER, "ord_1")
    with pytest.raises(NotDone):
        await account.read(ORDER)


async def test_an_expired_token_is_renewed_once_for_all_calls_that_wait(account: Account) -> None:
    await account.post("ord_0")
    await account.fault(kind="expired_token")
    await asyncio.gather(*(account.post(f"ord_{number}") for number in range(1, 5)))
    assert len(await account.orders()) == 5


async def test_refusals_name_reason_and_field(account: Account) -> None:
    cases = [
        ({"tax_code": "XX-VAT"}, "TAX_CODE_UNKNOWN", "order.lines[0].tax_code"),
        ({"sku": "NOPE"}, "PRODUCT_UNKNOWN", "order.lines[0].sku"),
        ({"customer_id": "cus_unknown"}, "CUSTOMER_UNKNOWN", "order.sold_to"),
    ]
    for changed, reason, field in cases:
        with pytest.raises(Refused) as refused:
            await account.post("ord_1", **changed)
        assert (refused.value.reason, refused.value.violations[0].field) == (reason, field)
    assert await account.orders() == []


async def test_a_refusal_of_netsuite_itself_keeps_its_words_and_names_our_field(account: Account) -> None:
    change = account.change(an_order("ord_1"))
    change.reference_ids["cus_77"] = account.ids["customers"]["CUST-GONE"]
    with pytest.raises(Refused) as refused:
        await account.connector.apply_change(change, "")
    assert (refused.value.reason, refused.value.violations[0].field) == ("CUSTOMER_UNKNOWN", "order.sold_to")
    assert refused.value.facts.verdict.startswith("400 INVALID_CONTENT")


async def test_a_mapping_that_is_not_kept_cannot_be_pinned(account: Account) -> None:
    await account.connector.apply_change(account.change(an_order("ord_1")), "netsuite.sales_order@1")
    with pytest.raises(Refused, match="MAPPING_FAILED"):
        await account.connector.apply_change(account.change(an_order("ord_1")), "netsuite.sales_order@99")


async def test_cancelling_closes_the_order_and_done_counts_as_done(account: Account) -> None:
    await account.post("ord_1")
    first, second = await account.cancel("ord_1"), await account.cancel("ord_1")
    assert first.external_id == second.external_id
    assert [order["status"] for order in await account.orders()] == ["H"]
    assert (await account.cancel("ord_never")).external_id == ""


async def test_an_order_whose_goods_have_left_is_not_cancelled(account: Account) -> None:
    await account.post("ord_1")
    await account.advance("partly_shipped", "ord_1")
    with pytest.raises(Refused, match="ORDER_SHIPPED"):
        await account.cancel("ord_1")


async def test_a_customer_is_made_once_and_then_only_told_what_a_sales_system_knows(account: Account) -> None:
    customer = customer_pb2.Customer(
        name="New Ltd",
        email="new@example.com",
        currency_code="EUR",
        bill_to=address_pb2.Address(lines=["1 Main St"], locality="Oslo", country_code="NO"),
    )
    change = change_pb2.Change(
        kind=CUSTOMER, intent=change_pb2.INTENT_UPSERT, key="cus_new", customer=customer
    )
    made = await account.connector.apply_change(change, "")
    change.customer.name = "Newer Ltd"
    change.external_id = made.external_id
    again = await account.connector.apply_change(change, "")
    assert (made.existed, again.existed, again.external_id) == (False, True, made.external_id)
    changes, _ = await account.read(CUSTOMER)
    told = next(item for item in changes if item.key == "cus_new").customer
    assert (told.name, told.bill_to.locality) == ("Newer Ltd", "Oslo")


# Reading


async def test_an_order_is_followed_to_paid(account: Account) -> None:
    await account.post("ord_1")
    seen, cursor = [], b""
    for to in ("", "approved", "partly_shipped", "shipped", "invoiced"):
        if to:
            await account.advance(to, "ord_1")
        changes, cursor = await account.read(ORDER, cursor)
        assert {change.key for change in changes} == {"ord_1"}
        seen.append(
            change_pb2.ErpOrderStatus.Name(changes[-1].order.status).removeprefix("ERP_ORDER_STATUS_")
        )
    assert seen == ["PENDING", "ACCEPTED", "PARTLY_SHIPPED", "SHIPPED", "INVOICED"]
    changes, _ = await account.read(ORDER)
    progress = changes[-1].order
    assert [
        [(line.sku, line.quantity.value) for line in shipment.lines] for shipment in progress.shipments
    ] == [
        [("SKU-1", "2"), ("SKU-1", "1")],
        [("SKU-1", "2"), ("SKU-1", "1")],
    ]
    assert progress.shipments[0].tracking_number == "1Z999AA10000000001"
    assert money_from(progress.tax_total).amount == Decimal("17.5")


async def test_invoices_and_payments_name_the_order_and_settle_it(account: Account) -> None:
    await account.post("ord_1")
    await account.advance("invoiced", "ord_1")
    [opened], cursor = await account.read(INVOICE)
    await account.advance("paid", "ord_1")
    [paid], _ = await account.read(INVOICE, cursor)
    [payment], _ = await account.read(PAYMENT)
    assert (opened.key, opened.invoice.order_id, opened.invoice.number) == ("ord_1", "ord_1", "INV1001")
    figures = [
        opened.invoice.net_total,
        opened.invoice.tax_total,
        opened.invoice.amount_due,
        paid.invoice.amount_due,
    ]
    assert [money_from(figure).amount for figure in figures] == [70, Decimal("17.5"), Decimal("87.5"), 0]
    assert [line.sku for line in opened.invoice.lines] == ["SKU-1", "SKU-1"]
    assert payment.payment.invoice_external_id == opened.ref.external_id
    assert money_from(payment.payment.payment.amount).amount == Decimal("87.5")


async def test_customers_and_products_come_whole(account: Account) -> None:
    customers, _ = await account.read(CUSTOMER)
    [customer] = [change.customer for change in customers if change.key == "CUST-77"]
    assert (customer.number, customer.name, customer.payment_terms) == ("CUST-77", "Bergen Bruk", "Net 30")
    assert customer.ship_to.locality == customer.bill_to.locality == "Bergen"
    assert money_from(customer.credit_limit).amount == 1000
    states = {change.key: change.customer.state for change in customers}
    assert states["CUST-GONE"] == customer_pb2.CUSTOMER_STATE_INACTIVE
    products, _ = await account.read(PRODUCT)
    found = {change.product.sku: change.product for change in products}
    assert (found["SKU-1"].unit_code, found["SKU-1"].quantity_available.value, found["SKU-1"].stocked) == (
        "EA",
        "100",
        True,
    )
    assert {price.unit_price.currency_code for price in found["HELP"].prices} == {"EUR", "USD"}
    assert not found["HELP"].HasField("quantity_available")


async def test_selling_changes_the_stock_of_a_product(account: Account) -> None:
    _, cursor = await account.read(PRODUCT)
    await account.post("ord_1")
    changes, _ = await account.read(PRODUCT, cursor)
    assert [(change.key, change.product.quantity_available.value) for change in changes] == [("SKU-1", "94")]


async def test_every_page_size_tells_everything_and_ends(account: Account) -> None:
    for number in range(7):
        await account.post(f"ord_{number}")
    for limit in (1, 2, 7, 1000):
        told, cursor = set(), b""
        for _ in range(9):
            changes, cursor = await account.read(ORDER, cursor, limit)
            assert len(changes) <= limit
            told |= {change.key for change in changes}
        assert told == {f"ord_{number}" for number in range(7)}


async def test_what_was_told_is_not_told_again_unless_it_changed(account: Account) -> None:
    await account.post("ord_1")
    await account.post("ord_2")
    _, cursor = await account.read(ORDER)
    assert await account.read(ORDER, cursor) == ([], cursor)
    await account.advance("approved", "ord_2")
    changes, cursor = await account.read(ORDER, cursor)
    assert [change.key for change in changes] == ["ord_2"]


async def test_a_cursor_of_another_process_is_told_again_rather_than_too_little(account: Account) -> None:
    await account.post("ord_1")
    _, cursor = await account.read(ORDER)
    settings = Settings(
        base_url=str(account.http.base_url), client_id="ordermesh", environment=Environment.DEVELOPMENT
    )
    other = build(settings, budget=Unlimited())
    told = [
        item.change.key async for item in other.read_changes(ORDER, cursor, 10) if item.HasField("change")
    ]
    await other.close()
    assert told == ["ord_1"]


async def test_a_row_that_turns_up_late_is_told(account: Account) -> None:
    for number in range(3):
        await account.post(f"ord_{number}")
    await account.fault(kind="out_of_order")
    first, cursor = await account.read(ORDER)
    second, _ = await account.read(ORDER, cursor)
    assert [change.key for change in first] == ["ord_0", "ord_2"]
    assert [change.key for change in second] == ["ord_1"]


async def test_a_reader_that_stops_in_the_middle_of_a_page_misses_nothing(account: Account) -> None:
    for number in range(3):
        await account.post(f"ord_{number}")
    first = await anext(aiter(account.connector.read_changes(ORDER, b"", 10)))
    changes, _ = await account.read(ORDER, first.cursor)
    assert {"ord_1", "ord_2"} <= {change.key for change in changes}


async def test_a_made_up_cursor_is_refused(account: Account) -> None:
    with pytest.raises(Refused):
        await account.read(ORDER, b"made up")


# Questions


async def test_credit_counts_what_is_owed_and_what_is_on_order(account: Account) -> None:
    async def ask(customer: str, units: int) -> contract.CheckCreditResponse:
        amount = money_pb2.Money(units=units, currency_code="EUR")
        external_id = account.ids["customers"][customer]
        return await account.connector.check_credit(
            contract.CheckCreditRequest(customer_external_id=external_id, amount=amount)
        )

    assert (await ask("CUST-77", 1000)).verdict == contract.CREDIT_VERDICT_COVERED
    await account.post("ord_1")
    over = await ask("CUST-77", 1000)
    assert over.verdict == contract.CREDIT_VERDICT_OVER_LIMIT
    assert money_from(over.available).amount == Decimal("912.5")
    await account.advance("invoiced", "ord_1")
    assert money_from((await ask("CUST-77", 1)).available).amount == Decimal("912.5")
    await account.advance("paid", "ord_1")
    assert money_from((await ask("CUST-77", 1)).available).amount == 1000
    assert (await ask("CUST-HOLD", 1)).verdict == contract.CREDIT_VERDICT_ON_HOLD
    with pytest.raises(Refused, match="CUSTOMER_INACTIVE"):
        await ask("CUST-GONE", 1)


async def test_lines_of_one_item_share_its_stock(account: Account) -> None:
    lines = [
        order_pb2.OrderLine(line_number=number, sku=sku, quantity=decimal_pb2.Decimal(value="70"))
        for number, sku in ((1, "SKU-1"), (2, "SKU-1"), (3, "HELP"))
    ]
    answer = await account.connector.check_availability(contract.CheckAvailabilityRequest(lines=lines))
    assert [line.quantity_available.value for line in answer.lines] == ["100", "30", ""]
    assert not answer.lines[2].HasField("quantity_available")
    with pytest.raises(Refused, match="PRODUCT_UNKNOWN"):
        await account.connector.check_availability(
            contract.CheckAvailabilityRequest(lines=[order_pb2.OrderLine(sku="NOPE")])
        )


async def test_prices_are_those_of_the_currency(account: Account) -> None:
    line = order_pb2.OrderLine(line_number=5, sku="HELP", quantity=decimal_pb2.Decimal(value="1"))
    request = contract.PriceLinesRequest(
        customer_external_id=account.ids["customers"]["CUST-77"], currency_code="USD", lines=[line]
    )
    answer = await account.connector.price_lines(request)
    assert [(price.line_number, money_from(price.unit_price).amount) for price in answer.lines] == [
        (5, Decimal(90))
    ]
    request.currency_code = "JPY"
    with pytest.raises(Refused, match="PRICE_INVALID"):
        await account.connector.price_lines(request)


async def test_tax_is_not_asked_for_before_posting(account: Account) -> None:
    described = await account.connector.describe()
    assert contract.QUESTION_TAX not in described.questions
    with pytest.raises(Refused, match="NOT_SUPPORTED"):
        await account.connector.calculate_tax(contract.CalculateTaxRequest())


# Login and lifetime


@pytest.mark.parametrize("form", ["pem", "jwk"])
async def test_a_key_file_logs_in_where_the_account_trusts_it(tmp_path: Path, form: str) -> None:
    secret = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = secret.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key = RSAKey.import_key(pem)
    file = tmp_path / "netsuite.key"
    file.write_text(pem.decode() if form == "pem" else json.dumps(key.as_dict(private=True)))
    trusted = Integration(client_id="ordermesh", certificate_id="cert", public_key=key)
    async with serving(simulator.build(integration=trusted)) as url:
        settings = Settings(base_url=url, client_id="ordermesh", certificate_id="cert", private_key_file=file)
        connector = build(settings, budget=Unlimited())
        assert await connector.find_by_key(ORDER, "ord_1") is None
        await connector.close()
        stranger = build(settings.model_copy(update={"client_id": "stranger"}), budget=Unlimited())
        with pytest.raises(NotDone, match="SYSTEM_CREDENTIALS"):
            await stranger.find_by_key(ORDER, "ord_1")
        await stranger.close()


async def test_an_account_that_is_not_there_is_not_done() -> None:
    settings = Settings(
        base_url="http://127.0.0.1:9", client_id="ordermesh", environment=Environment.DEVELOPMENT
    )
    connector = build(settings, budget=Unlimited())
    with pytest.raises(NotDone, match="SYSTEM_UNAVAILABLE"):
        await connector.find_by_key(ORDER, "ord_1")
    await connector.close()


def test_production_needs_a_key() -> None:
    with pytest.raises(SystemExit, match="PRIVATE_KEY_FILE"):
        build(Settings(base_url="http://127.0.0.1:9", client_id="ordermesh"))
