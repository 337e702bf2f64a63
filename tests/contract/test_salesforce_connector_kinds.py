"""Customers, products and invoices in Salesforce, and the reading of what its people change."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ordermesh.connector.v1 import change_pb2, connector_service_pb2
from ordermesh.customer.v1 import customer_pb2
from ordermesh.invoice.v1 import invoice_pb2
from ordermesh.product.v1 import product_pb2

from libs.common.errors import Refused
from tests.contract.salesforce_mesh import Mesh, a_change, meshed


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[Mesh]:
    async with meshed(tmp_path) as found:
        yield found


# The other kinds


async def test_customer_with_a_known_erp_number_finds_the_account_that_is_there(mesh: Mesh) -> None:
    seeded = await mesh.seed(accounts=[{"Name": "Acme", "ERP_Key__c": "C-1"}])
    change = change_pb2.Change(
        kind=change_pb2.KIND_CUSTOMER,
        intent=change_pb2.INTENT_UPSERT,
        key="C-1",
        customer=customer_pb2.Customer(name="Acme Ltd", number="C-1"),
    )
    receipt = await mesh.connector.apply_change(change, "")
    assert receipt.external_id == seeded["accounts"][0]["Id"]
    found = await mesh.connector.find_by_key(change_pb2.KIND_CUSTOMER, "C-1")
    assert found is not None
    assert found.external_id == receipt.external_id
    assert [account["Name"] for account in await mesh.ledger("Account")] == ["Acme Ltd"]


async def test_product_brings_its_standard_prices(mesh: Mesh) -> None:
    product = product_pb2.Product(sku="P-9", name="Rope", unit_code="MTR")
    product.prices.add(price_book="Base").unit_price.units = 3
    product.prices[0].unit_price.currency_code = "USD"
    change = change_pb2.Change(
        kind=change_pb2.KIND_PRODUCT, intent=change_pb2.INTENT_UPSERT, key="P-9", product=product
    )
    for price in (3, 4):
        change.product.prices[0].unit_price.units = price
        await mesh.connector.apply_change(change, "")
    counts = (await mesh.org.get("/_sim/ledger")).json()["counts"]
    assert (counts["Product2"], counts["PricebookEntry"]) == (1, 1)


async def test_invoice_and_payment_hang_on_the_order(mesh: Mesh) -> None:
    order = await mesh.connector.apply_change(await a_change(mesh), "")
    invoice = invoice_pb2.Invoice(
        number="INV1", order_id="ord_1", currency_code="USD", state=invoice_pb2.INVOICE_STATE_PAID
    )
    invoice.total.units, invoice.total.currency_code = 25, "USD"
    payment = invoice.payments.add(number="P1")
    payment.ref.system, payment.ref.external_id = "netsuite", "9"
    payment.amount.units, payment.amount.currency_code = 25, "USD"
    change = change_pb2.Change(
        kind=change_pb2.KIND_INVOICE, intent=change_pb2.INTENT_UPSERT, key="inv_1", invoice=invoice
    )
    receipt = await mesh.connector.apply_change(change, "")
    await mesh.connector.apply_change(change, "")
    (shown,) = await mesh.ledger("ERP_Invoice__c")
    (paid,) = await mesh.ledger("ERP_Payment__c")
    assert (shown["Order__c"], shown["Status__c"]) == (order.external_id, "PAID")
    assert (paid["Invoice__c"], paid["Amount__c"]) == (receipt.external_id, 25.0)


# Reading changes


async def _told(mesh: Mesh, cursor: bytes = b"") -> tuple[list[change_pb2.ExternalChange], bytes]:
    answers: list[connector_service_pb2.ReadChangesResponse] = [
        each async for each in mesh.connector.read_changes(change_pb2.KIND_CUSTOMER, cursor, 100)
    ]
    last = answers[-1].cursor if answers else cursor
    return [each.change for each in answers if each.HasField("change")], last


async def test_salespersons_edit_is_told_and_our_own_record_is_an_echo(mesh: Mesh) -> None:
    change = change_pb2.Change(
        kind=change_pb2.KIND_CUSTOMER,
        intent=change_pb2.INTENT_UPSERT,
        key="C-1",
        customer=customer_pb2.Customer(name="Acme", number="C-1"),
    )
    made = await mesh.connector.apply_change(change, "")
    (ours,), cursor = await _told(mesh)
    assert (ours.echo, ours.key, ours.ref.external_id) == (True, "C-1", made.external_id)
    edit = {"type": "Account", "id": made.external_id, "fields": {"Industry": "Mining"}}
    await mesh.org.post("/_sim/advance", json={"edits": [edit]})
    hers, _ = await _told(mesh, cursor)
    assert (hers[-1].echo, hers[-1].customer.segment) == (False, "Mining")


async def test_feed_that_repeats_or_turns_round_loses_nothing(mesh: Mesh) -> None:
    await mesh.seed(accounts=[{"Name": f"A{n}", "ERP_Key__c": f"C-{n}"} for n in range(3)])
    await mesh.fault(kind="out_of_order", path="/query")
    first, cursor = await _told(mesh)
    await mesh.fault(kind="duplicate", path="/query")
    second, _ = await _told(mesh, cursor)
    assert {change.key for change in first + second} == {"C-0", "C-1", "C-2"}


async def test_kind_without_feed_is_refused(mesh: Mesh) -> None:
    with pytest.raises(Refused) as refused:
        mesh.connector.read_changes(change_pb2.KIND_INVOICE, b"", 10)
    assert refused.value.reason == "NOT_SUPPORTED"
