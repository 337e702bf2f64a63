"""Messages to domain and back, pure. Open this file when a field is missing on the wire."""

from google.protobuf.message import Message
from google.type.money_pb2 import Money as MoneyMessage
from ordermesh.common.v1 import external_ref_pb2
from ordermesh.connector.v1 import change_pb2
from ordermesh.invoice.v1 import invoice_events_pb2, invoice_pb2

from libs.common import money
from libs.common.errors import Refused
from libs.common.ownership import ownership_of
from libs.common.wire import link_of_change, parse_date, render_date, render_link, render_time
from services.invoice import domain
from services.invoice.commands import TakeInInvoice, TakeInPayment
from services.invoice.domain import Invoice, State

STATES = {
    invoice_pb2.INVOICE_STATE_OPEN: State.OPEN,
    invoice_pb2.INVOICE_STATE_PAID: State.PAID,
    invoice_pb2.INVOICE_STATE_VOID: State.VOID,
}
OWNERSHIP = ownership_of(invoice_pb2.Invoice.DESCRIPTOR)
ORDER_PREFIX = "ord_"
"""Of our order ids; any other key on a document is somebody else's."""


# Answers -------------------------------------------------------------------------------------------------------


def render_invoice(invoice: Invoice) -> invoice_pb2.Invoice:
    """The invoice as callers and connectors see it."""
    return invoice_pb2.Invoice(
        invoice_id=invoice.record_id,
        number=invoice.number,
        order_id=invoice.order_id,
        state=invoice_pb2.InvoiceState.ValueType(invoice.state),
        issue_date=render_date(invoice.issue_date),
        due_date=render_date(invoice.due_date),
        currency_code=invoice.currency,
        net_total=money.render_money(invoice.net_total),
        tax_total=money.render_money(invoice.tax_total),
        total=money.render_money(invoice.total),
        amount_due=money.render_money(invoice.amount_due),
        lines=[_render_line(line) for line in invoice.lines],
        payments=[_render_payment(payment) for payment in invoice.payments],
        erp=invoice.erp,
        links=[render_link(link) for link in invoice.links],
        create_time=render_time(invoice.create_time),
        update_time=render_time(invoice.update_time),
        etag=invoice.etag,
        correlation_id=invoice.correlation_id,
    )


def _render_line(line: domain.InvoiceLine) -> invoice_pb2.InvoiceLine:
    return invoice_pb2.InvoiceLine(
        sku=line.sku, quantity=money.render_decimal(line.quantity), amount=money.render_money(line.amount)
    )


def _render_payment(payment: domain.Payment) -> invoice_pb2.Payment:
    return invoice_pb2.Payment(
        ref=external_ref_pb2.ExternalRef(system=payment.system, external_id=payment.external_id),
        number=payment.number,
        amount=money.render_money(payment.amount),
        payment_date=render_date(payment.payment_date),
    )


# Events and changes --------------------------------------------------------------------------------------------


def render_event(name: str, invoice: Invoice) -> tuple[str, bytes]:
    """Full name and data of an event: each holds the invoice just after the change."""
    event_type: type[Message] = getattr(invoice_events_pb2, name)
    data = event_type(invoice=render_invoice(invoice)).SerializeToString()
    return event_type.DESCRIPTOR.full_name, data


def render_change(invoice: Invoice, external_id: str) -> change_pb2.Change:
    """What a connector is to write of an invoice."""
    return change_pb2.Change(
        kind=change_pb2.KIND_INVOICE,
        intent=change_pb2.INTENT_UPSERT,
        key=invoice.record_id,
        external_id=external_id,
        invoice=render_invoice(invoice),
    )


def parse_invoice_change(change: change_pb2.ExternalChange) -> TakeInInvoice:
    """The ERP's word on an invoice.

    Refused with MAPPING_VALUE_UNKNOWN, MAPPING_FAILED without a total, CURRENCY_UNKNOWN or CURRENCY_MIXED.
    """
    link = link_of_change(change, change.invoice.number)
    return TakeInInvoice(link, None if change.deleted else _parse_document(change))


def _parse_document(change: change_pb2.ExternalChange) -> domain.Document:
    invoice = change.invoice
    currency = invoice.currency_code
    if invoice.state not in STATES:
        raise Refused("MAPPING_VALUE_UNKNOWN", f"invoice state {invoice.state} has no counterpart")
    if currency not in money.CURRENCY_DECIMALS:
        raise Refused.field("CURRENCY_UNKNOWN", "invoice.currency_code", "is not an ISO 4217 code in use")
    if not invoice.HasField("total"):
        raise Refused.field("MAPPING_FAILED", "invoice.total", "the ERP names none")
    total = _parse_amount(invoice.total, currency, "invoice.total")
    tax = _parse_amount(invoice.tax_total, currency, "invoice.tax_total")
    net = _parse_amount(invoice.net_total, currency, "invoice.net_total")
    due = _parse_amount(invoice.amount_due, currency, "invoice.amount_due")
    key = invoice.order_id or change.key
    return domain.Document(
        number=invoice.number,
        order_id=key if key.startswith(ORDER_PREFIX) else "",
        state=STATES[invoice.state],
        currency=currency,
        net_total=net if invoice.HasField("net_total") else total - tax,
        tax_total=tax,
        total=total,
        amount_due=due if invoice.HasField("amount_due") else total,
        issue_date=parse_date(invoice.issue_date, "invoice.issue_date"),
        due_date=parse_date(invoice.due_date, "invoice.due_date"),
        lines=tuple(
            _parse_line(line, currency, f"invoice.lines[{index}]") for index, line in enumerate(invoice.lines)
        ),
        payments=tuple(_parse_payment(payment) for payment in invoice.payments),
    )


def _parse_amount(message: MoneyMessage, currency: str, path: str) -> money.Money:
    """The amount, 0 for an absent one. Refused with CURRENCY_MIXED at `path`."""
    if message.currency_code not in ("", currency):
        raise Refused.field("CURRENCY_MIXED", f"{path}.currency_code", f"the invoice is in {currency}")
    return money.Money(money.money_from(message).amount, currency)


def _parse_line(line: invoice_pb2.InvoiceLine, currency: str, path: str) -> domain.InvoiceLine:
    quantity = money.parse_decimal(line.quantity.value or "0", "QUANTITY_INVALID", f"{path}.quantity")
    return domain.InvoiceLine(line.sku, quantity, _parse_amount(line.amount, currency, f"{path}.amount"))


def parse_payment_change(change: change_pb2.ExternalChange) -> TakeInPayment:
    """The ERP's word on a payment. Refused with NOT_SUPPORTED when it is gone there: nobody says of which invoice."""
    if change.deleted:
        raise Refused(
            "NOT_SUPPORTED", f"{change.ref.system} has deleted a payment: correct its invoice there"
        )
    applied = change.payment
    return TakeInPayment(change.ref.system, applied.invoice_external_id, _parse_payment(applied.payment))


def _parse_payment(message: invoice_pb2.Payment) -> domain.Payment:
    return domain.Payment(
        system=message.ref.system,
        external_id=message.ref.external_id,
        number=message.number,
        amount=money.money_from(message.amount),
        payment_date=parse_date(message.payment_date, "payment.payment_date"),
    )
