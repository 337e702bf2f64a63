"""Invoices and payments, as NetSuite wrote them. Pure."""

from collections.abc import Mapping, Sequence

from ordermesh.common.v1 import external_ref_pb2
from ordermesh.connector.v1 import change_pb2
from ordermesh.invoice.v1 import invoice_pb2

from connectors.netsuite.mapping.values import Row, date_of, decimal_of, money_of
from libs.common.money import Money, money_from, render_decimal, render_money

INVOICE = "netsuite.invoice@1"
PAYMENT = "netsuite.payment@1"

_STATES: Mapping[str, invoice_pb2.InvoiceState.ValueType] = {
    "A": invoice_pb2.INVOICE_STATE_OPEN,
    "B": invoice_pb2.INVOICE_STATE_PAID,
    "V": invoice_pb2.INVOICE_STATE_VOID,
}


def invoice_of(row: Row, lines: Sequence[Row], order_key: str) -> invoice_pb2.Invoice:
    """order_key: external id of the sales order it bills, empty for an invoice on its own.

    A status without counterpart stays unset: the service sets that one change aside, and the feed goes on.
    """
    letter = "V" if row.get("voided") == "T" else row.get("status", "")
    state = _STATES.get(letter, invoice_pb2.INVOICE_STATE_UNSPECIFIED)
    currency = row["currency"]
    total, tax = money_of(row, "foreigntotal", currency), money_of(row, "taxtotal", currency)
    return invoice_pb2.Invoice(
        number=row.get("tranid", ""),
        order_id=order_key,
        state=state,
        issue_date=date_of(row, "issued"),
        due_date=date_of(row, "due"),
        currency_code=currency,
        net_total=render_money(money_from(total) - money_from(tax)),
        tax_total=tax,
        total=total,
        amount_due=money_of(row, "unpaid", currency),
        lines=[_line(line, currency) for line in lines],
    )


def _line(row: Row, currency: str) -> invoice_pb2.InvoiceLine:
    """Sales lines carry negative quantities and amounts."""
    return invoice_pb2.InvoiceLine(
        sku=row.get("sku", ""),
        quantity=render_decimal(-decimal_of(row, "quantity")),
        amount=render_money(Money(-decimal_of(row, "foreignamount"), currency)),
    )


def payment_of(system: str, payment: Row, applied: Row) -> change_pb2.PaymentApplication:
    """payment: the document. applied: its link to one invoice."""
    return change_pb2.PaymentApplication(
        payment=invoice_pb2.Payment(
            ref=external_ref_pb2.ExternalRef(system=system, external_id=payment["id"]),
            number=payment.get("tranid", ""),
            amount=money_of(applied, "foreignamount", payment["currency"]),
            payment_date=date_of(payment, "issued"),
        ),
        invoice_external_id=applied["invoice"],
    )
