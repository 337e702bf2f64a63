"""The pure mappings: exact amounts, whole records, and what they refuse."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from google.type import date_pb2, decimal_pb2, money_pb2
from ordermesh.common.v1 import address_pb2
from ordermesh.connector.v1 import change_pb2
from ordermesh.customer.v1 import customer_pb2
from ordermesh.invoice.v1 import invoice_pb2
from ordermesh.order.v1 import order_pb2
from ordermesh.product.v1 import product_pb2

from connectors.kit.exact_json import dumps, loads_object
from connectors.netsuite.mapping import customer, invoice, order, product
from connectors.netsuite.mapping.values import is_ambiguous, render_address, utc_of
from libs.common.errors import Refused
from libs.common.money import money_from

NEW_YORK = ZoneInfo("America/New_York")
REFERENCES = order.References(
    customer_id="110",
    currencies={"EUR": "4"},
    items={"SKU-1": "98"},
    tax_codes={"S25": "11"},
)


def an_order() -> order_pb2.Order:
    price = money_pb2.Money(units=12, nanos=500_000_000, currency_code="EUR")
    line = order_pb2.OrderLine(
        line_number=10,
        sku="SKU-1",
        quantity=decimal_pb2.Decimal(value="2.50"),
        unit_price=price,
        tax_code="S25",
        description="Blue",
    )
    return order_pb2.Order(
        order_id="ord_1",
        purchase_order_number="PO-4711",
        currency_code="EUR",
        memo="Ring",
        requested_date=date_pb2.Date(year=2026, month=3, day=1),
        ship_to=address_pb2.Address(
            addressee="ACME", lines=["1 Main St"], postal_code="5003", country_code="NO"
        ),
        lines=[line],
    )


def test_a_sales_order_has_every_field_in_netsuites_words() -> None:
    assert loads_object(dumps(order.sales_order_v1(an_order(), REFERENCES))) == {
        "entity": {"id": "110"},
        "currency": {"id": "4"},
        "otherRefNum": "PO-4711",
        "memo": "Ring",
        "shipDate": "2026-03-01",
        "shippingAddress": {
            "addr1": "1 Main St",
            "addressee": "ACME",
            "zip": "5003",
            "country": {"id": "NO"},
        },
        "item": {
            "items": [
                {
                    "item": {"id": "98"},
                    "quantity": Decimal("2.5"),
                    "price": {"id": "-1"},
                    "rate": Decimal("12.5"),
                    "taxCode": {"id": "11"},
                    "description": "Blue",
                }
            ]
        },
    }


def test_mapping_twice_gives_the_same_bytes_and_leaves_its_input_alone() -> None:
    given = an_order()
    before = given.SerializeToString()
    assert dumps(order.sales_order_v1(given, REFERENCES)) == dumps(order.sales_order_v1(given, REFERENCES))
    assert given.SerializeToString() == before


@pytest.mark.parametrize(
    ("field", "value", "reason", "path"),
    [
        ("sku", "NOPE", "PRODUCT_UNKNOWN", "order.lines[0].sku"),
        ("tax_code", "S99", "TAX_CODE_UNKNOWN", "order.lines[0].tax_code"),
        ("quantity", decimal_pb2.Decimal(value="0"), "QUANTITY_INVALID", "order.lines[0].quantity"),
        ("quantity", decimal_pb2.Decimal(value="two"), "QUANTITY_INVALID", "order.lines[0].quantity"),
    ],
)
def test_what_netsuite_cannot_know_is_refused_at_its_field(
    field: str, value: object, reason: str, path: str
) -> None:
    given = an_order()
    given.lines[0].ClearField(field)  # type: ignore[arg-type]
    given.lines[0].MergeFrom(order_pb2.OrderLine(**{field: value}))  # type: ignore[arg-type]
    with pytest.raises(Refused) as refused:
        order.sales_order_v1(given, REFERENCES)
    assert (refused.value.reason, refused.value.violations[0].field) == (reason, path)


@pytest.mark.parametrize(
    ("netsuite", "ours"),
    [
        ("item.items[2].taxCode", "order.lines[2].tax_code"),
        ("item.items[0].ITEM", "order.lines[0].sku"),
        ("item.items[1]", "order.lines[1]"),
        ("item.items[1].location", "order.lines[1]"),
        ("entity", "order.sold_to"),
        ("shippingAddress.country", "order.ship_to"),
        ("customForm", "customForm"),
    ],
)
def test_paths_of_netsuite_become_paths_of_ours(netsuite: str, ours: str) -> None:
    assert order.field_of(netsuite) == ours


def test_an_address_of_four_lines_loses_none() -> None:
    address = address_pb2.Address(lines=["a", "b", "c", "d"])
    assert render_address(address) == {"addr1": "a", "addr2": "b", "addr3": "c, d"}


def shipped(shipment: str, line: str, quantity: str, **more: str) -> dict[str, str]:
    return {"shipment": shipment, "tranid": f"IF{shipment}", "status": "C", "line": line, "sku": "SKU-1"} | {
        "quantity": quantity,
        "shipped": "2026-03-02",
        **more,
    }


def test_progress_counts_each_line_once_and_only_what_has_left() -> None:
    rows = [
        shipped("7", "1", "-2", tracking="A"),
        shipped("7", "1", "-2", tracking="B"),  # a second package repeats the line
        shipped("7", "4", "-3", tracking="A"),
        shipped("9", "1", "-1", status="A"),  # picked, not shipped
    ]
    header = {"status": "E", "tranid": "SO1", "taxtotal": "12.5", "currency": "EUR"}
    progress = order.order_progress("netsuite", header, rows)
    assert progress.status == change_pb2.ERP_ORDER_STATUS_PARTLY_SHIPPED
    [shipment] = progress.shipments
    assert [line.quantity.value for line in shipment.lines] == ["2", "3"]
    assert (shipment.tracking_number, shipment.number, shipment.ship_date.day) == ("A, B", "IF7", 2)
    assert money_from(progress.tax_total).amount == Decimal("12.5")


def test_every_status_of_netsuite_has_a_counterpart_and_a_new_one_is_left_unset() -> None:
    assert set(order.STATUS) == set("ABCDEFGH")
    assert order.order_progress("netsuite", {"status": "Z"}, []).status == 0


def test_invoices_turn_netsuites_signs_round() -> None:
    row = {"tranid": "INV1", "status": "A", "currency": "EUR", "issued": "2026-03-01", "due": "2026-03-31"}
    row |= {"foreigntotal": "62.5", "taxtotal": "12.5", "unpaid": "60"}
    lines = [{"sku": "SKU-1", "quantity": "-4", "foreignamount": "-50"}]
    read = invoice.invoice_of(row, lines, "ord_1")
    figures = (read.net_total, read.tax_total, read.total, read.amount_due, read.lines[0].amount)
    assert [money_from(figure).amount for figure in figures] == [50, Decimal("12.5"), Decimal("62.5"), 60, 50]
    assert (read.lines[0].quantity.value, read.due_date.day, read.order_id) == ("4", 31, "ord_1")
    assert read.state == invoice_pb2.INVOICE_STATE_OPEN
    assert invoice.invoice_of(row | {"voided": "T"}, [], "").state == invoice_pb2.INVOICE_STATE_VOID


def test_a_customer_row_with_nothing_but_an_id_is_still_a_customer() -> None:
    read = customer.customer_of({"id": "110", "entityid": "C110"})
    assert (read.name, read.state) == ("C110", customer_pb2.CUSTOMER_STATE_ACTIVE)
    assert not read.HasField("credit_limit")
    assert not read.HasField("bill_to")


def test_credit_used_is_owed_and_on_order() -> None:
    row = {"entityid": "C1", "currency": "EUR", "creditlimit": "100", "balance": "30.25", "unbilled": "20"}
    read = customer.customer_of(row | {"creditholdoverride": "ON"})
    assert money_from(read.credit_used).amount == Decimal("50.25")
    assert read.credit_hold


def test_a_service_has_no_stock_and_an_inventory_item_without_any_has_none_left() -> None:
    row = {"itemid": "SKU-1", "itemtype": "InvtPart", "isinactive": "T"}
    stocked = product.product_of(row, [], None)
    assert (stocked.stocked, stocked.quantity_available.value) == (True, "0")
    assert stocked.state == product_pb2.PRODUCT_STATE_INACTIVE
    service = product.product_of({"itemid": "HELP", "itemtype": "Service"}, [], None)
    assert not service.HasField("quantity_available")


@pytest.mark.parametrize(
    ("local", "now", "expected"),
    [
        ("2026-03-01 07:00:00", "2026-03-01 12:00:05", "2026-03-01 12:00:00"),
        ("2026-07-01 08:00:00", "2026-07-01 12:00:05", "2026-07-01 12:00:00"),
        ("2026-11-01 01:30:00", "2026-11-01 05:30:10", "2026-11-01 05:30:00"),  # first run of the hour
        ("2026-11-01 01:30:00", "2026-11-01 06:30:10", "2026-11-01 06:30:00"),  # second run
    ],
)
def test_wall_clock_times_become_utc_also_when_clocks_go_back(local: str, now: str, expected: str) -> None:
    read_at = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert utc_of(local, NEW_YORK, read_at) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


def test_only_one_hour_of_the_year_is_ambiguous() -> None:
    assert is_ambiguous("2026-11-01 01:30:00", NEW_YORK)
    assert not is_ambiguous("2026-11-01 02:30:00", NEW_YORK)
    assert not is_ambiguous("2026-03-08 01:30:00", NEW_YORK)


@pytest.mark.parametrize("text", ["12.5", "0.1", "123456789012345.123456789", "-3"])
def test_amounts_are_sent_digit_for_digit(text: str) -> None:
    assert dumps({"rate": Decimal(text)}) == f'{{"rate":{text}}}'.encode()


def test_whole_amounts_have_no_exponent_and_texts_stay_texts() -> None:
    assert dumps({"rate": Decimal("1E+3"), "memo": "12.5"}) == b'{"rate":1000,"memo":"12.5"}'
    assert json.loads(dumps({"memo": '"\\u00001"'})) == {"memo": '"\\u00001"'}
