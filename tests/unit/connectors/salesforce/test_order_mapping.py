"""A native Order to a submission: exact, complete, or refused with the path of what is wrong."""

import json
from typing import Any

import pytest
from ordermesh.order.v1 import order_service_pb2

from connectors.salesforce.mapping.order import Sender, submission_from_order
from libs.common.errors import Refused

SENDER = Sender("salesforce")


def native(**changes: object) -> dict[str, Any]:
    """An Order as Apex sends it."""
    line = {
        "attributes": {"type": "OrderItem"},
        "Id": "802Sm0000000001",
        "OrderItemNumber": "0000000007",
        "Quantity": 3.0,
        "UnitPrice": 0.1,
        "TaxCode__c": "V19",
        "Description": "by hand",
        "Product2": {"ProductCode": "ANVIL", "ERP_Key__c": "SKU-1", "QuantityUnitOfMeasure": "Each"},
    }
    order = {
        "attributes": {"type": "Order"},
        "Id": "801Sm0000000001",
        "AccountId": "001Sm0000000001IAA",
        "Account": {"Name": "Acme", "ERP_Key__c": "C-1"},
        "EffectiveDate": "2026-03-04",
        "CurrencyIsoCode": "USD",
        "PoNumber": "PO-1",
        "Status": "Activated",
        "TotalAmount": 0.3,
        "SystemModstamp": "2026-03-04T10:00:00.000+0000",
        "OrderItems": {"totalSize": 1, "done": True, "records": [line]},
        "ShippingAddress": {
            "street": "1 Main St\nDock 2",
            "city": "Berlin",
            "postalCode": "10115",
            "country": "DE",
        },
    }
    return {**order, **changes}


def with_line(**changes: object) -> dict[str, Any]:
    line = native()["OrderItems"]["records"][0]
    return native(OrderItems={"totalSize": 1, "done": True, "records": [{**line, **changes}]})


def submitted(order: dict[str, Any], sender: Sender = SENDER) -> order_service_pb2.SubmitOrderRequest:
    return submission_from_order(json.dumps(order).encode(), sender)


def test_order_is_mapped_whole_and_exactly() -> None:
    request = submitted(native())
    order, line = request.order, request.order.lines[0]
    assert request.idempotency_key == "salesforce:order:801Sm0000000001IAA"
    assert (order.source.system, order.source.external_id) == ("salesforce", "801Sm0000000001IAA")
    assert order.sold_to.external.external_id == "001Sm0000000001IAA"
    assert (order.purchase_order_number, order.currency_code) == ("PO-1", "USD")
    assert (order.total.units, order.total.nanos) == (0, 300_000_000)
    assert (line.line_number, line.sku, line.quantity.value, line.unit_code) == (1, "SKU-1", "3", "EA")
    assert (line.unit_price.units, line.unit_price.nanos) == (0, 100_000_000)
    assert (line.tax_code, line.description, line.source_line_id) == ("V19", "by hand", "802Sm0000000001IAA")
    assert list(order.ship_to.lines) == ["1 Main St", "Dock 2"]
    assert (order.ship_to.locality, order.ship_to.country_code) == ("Berlin", "DE")
    assert (order.requested_date.year, order.requested_date.month, order.requested_date.day) == (2026, 3, 4)


def test_mapping_is_pure() -> None:
    assert submitted(native()) == submitted(native())


def test_our_own_write_back_does_not_change_the_key() -> None:
    later = native(
        SystemModstamp="2026-03-05T00:00:00.000+0000", LastModifiedDate="2026-03-05T00:00:00.000+0000"
    )
    assert submitted(later).idempotency_key == submitted(native()).idempotency_key


def test_numbers_keep_every_digit() -> None:
    payload = json.dumps(with_line(Quantity=0.123456)).replace("0.1,", "123456789.123456789,")
    line = submission_from_order(payload.encode(), SENDER).order.lines[0]
    assert line.quantity.value == "0.123456"
    assert (line.unit_price.units, line.unit_price.nanos) == (123456789, 123456789)


def test_product_code_stands_in_where_no_erp_key_is_kept() -> None:
    assert submitted(with_line(Product2={"ProductCode": "ANVIL"})).order.lines[0].sku == "ANVIL"


def test_country_without_code_becomes_the_last_line() -> None:
    order = submitted(native(ShippingAddress={"street": "1 Main St", "country": "Germany"})).order
    assert (list(order.ship_to.lines), order.ship_to.country_code) == (["1 Main St", "Germany"], "")


def test_org_with_one_currency_takes_the_configured_one() -> None:
    order = native()
    del order["CurrencyIsoCode"]
    assert submitted(order, Sender("salesforce", "EUR")).order.currency_code == "EUR"


@pytest.mark.parametrize(
    ("order", "reason", "path"),
    [
        (native(Id=None), "PAYLOAD_UNTRANSLATABLE", "Id"),
        (native(AccountId=None, Account=None), "PAYLOAD_UNTRANSLATABLE", "AccountId"),
        (native(AccountId="x"), "PAYLOAD_UNTRANSLATABLE", "AccountId"),
        (native(CurrencyIsoCode=None), "PAYLOAD_UNTRANSLATABLE", "CurrencyIsoCode"),
        (native(CurrencyIsoCode="XXX"), "CURRENCY_UNKNOWN", "CurrencyIsoCode"),
        (native(PoNumber="x" * 46), "PAYLOAD_UNTRANSLATABLE", "PoNumber"),
        (native(PoNumber=7), "PAYLOAD_UNTRANSLATABLE", "PoNumber"),
        (native(EffectiveDate="04.03.2026"), "PAYLOAD_UNTRANSLATABLE", "EffectiveDate"),
        (native(OrderItems=None), "PAYLOAD_UNTRANSLATABLE", "OrderItems.records"),
        (native(OrderItems={"records": []}), "LINES_INVALID", "OrderItems.records"),
        (
            native(OrderItems={"totalSize": 2, "done": False, "records": [{}]}),
            "PAYLOAD_UNTRANSLATABLE",
            "OrderItems.records",
        ),
        (with_line(Quantity=None), "PAYLOAD_UNTRANSLATABLE", "OrderItems.records[0].Quantity"),
        (with_line(Quantity=0), "QUANTITY_INVALID", "OrderItems.records[0].Quantity"),
        (with_line(Quantity=True), "PAYLOAD_UNTRANSLATABLE", "OrderItems.records[0].Quantity"),
        (with_line(Quantity="1e400"), "PAYLOAD_UNTRANSLATABLE", "OrderItems.records[0].Quantity"),
        (with_line(UnitPrice="a lot"), "PAYLOAD_UNTRANSLATABLE", "OrderItems.records[0].UnitPrice"),
        (with_line(UnitPrice="0.0000000001"), "PRICE_INVALID", "OrderItems.records[0].UnitPrice"),
        (with_line(Product2={}), "PAYLOAD_UNTRANSLATABLE", "OrderItems.records[0].Product2.ERP_Key__c"),
        (
            with_line(Product2={"ProductCode": "A", "QuantityUnitOfMeasure": "Bushel"}),
            "UNIT_UNKNOWN",
            "OrderItems.records[0].Product2.QuantityUnitOfMeasure",
        ),
        (native(attributes={"type": "Quote"}), "PAYLOAD_UNTRANSLATABLE", "attributes.type"),
    ],
)
def test_what_is_missing_or_unknown_is_refused_at_its_path(
    order: dict[str, Any], reason: str, path: str
) -> None:
    with pytest.raises(Refused) as refused:
        submitted(order)
    assert refused.value.reason == reason
    assert [violation.field for violation in refused.value.violations] == [path]


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[]", b"null", b'{"Id": NaN}', b"[" * 100_000])
def test_payload_that_is_no_order_at_all_is_refused(payload: bytes) -> None:
    with pytest.raises(Refused) as refused:
        submission_from_order(payload, SENDER)
    assert refused.value.reason == "PAYLOAD_UNTRANSLATABLE"
