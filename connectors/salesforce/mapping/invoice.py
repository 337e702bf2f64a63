"""An invoice and its payments as Salesforce mirrors them, in custom objects of ordermesh's own."""

from ordermesh.connector.v1 import change_pb2
from ordermesh.invoice.v1 import invoice_pb2

from connectors.salesforce.mapping import values
from connectors.salesforce.mapping.records import Fields, Mirrors, Target, Writing

KEY_FIELD = "ERP_Key__c"
PAYMENTS_MAX = 200

PATHS = {
    "Invoice_Number__c": "invoice.number",
    "Order__c": "invoice.order_id",
    "Order__r": "invoice.order_id",
    "CurrencyIsoCode": "invoice.currency_code",
    "Status__c": "invoice.state",
    KEY_FIELD: "invoice.invoice_id",
}


def writing_from_invoice(change: change_pb2.Change, *, multicurrency: bool) -> Writing:
    """The mirror of the invoice, and one record for each payment applied to it."""
    invoice = change.invoice
    target = Target("ERP_Invoice__c", KEY_FIELD, change.key, change.external_id)
    fields: Fields = {
        "Name": values.cut(invoice.number, 80),
        "Invoice_Number__c": values.cut(invoice.number, 80),
        "Status__c": invoice_pb2.InvoiceState.Name(invoice.state).removeprefix("INVOICE_STATE_"),
        "Invoice_Date__c": values.day(invoice.issue_date),
        "Due_Date__c": values.day(invoice.due_date),
        **_amounts(invoice),
        **_order(change),
    }
    if target.record_id:
        fields[KEY_FIELD] = change.key
    if multicurrency and invoice.currency_code:
        fields["CurrencyIsoCode"] = invoice.currency_code
    payments = tuple(
        _payment(each, change, multicurrency=multicurrency) for each in invoice.payments[:PAYMENTS_MAX]
    )
    mirrors = (Mirrors("ERP_Payment__c", payments),) if payments else ()
    return Writing(target, fields, mirrors=mirrors, paths=PATHS)


def _amounts(invoice: invoice_pb2.Invoice) -> Fields:
    """Those that the ERP told."""
    fields: Fields = {}
    for name, field in (
        ("Net_Amount__c", "net_total"),
        ("Tax_Amount__c", "tax_total"),
        ("Gross_Amount__c", "total"),
        ("Open_Amount__c", "amount_due"),
    ):
        if invoice.HasField(field):  # type: ignore[arg-type]  # The stub knows the names only as literals.
            fields[name] = values.amount(getattr(invoice, field))
    if invoice.HasField("total") and invoice.HasField("amount_due"):
        fields["Paid_Amount__c"] = values.amount(invoice.total) - values.amount(invoice.amount_due)
    return fields


def _order(change: change_pb2.Change) -> Fields:
    """The Order it bills: by link, else by our id; none for an invoice that bills no order of ours."""
    order_id = change.invoice.order_id
    if not order_id:
        return {}
    linked = change.reference_ids.get(order_id, "")
    return {"Order__c": linked} if linked else {"Order__r": {"Ordermesh_Order_Id__c": order_id}}


def _payment(payment: invoice_pb2.Payment, change: change_pb2.Change, *, multicurrency: bool) -> Fields:
    """One payment may settle several invoices: the key names both."""
    key = f"{payment.ref.system}:{payment.ref.external_id or payment.number}"
    fields: Fields = {
        "ERP_Key__c": f"{change.key}:{key}"[:80],
        "Name": values.cut(payment.number, 80),
        "Payment_Number__c": values.cut(payment.number, 80),
        "Payment_Date__c": values.day(payment.payment_date),
        "Amount__c": values.amount(payment.amount),
        "Invoice__r": {KEY_FIELD: change.key},
        **_order(change),
    }
    if multicurrency and payment.amount.currency_code:
        fields["CurrencyIsoCode"] = payment.amount.currency_code
    return fields
