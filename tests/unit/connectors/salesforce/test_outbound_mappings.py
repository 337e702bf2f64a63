"""Canonical records to what Salesforce shows: amounts exact, keys stamped, nothing of ours overwritten by accident."""

from decimal import Decimal

import pytest
from google.type.money_pb2 import Money
from ordermesh.common.v1 import address_pb2, external_ref_pb2
from ordermesh.connector.v1 import change_pb2
from ordermesh.customer.v1 import customer_pb2
from ordermesh.invoice.v1 import invoice_pb2
from ordermesh.order.v1 import order_pb2
from ordermesh.product.v1 import product_pb2

from connectors.kit.exact_json import dumps, loads
from connectors.salesforce.mapping import customer, invoice, product, progress, values
from libs.common.errors import Refused


def dollars(units: int, nanos: int = 0) -> Money:
    return Money(currency_code="USD", units=units, nanos=nanos)


def an_order(**changes: object) -> order_pb2.Order:
    order = order_pb2.Order(
        order_id="ord_1",
        customer_id="cus_1",
        currency_code="USD",
        purchase_order_number="PO-1",
        state=order_pb2.ORDER_STATE_POSTED,
        erp_number="SO1504",
    )
    order.create_time.FromJsonString("2026-03-04T10:00:00Z")
    order.update_time.FromJsonString("2026-03-04T10:00:01.234567Z")
    for name, value in changes.items():
        setattr(order, name, value)
    return order


def change_of(order: order_pb2.Order, **more: object) -> change_pb2.Change:
    change = change_pb2.Change(
        kind=change_pb2.KIND_ORDER, intent=change_pb2.INTENT_UPSERT, key="ord_1", order=order
    )
    for name, value in more.items():
        setattr(change, name, value)
    return change


def test_order_of_ours_is_known_by_our_id_and_made_as_a_draft() -> None:
    writing = progress.writing_from_order(change_of(an_order()), "salesforce", multicurrency=True)
    assert (writing.target.key_field, writing.target.key, writing.target.record_id) == (
        "Ordermesh_Order_Id__c",
        "ord_1",
        "",
    )
    assert "Ordermesh_Order_Id__c" not in writing.fields, "a body must not hold the key it is upserted by"
    assert (writing.creating["Status"], writing.creating["EffectiveDate"]) == ("Draft", "2026-03-04")
    assert writing.waits_for == "order.sold_to", "no Account is linked yet"
    assert not {"Status", "AccountId"} & set(writing.fields), "an activated Order is closed"


def test_order_handed_in_is_known_by_its_source_and_stamped() -> None:
    order = an_order()
    order.source.system, order.source.external_id = "salesforce", "801Sm0000000001IAA"
    writing = progress.writing_from_order(change_of(order), "salesforce", multicurrency=True)
    assert writing.target.record_id == "801Sm0000000001IAA"
    assert writing.fields["Ordermesh_Order_Id__c"] == "ord_1"


@pytest.mark.parametrize(
    ("system", "record_id"), [("shop", "801Sm0000000001IAA"), ("salesforce", "0Q0Sm0000000001IAA")]
)
def test_source_that_is_no_order_of_this_org_is_not_taken_for_one(system: str, record_id: str) -> None:
    order = an_order()
    order.source.system, order.source.external_id = system, record_id
    assert (
        progress.writing_from_order(change_of(order), "salesforce", multicurrency=True).target.record_id == ""
    )


def test_buyer_is_named_by_link_before_anything_else() -> None:
    change = change_of(an_order())
    change.reference_ids["cus_1"] = "001Sm0000000001IAA"
    writing = progress.writing_from_order(change, "salesforce", multicurrency=False)
    assert (writing.creating["AccountId"], writing.waits_for) == ("001Sm0000000001IAA", "")
    assert "CurrencyIsoCode" not in writing.creating


def test_status_carries_the_time_that_orders_it() -> None:
    fields = progress.writing_from_order(change_of(an_order()), "salesforce", multicurrency=True).fields
    assert (fields["ERP_Status__c"], fields["ERP_Status_Date__c"]) == ("POSTED", "2026-03-04T10:00:01.234Z")
    assert (fields["ERP_Order_Number__c"], fields["ERP_Posted_Date__c"]) == (
        "SO1504",
        "2026-03-04T10:00:01.234Z",
    )


def test_shipments_and_invoices_are_summed_exactly_and_hung_on_the_order() -> None:
    order = an_order(state=order_pb2.ORDER_STATE_INVOICED)
    for number, quantity in (("IF1", "0.1"), ("IF2", "0.2")):
        shipment = order.shipments.add(number=number, tracking_number=f"T-{number}")
        shipment.ref.CopyFrom(external_ref_pb2.ExternalRef(system="netsuite", external_id=number))
        shipment.lines.add(sku="A").quantity.value = quantity
    for number, total, due in (
        ("INV1", dollars(10, 100_000_000), dollars(0)),
        ("INV2", dollars(5), dollars(2)),
    ):
        order.invoices.add(invoice_id=f"inv_{number}", number=number, total=total, amount_due=due)
    writing = progress.writing_from_order(change_of(order), "salesforce", multicurrency=True)
    assert writing.fields["ERP_Shipped_Quantity__c"] == Decimal("0.3")
    assert writing.fields["ERP_Tracking_Number__c"] == "T-IF1, T-IF2"
    assert writing.fields["ERP_Invoice_Number__c"] == "INV1, INV2"
    assert (writing.fields["ERP_Amount_Due__c"], writing.fields["ERP_Amount_Paid__c"]) == (
        Decimal(2),
        Decimal("13.1"),
    )
    shipments, invoices = writing.mirrors
    assert [record["ERP_Key__c"] for record in shipments.records] == ["netsuite:IF1", "netsuite:IF2"]
    assert [record["ERP_Key__c"] for record in invoices.records] == ["inv_INV1", "inv_INV2"]
    assert all(record["Order__r"] == {"Ordermesh_Order_Id__c": "ord_1"} for record in shipments.records)
    assert "Open_Amount__c" not in invoices.records[0], "only the invoice's own change writes what moves"


def test_order_without_state_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        progress.writing_from_order(
            change_of(an_order(state=order_pb2.ORDER_STATE_UNSPECIFIED)), "salesforce", multicurrency=True
        )
    assert refused.value.violations[0].field == "order.state"


def test_invoice_and_its_payments_are_keyed_by_both_documents() -> None:
    document = invoice_pb2.Invoice(
        invoice_id="inv_1",
        number="INV1",
        order_id="ord_1",
        state=invoice_pb2.INVOICE_STATE_OPEN,
        currency_code="USD",
        total=dollars(10),
        amount_due=dollars(3, 500_000_000),
    )
    payment = document.payments.add(number="P1", amount=dollars(6, 500_000_000))
    payment.ref.CopyFrom(external_ref_pb2.ExternalRef(system="netsuite", external_id="9"))
    change = change_pb2.Change(kind=change_pb2.KIND_INVOICE, key="inv_1", invoice=document)
    change.reference_ids["ord_1"] = "801Sm0000000001IAA"
    writing = invoice.writing_from_invoice(change, multicurrency=True)
    assert (writing.target.key_field, writing.target.key) == ("ERP_Key__c", "inv_1")
    assert (writing.fields["Open_Amount__c"], writing.fields["Paid_Amount__c"]) == (
        Decimal("3.5"),
        Decimal("6.5"),
    )
    assert writing.fields["Order__c"] == "801Sm0000000001IAA"
    (mirror,) = writing.mirrors
    assert mirror.records[0]["ERP_Key__c"] == "inv_1:netsuite:9"
    assert mirror.records[0]["Invoice__r"] == {"ERP_Key__c": "inv_1"}


def test_customer_is_known_by_the_key_it_is_written_under() -> None:
    record = customer_pb2.Customer(name="Acme", number="C-1", credit_hold=True, currency_code="USD")
    change = change_pb2.Change(kind=change_pb2.KIND_CUSTOMER, key="C-1", customer=record)
    writing = customer.writing_from_customer(change, multicurrency=True)
    assert (writing.target.key_field, writing.target.key) == ("ERP_Key__c", "C-1")
    assert "ERP_Key__c" not in writing.fields, "a body must not hold the key it is upserted by"
    assert writing.fields["ERP_Credit_Status__c"] == "HOLD"
    assert "CurrencyIsoCode" not in writing.fields, "an Account's currency is chosen once"


def test_linked_customer_is_known_by_its_id_and_given_the_key() -> None:
    change = change_pb2.Change(
        kind=change_pb2.KIND_CUSTOMER,
        key="C-1",
        external_id="001Sm0000000001IAA",
        customer=customer_pb2.Customer(name="Acme"),
    )
    writing = customer.writing_from_customer(change, multicurrency=True)
    assert (writing.target.record_id, writing.fields["ERP_Key__c"]) == ("001Sm0000000001IAA", "C-1")


def test_a_change_that_names_fields_writes_these_and_nothing_else() -> None:
    change = change_pb2.Change(
        kind=change_pb2.KIND_CUSTOMER,
        key="C-1",
        external_id="001Sm0000000001IAA",
        customer=customer_pb2.Customer(name="Acme", segment="Mining"),
        fields=["segment", "engagement"],
    )
    writing = customer.writing_from_customer(change, multicurrency=True)
    assert (writing.fields, writing.creating) == ({"Industry": "Mining", "Rating": None}, {})
    change.fields.append("account_owner")
    with pytest.raises(Refused, match="NOT_SUPPORTED"):
        customer.writing_from_customer(change, multicurrency=True)


def test_account_read_back_says_only_what_the_sales_side_knows() -> None:
    found = customer.customer_from_account(
        {
            "Name": "Acme",
            "ERP_Key__c": "C-1",
            "Industry": "Mining",
            "Rating": "Hot",
            "Owner": {"Name": "Ada"},
            "BillingStreet": "1 Main St",
            "BillingCountry": "DE",
            "ShippingStreet": None,
        }
    )
    assert (found.number, found.segment, found.account_owner) == ("C-1", "Mining", "Ada")
    assert found.engagement == "Hot"
    assert found.bill_to == address_pb2.Address(lines=["1 Main St"], country_code="DE")
    assert not found.HasField("ship_to")
    assert found.payment_terms == ""


def test_first_price_of_a_currency_is_the_standard_price() -> None:
    record = product_pb2.Product(sku="A")
    for book, money in (
        ("Base", dollars(3)),
        ("Retail", dollars(4)),
        ("EU", Money(currency_code="EUR", units=2)),
    ):
        record.prices.add(price_book=book, unit_price=money)
    assert product.standard_prices(record) == {"USD": Decimal(3), "EUR": Decimal(2)}


def test_decimals_travel_as_numbers_with_their_own_digits() -> None:
    assert dumps({"a": Decimal("12.50"), "b": Decimal(3)}) == b'{"a":12.50,"b":3}'
    assert loads(b'{"a":12.50,"b":3}') == {"a": Decimal("12.50"), "b": Decimal(3)}


@pytest.mark.parametrize(
    ("word", "code"), [("Each", "EA"), ("KGM", "KGM"), (" box ", "BX"), ("Bushel", None), ("TOOLONG", None)]
)
def test_unit_is_mapped_or_told_apart(word: str, code: str | None) -> None:
    assert values.unit_code(word) == code


def test_texts_are_joined_whole_or_left_out() -> None:
    assert values.joined(["a", "", "b", "a"], 10) == "a, b"
    assert values.joined(["abc", "def"], 7) == "abc"


@pytest.mark.parametrize(("key", "told"), [("", "DE815"), ("C-1", "")])
def test_only_an_account_without_the_erp_s_number_tells_its_tax_number(key: str, told: str) -> None:
    found = customer.customer_from_account({"Name": "Acme", "ERP_Key__c": key, "ERP_Tax_Number__c": "DE815"})
    assert found.tax_id == told
