"""`POST /_sim/advance`: what warehouse and accounting do with orders. Open it for the body's shape.

    {"to": "approved" | "partly_shipped" | "shipped" | "invoiced" | "paid" | "cancelled" | "closed",
     "orders": ["<external id or internal id>", …]   or   "all": true}

Each order is taken as far as asked, through every step on the way: fulfilments with a tracking number, an invoice, a
payment, each with a number of its own. An order that is further, closed or cancelled is left alone, so a repetition
changes nothing. `cancelled` works before approval, `closed` until everything is billed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import ROUND_FLOOR, Decimal

from connectors.kit.simulator import Change, Document, JsonObject, Refusal
from connectors.netsuite.simulator import fulfilments, invoices, payments, sales_orders
from connectors.netsuite.simulator.account import Account, decimal, objects, text, texts

_STEPS = ("approved", "partly_shipped", "shipped", "invoiced", "paid")
_ENDS = ("cancelled", "closed")


def advancer(account: Account) -> Callable[[JsonObject], Awaitable[JsonObject]]:
    """The hook."""

    async def advance(body: JsonObject) -> JsonObject:
        to = text(body, "to")
        if to not in (*_STEPS, *_ENDS):
            raise Refusal(f"to must be one of {', '.join((*_STEPS, *_ENDS))}")
        ids, unknown = _wanted(account, body)
        advanced = 0
        created = {"itemFulfillment": 0, "invoice": 0, "customerPayment": 0}
        for id_ in ids:
            before = {kind: account.store.count(kind) for kind in created}
            seq = account.store.seq
            with account.store.change(counted=False) as change:
                if account.store.get("salesOrder", id_) is not None:
                    _advance_one(account, change, id_, to)
            advanced += account.store.seq > seq
            for kind in created:
                created[kind] += account.store.count(kind) - before[kind]
            await asyncio.sleep(0)  # other callers get their turn between two orders
        return {"to": to, "orders": len(ids), "advanced": advanced, "created": created, "unknown": unknown}

    return advance


def _wanted(account: Account, body: JsonObject) -> tuple[list[str], list[str]]:
    """Ids of the orders meant, oldest first when all are, and names that no order has."""
    if body.get("all") is True:
        return sorted((order.id for order in account.store.all("salesOrder")), key=int), []
    ids: list[str] = []
    unknown: list[str] = []
    for name in texts(body, "orders"):
        order = account.store.by_key("salesOrder", str(name)) or account.store.get("salesOrder", str(name))
        (unknown if order is None else ids).append(str(name) if order is None else order.id)
    if not ids and not unknown:
        raise Refusal('name "orders", or say "all": true')
    return ids, unknown


def _advance_one(account: Account, change: Change, order_id: str, to: str) -> None:
    order = account.store.get("salesOrder", order_id)
    assert order is not None
    status = text(order.body, "status")
    if to == "cancelled":
        if status == "A":
            sales_orders.cancel(change, change.edit("salesOrder", order_id))
        return
    if to == "closed":
        if status not in ("C", "G", "H"):
            sales_orders.close(change, change.edit("salesOrder", order_id))
        return
    if status in ("C", "H"):
        return
    reach = _STEPS.index(to)
    if status == "A":
        approved = change.edit("salesOrder", order_id)
        approved.body["orderStatus"] = "B"
        sales_orders.settle(change, approved)
    if to == "partly_shipped":
        _ship_half(account, change, order_id)
    if reach >= _STEPS.index("shipped"):
        _ship_rest(account, change, order_id)
    if reach >= _STEPS.index("invoiced"):
        _bill(account, change, order_id)
    if to == "paid":
        _pay(account, change, order_id)


def _current(change: Change, order_id: str) -> Document:
    order = change.get("salesOrder", order_id)
    assert order is not None
    return order


def _ship_half(account: Account, change: Change, order_id: str) -> None:
    """Half of each line, rounded down; of an order that cannot be halved so, its first line of several."""
    order = _current(change, order_id)
    lines = objects(order.body, "item")
    if any(decimal(line, "quantityFulfilled") for line in lines):
        return
    halves = [(decimal(line, "quantity") / 2).quantize(Decimal(1), ROUND_FLOOR) for line in lines]
    if not any(halves) and len(lines) > 1:
        halves[0] = decimal(lines[0], "quantity")
    if any(halves):
        chosen: list[object] = [
            {"orderLine": line["line"], "quantity": half} for line, half in zip(lines, halves, strict=True)
        ]
        _ship(account, change, order_id, chosen)


def _ship_rest(account: Account, change: Change, order_id: str) -> None:
    if any(fulfilments.remaining(change, _current(change, order_id)).values()):
        _ship(account, change, order_id, [])
    for id_ in texts(_current(change, order_id).body, sales_orders.FULFILMENTS):
        document = change.get("itemFulfillment", id_)
        if document is not None and text(document.body, "shipStatus") != fulfilments.SHIPPED:
            picked = change.edit("itemFulfillment", id_)
            fulfilments.update(account, change, picked, {"shipStatus": fulfilments.SHIPPED}, frozenset())


def _ship(account: Account, change: Change, order_id: str, lines: list[object]) -> None:
    number = change.next_number("tracking")
    package: JsonObject = {"packageTrackingNumber": f"1Z999AA1{number:010d}", "packageWeight": Decimal(1)}
    order = change.edit("salesOrder", order_id)
    fulfilments.transform(account, change, order, {"item": lines, "package": [package]}, None)


def _bill(account: Account, change: Change, order_id: str) -> None:
    if any(sales_orders.to_bill(line) for line in objects(_current(change, order_id).body, "item")):
        invoices.transform(account, change, change.edit("salesOrder", order_id), {}, None)


def _pay(account: Account, change: Change, order_id: str) -> None:
    order = _current(change, order_id)
    for id_ in texts(order.body, sales_orders.INVOICES):
        invoice = change.get("invoice", id_)
        if invoice is not None and decimal(invoice.body, "amountRemaining") > 0:
            given: JsonObject = {"customer": order.body["entity"], "apply": [{"doc": id_, "apply": True}]}
            payments.create(account, change, given, None)
