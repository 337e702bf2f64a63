"""Invoices and payments on the wire and back."""

import pytest
from google.type.date_pb2 import Date
from google.type.decimal_pb2 import Decimal as DecimalMessage
from ordermesh.common.v1 import external_ref_pb2
from ordermesh.connector.v1 import change_pb2
from ordermesh.invoice.v1 import invoice_events_pb2, invoice_pb2

from libs.common.errors import Refused
from services.invoice import wire
from services.invoice.domain import Document, InvoiceEvent
from services.invoice.reactions import HEARS, targets
from tests.builders import a_change, erp_invoice, erp_payment, usd
from tests.unit.services.invoice.test_domain import a_new_invoice, an_invoice
from tests.unit.services.invoice.test_domain import usd as money


def document_of(change: change_pb2.ExternalChange) -> Document:
    document = wire.parse_invoice_change(change).document
    assert document is not None
    return document


def test_everything_that_the_erp_says_is_shown_again() -> None:
    change = erp_invoice("55")
    stated = invoice_pb2.Invoice(
        number="INV-1",
        order_id="ord_1",
        state=invoice_pb2.INVOICE_STATE_OPEN,
        issue_date=Date(year=2026, month=2, day=28),
        due_date=Date(year=2026, month=3, day=30),
        currency_code="USD",
        net_total=usd("100"),
        tax_total=usd("10"),
        total=usd("110"),
        amount_due=usd("50"),
        lines=[invoice_pb2.InvoiceLine(sku="BOLT", quantity=DecimalMessage(value="8"), amount=usd("100"))],
        payments=[
            invoice_pb2.Payment(
                ref=external_ref_pb2.ExternalRef(system="netsuite", external_id="9"),
                number="PAY-9",
                amount=usd("60"),
                payment_date=Date(year=2026, month=3, day=1),
            )
        ],
    )
    change.invoice.CopyFrom(stated)
    command = wire.parse_invoice_change(change)
    assert command.document is not None
    shown = wire.render_invoice(a_new_invoice().stated(command.document, command.link))
    assert (shown.invoice_id, shown.erp) == ("inv_1", "netsuite")
    for name in ("invoice_id", "erp", "links", "create_time", "update_time", "etag", "correlation_id"):
        shown.ClearField(name)
    assert shown == stated


@pytest.mark.parametrize(
    ("stamped", "key", "expected"),
    [("ord_1", "", "ord_1"), ("", "ord_2", "ord_2"), ("PO-9", "", ""), ("", "", "")],
)
def test_only_an_order_of_ours_is_kept(stamped: str, key: str, expected: str) -> None:
    change = erp_invoice("55", order_id=stamped)
    change.key = key
    assert document_of(change).order_id == expected


def test_amounts_that_the_erp_leaves_out_follow_from_the_others() -> None:
    change = erp_invoice("55")
    for name in ("net_total", "amount_due"):
        change.invoice.ClearField(name)
    document = document_of(change)
    assert (document.net_total, document.amount_due) == (money(100), money(110))
    change.invoice.ClearField("tax_total")
    document = document_of(change)
    assert (document.net_total, document.tax_total) == (money(110), money(0))


def test_a_document_that_cannot_be_understood_is_refused() -> None:
    stateless = erp_invoice("55", state=invoice_pb2.INVOICE_STATE_UNSPECIFIED)
    without_total, unknown, mixed, no_day = (erp_invoice("55") for _ in range(4))
    without_total.invoice.ClearField("total")
    unknown.invoice.currency_code = "XXX"
    mixed.invoice.lines[0].amount.currency_code = "EUR"
    no_day.invoice.due_date.CopyFrom(Date(year=2026, month=2, day=30))
    refused = {
        "MAPPING_VALUE_UNKNOWN": stateless,
        "MAPPING_FAILED": without_total,
        "CURRENCY_UNKNOWN": unknown,
        "CURRENCY_MIXED": mixed,
        "INVALID_FIELD": no_day,
    }
    for reason, change in refused.items():
        with pytest.raises(Refused, match=reason):
            wire.parse_invoice_change(change)


def test_a_deletion_says_nothing_but_that() -> None:
    assert wire.parse_invoice_change(erp_invoice("55", gone=True)).document is None


def test_a_payment_names_the_invoice_by_the_erp_s_id() -> None:
    command = wire.parse_payment_change(erp_payment("9", invoice="55", amount="60"))
    assert (command.system, command.invoice_external_id) == ("netsuite", "55")
    assert (command.payment.external_id, command.payment.amount) == ("9", money(60))
    with pytest.raises(Refused, match="NOT_SUPPORTED"):
        wire.parse_payment_change(a_change(change_pb2.KIND_PAYMENT, "9/55", gone=True))


def test_every_event_holds_the_invoice_and_has_somebody_who_hears_of_it() -> None:
    for event in InvoiceEvent:
        name, data = wire.render_event(event, an_invoice())
        assert name == f"ordermesh.invoice.v1.{event}"
        told: invoice_events_pb2.InvoiceChanged = getattr(invoice_events_pb2, event).FromString(data)
        assert told.invoice == wire.render_invoice(an_invoice())
        assert HEARS[event]


def test_the_order_service_hears_of_invoices_that_bill_an_order_of_ours() -> None:
    assert targets(InvoiceEvent.PAID, an_invoice(), ["salesforce"]) == [
        "connector:salesforce",
        "service:order",
        "stream",
    ]
    assert targets(InvoiceEvent.PAID, a_new_invoice(), []) == ["stream"]
    assert targets(InvoiceEvent.LINKED, an_invoice(), ["salesforce"]) == ["stream"]


def test_a_crm_is_told_under_our_id() -> None:
    change = wire.render_change(an_invoice(), "a01")
    assert (change.key, change.external_id, change.invoice.number) == ("inv_1", "a01", "INV-1")
