"""Customer payments and what they settle. Open it for how money is applied to invoices."""

from decimal import Decimal

from connectors.kit.simulator import Change, Document, JsonObject
from connectors.netsuite.simulator import invoices, sales_orders
from connectors.netsuite.simulator.account import (
    Account,
    decimal,
    new_id,
    new_number,
    objects,
    put,
    text,
    today,
)
from connectors.netsuite.simulator.errors import business, invalid_value, missing_value

DEPOSITED = "C"


def create(account: Account, change: Change, given: JsonObject, key: str | None) -> Document:
    """Applies to the invoices that `apply` marks; with `autoApply` to the customer's open ones, oldest first."""
    customer = sales_orders.buyer(change, text(given, "customer"), "customer", closed_too=True)
    body: JsonObject = {
        "subsidiary": customer.body["subsidiary"],
        "currency": customer.body["currency"],
        "exchangeRate": Decimal(1),
        "tranDate": today(change.now, account.preferences),
        "status": DEPOSITED,
    }
    put(body, {name: value for name, value in given.items() if name != "apply"})
    wanted = _wanted(account, change, body, objects(given, "apply"))
    sum_wanted = sum(wanted.values(), Decimal(0))
    if body.get("payment") is None:
        body["payment"] = sum_wanted
    if decimal(body, "payment") <= 0:
        raise missing_value("Payment Amount", "payment")
    if sum_wanted > decimal(body, "payment"):
        raise business("The amount applied exceeds the payment.", "apply")
    id_ = new_id(change, "transaction")
    body.setdefault("tranId", new_number(change, "PYMT"))
    body["apply"] = [
        _applied(change, id_, line, doc, amount) for line, (doc, amount) in enumerate(wanted.items(), 1)
    ]
    body |= {
        "total": body["payment"],
        "applied": sum_wanted,
        "unapplied": decimal(body, "payment") - sum_wanted,
    }
    return change.add("customerPayment", id_, body, key=key)


def update(
    account: Account, change: Change, payment: Document, given: JsonObject, replace: frozenset[str]
) -> None:
    if given.pop("apply", None) is not None or given.pop("payment", None) is not None:
        raise business("Amounts of a customer payment cannot be changed here.", "apply")
    put(payment.body, given)


def remove(account: Account, change: Change, payment: Document) -> None:
    for line in objects(payment.body, "apply"):
        invoices.pay(change, change.edit("invoice", text(line, "doc")), -decimal(line, "amount"), payment.id)
    change.remove("customerPayment", payment.id)


def _wanted(
    account: Account, change: Change, body: JsonObject, apply: list[JsonObject]
) -> dict[str, Decimal]:
    """Invoice → amount, checked against what is open."""
    if not apply and body.get("autoApply"):
        return _oldest_first(account, text(body, "customer"), decimal(body, "payment"))
    wanted: dict[str, Decimal] = {}
    for place, line in enumerate(apply):
        path = f"apply.items[{place}]"
        if line.get("apply") is False:
            continue
        invoice = change.get("invoice", text(line, "doc"))
        if invoice is None or invoice.body["entity"] != body["customer"]:
            raise invalid_value(text(line, "doc"), "doc", f"{path}.doc")
        due = decimal(invoice.body, "amountRemaining")
        amount = decimal(line, "amount") if line.get("amount") is not None else due
        if not 0 < amount <= due:
            raise invalid_value(amount, "amount", f"{path}.amount")
        wanted[invoice.id] = amount
    return wanted


def _oldest_first(account: Account, customer_id: str, money: Decimal) -> dict[str, Decimal]:
    wanted: dict[str, Decimal] = {}
    for invoice in sorted(account.store.all("invoice"), key=lambda document: int(document.id)):
        due = decimal(invoice.body, "amountRemaining")
        if text(invoice.body, "entity") == customer_id and due > 0 and money > 0:
            wanted[invoice.id] = min(due, money)
            money -= wanted[invoice.id]
    return wanted


def _applied(change: Change, payment_id: str, line: int, invoice_id: str, amount: Decimal) -> JsonObject:
    invoice = change.edit("invoice", invoice_id)
    due = decimal(invoice.body, "amountRemaining")
    invoices.pay(change, invoice, amount, payment_id)
    body = invoice.body
    return {
        "line": line,
        "doc": invoice_id,
        "apply": True,
        "amount": amount,
        "due": due,
        "total": body["total"],
        "refNum": body["tranId"],
        "type": "Invoice",
        "applyDate": body["tranDate"],
        "dueDate": body["dueDate"],
        "currency": body["currency"],
    }
