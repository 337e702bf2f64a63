"""Invoices, from an order or on their own. Open it for what is billed and when an invoice counts as paid."""

from datetime import date, timedelta
from decimal import Decimal

from connectors.kit.simulator import Change, Document, JsonObject
from connectors.netsuite.simulator import customers, sales_orders
from connectors.netsuite.simulator.account import (
    Account,
    decimal,
    new_id,
    new_number,
    objects,
    put,
    stored_kind,
    text,
    texts,
    today,
    whole,
)
from connectors.netsuite.simulator.errors import business, invalid_value
from connectors.netsuite.simulator.fulfilments import chosen_lines
from connectors.netsuite.simulator.lines import Pricing, apply_tax, complete, next_line_number

OPEN, PAID = "A", "B"
PAYMENTS = "_payments"
_FROM_ORDER = (
    "entity",
    "subsidiary",
    "currency",
    "exchangeRate",
    "terms",
    "otherRefNum",
    "billingAddress",
    "shippingAddress",
    "location",
)


def transform(
    account: Account, change: Change, order: Document, given: JsonObject, key: str | None
) -> Document:
    """Bills what has left and is not billed; the body may leave lines out or lower quantities."""
    if text(order.body, "status") in ("A", "B", "C", "G", "H"):
        raise business(f"You can not initialize invoice: invalid reference {order.id}.")
    rest = {whole(line, "line"): sales_orders.to_bill(line) for line in objects(order.body, "item")}
    body: JsonObject = {name: order.body[name] for name in _FROM_ORDER if name in order.body}
    body["createdFrom"] = order.id
    put(body, {name: value for name, value in given.items() if name != "item"})
    ordered = {whole(line, "line"): line for line in objects(order.body, "item")}
    body["item"] = chosen_lines(order, objects(given, "item"), rest)
    for line in objects(body, "item"):
        _price_as_ordered(line, ordered[whole(line, "orderLine")])
    _keep_override_tax(body, order)
    invoice = _add(account, change, body, key)
    order.body[sales_orders.INVOICES] = [*texts(order.body, sales_orders.INVOICES), invoice.id]
    sales_orders.settle(change, order)
    return invoice


def create(account: Account, change: Change, given: JsonObject, key: str | None) -> Document:
    """An invoice without an order."""
    customer = sales_orders.buyer(change, text(given, "entity"), "entity")
    body: JsonObject = {
        "subsidiary": customer.body["subsidiary"],
        "currency": customer.body["currency"],
        "exchangeRate": Decimal(1),
    }
    if "terms" in customer.body:
        body["terms"] = customer.body["terms"]
    put(body, {name: value for name, value in given.items() if name != "item"})
    pricing = Pricing(change, text(body, "currency"), text(customer.body, "priceLevel"))
    lines: list[JsonObject] = []
    for place, element in enumerate(objects(given, "item")):
        line = element | {"line": next_line_number(lines)}
        complete(line, element, pricing, f"item.items[{place}]")
        lines.append(line)
    if not lines:
        raise business("You must enter at least one line item for this transaction.", "item")
    body["item"] = lines
    return _add(account, change, body, key)


def update(
    account: Account, change: Change, invoice: Document, given: JsonObject, replace: frozenset[str]
) -> None:
    """The header only; a wrong invoice is deleted and made again."""
    if given.pop("item", None) is not None:
        raise business("The lines of an invoice cannot be changed here.", "item")
    if given.get("entity", invoice.body["entity"]) != invoice.body["entity"]:
        raise invalid_value(given["entity"], "entity", "entity")
    put(invoice.body, given)


def remove(account: Account, change: Change, invoice: Document) -> None:
    if texts(invoice.body, PAYMENTS):
        raise business("This record cannot be deleted because it has dependent records.")
    customers.move_credit(
        change, text(invoice.body, "entity"), balance=-decimal(invoice.body, "amountRemaining")
    )
    change.remove("invoice", invoice.id)
    if text(invoice.body, "createdFrom"):
        order = change.edit("salesOrder", text(invoice.body, "createdFrom"))
        left = [id_ for id_ in texts(order.body, sales_orders.INVOICES) if id_ != invoice.id]
        order.body[sales_orders.INVOICES] = left
        sales_orders.settle(change, order)


def pay(change: Change, invoice: Document, amount: Decimal, payment_id: str) -> None:
    """Applies a payment; a negative amount takes it off again."""
    body = invoice.body
    applied = [id_ for id_ in texts(body, PAYMENTS) if id_ != payment_id]
    body[PAYMENTS] = [*applied, payment_id] if amount > 0 else applied
    body["amountPaid"] = decimal(body, "amountPaid") + amount
    body["amountRemaining"] = decimal(body, "total") - decimal(body, "amountPaid")
    body["amountRemainingTotalBox"] = body["amountRemaining"]
    body["status"] = PAID if decimal(body, "amountRemaining") <= 0 else OPEN
    customers.move_credit(change, text(body, "entity"), balance=-amount)


def _add(account: Account, change: Change, body: JsonObject, key: str | None) -> Document:
    body.setdefault("tranDate", today(change.now, account.preferences))
    term = change.get(stored_kind("term"), text(body, "terms"))
    days = 0 if term is None else whole(term.body, "daysUntilNetDue")
    due = date.fromisoformat(text(body, "tranDate")) + timedelta(days)
    body.setdefault("dueDate", due.isoformat())
    apply_tax(body, change)
    body |= {
        "amountPaid": Decimal(0),
        "amountRemaining": body["total"],
        "amountRemainingTotalBox": body["total"],
    }
    body["status"] = OPEN if decimal(body, "total") else PAID
    body[PAYMENTS] = []
    id_ = new_id(change, "transaction")
    body.setdefault("tranId", new_number(change, "INV"))
    customers.move_credit(change, text(body, "entity"), balance=decimal(body, "total"))
    return change.add("invoice", id_, body, key=key)


def _price_as_ordered(line: JsonObject, ordered: JsonObject) -> None:
    """The billed share of the ordered amount; a line billed in one piece has exactly the ordered amount."""
    for name in ("rate", "price", "description", "taxCode", "taxDetailsReference"):
        if name in ordered:
            line[name] = ordered[name]
    if decimal(line, "quantity") == decimal(ordered, "quantity"):
        line["amount"] = ordered["amount"]
    else:
        share = decimal(line, "quantity") / decimal(ordered, "quantity")
        places = decimal(ordered, "amount").as_tuple().exponent
        line["amount"] = (decimal(ordered, "amount") * share).quantize(Decimal(1).scaleb(int(places)))


def _keep_override_tax(body: JsonObject, order: Document) -> None:
    """An order that brought its own tax passes the billed share of it on."""
    if not order.body.get("taxDetailsOverride") or body.get("taxDetails"):
        return
    details: list[object] = []
    ordered = {
        text(line, "taxDetailsReference"): decimal(line, "quantity") for line in objects(order.body, "item")
    }
    billed = {text(line, "taxDetailsReference"): decimal(line, "quantity") for line in objects(body, "item")}
    for detail in objects(order.body, "taxDetails"):
        reference = text(detail, "taxDetailsReference")
        if reference in billed:
            share = billed[reference] / ordered[reference]
            details.append(detail | {"taxAmount": decimal(detail, "taxAmount") * share})
    body |= {"taxDetailsOverride": True, "taxDetails": details}
