"""Reading through the NetSuite connector: every change is told, in full, and not over and over."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from ordermesh.connector.v1 import change_pb2
from ordermesh.customer.v1 import customer_pb2

from connectors.kit.http import Unlimited
from connectors.netsuite.app import build
from connectors.netsuite.config import Settings
from libs.common.config import Environment
from libs.common.errors import Refused
from libs.common.money import money_from
from tests.contract.netsuite_connection import CUSTOMER, INVOICE, ORDER, PAYMENT, PRODUCT, Account, connected


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    async with connected() as found:
        yield found


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
    changes, cursor = await account.read(ORDER, cursor)
    assert changes == []
    await account.advance("approved", "ord_2")
    changes, cursor = await account.read(ORDER, cursor)
    assert [change.key for change in changes] == ["ord_2"]


async def test_a_cursor_is_understood_after_a_restart(account: Account) -> None:
    await account.post("ord_1")
    _, cursor = await account.read(ORDER)
    await account.post("ord_2")
    settings = Settings(
        base_url=str(account.http.base_url), client_id="ordermesh", environment=Environment.DEVELOPMENT
    )
    other = build(settings, budget=Unlimited())
    told = [
        item.change.key async for item in other.read_changes(ORDER, cursor, 10) if item.HasField("change")
    ]
    await other.close()
    assert told == ["ord_2"]


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
