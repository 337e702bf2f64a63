"""Item fulfilments: goods leaving the warehouse. Open it for how an order is shipped."""

from decimal import Decimal

from connectors.kit.simulator import Change, Document, JsonObject
from connectors.netsuite.simulator import items, sales_orders
from connectors.netsuite.simulator.account import (
    MAIN_LOCATION,
    Account,
    decimal,
    new_id,
    new_number,
    objects,
    put,
    text,
    texts,
    today,
    whole,
)
from connectors.netsuite.simulator.errors import NetSuiteError, business, invalid_value
from connectors.netsuite.simulator.lines import LINE_STEP

SHIPPED = "C"
_DAY_OF_STATUS = {"A": "pickedDate", "B": "packedDate", "C": "shippedDate"}


def refuse_create(account: Account, change: Change, given: JsonObject, key: str | None) -> Document:
    detail = "Item fulfillments are created by transforming a sales order."
    raise NetSuiteError(400, "USER_ERROR", f"Error while accessing a resource. {detail}")


def transform(
    account: Account, change: Change, order: Document, given: JsonObject, key: str | None
) -> Document:
    """Ships what is open; the body may leave lines out, lower quantities and name packages."""
    if text(order.body, "status") not in ("B", "D", "E"):
        raise business(f"You can not initialize itemFulfillment: invalid reference {order.id}.")
    body: JsonObject = {
        "entity": order.body["entity"],
        "subsidiary": order.body["subsidiary"],
        "createdFrom": order.id,
        "tranDate": today(change.now, account.preferences),
        "shipStatus": SHIPPED,
        "exchangeRate": Decimal(1),
    }
    if "shippingAddress" in order.body:
        body["shippingAddress"] = order.body["shippingAddress"]
    put(body, {name: value for name, value in given.items() if name != "item"})
    body["item"] = chosen_lines(order, objects(given, "item"), remaining(change, order))
    for line in objects(body, "item"):
        line.setdefault("location", MAIN_LOCATION)
        line["itemReceive"] = True
    id_ = new_id(change, "transaction")
    body.setdefault("tranId", new_number(change, "IF"))
    fulfilment = change.add("itemFulfillment", id_, body, key=key)
    order.body[sales_orders.FULFILMENTS] = [*texts(order.body, sales_orders.FULFILMENTS), id_]
    _book(account, change, fulfilment)
    sales_orders.settle(change, order)
    return fulfilment


def update(
    account: Account, change: Change, fulfilment: Document, given: JsonObject, replace: frozenset[str]
) -> None:
    """Header, packages, and the way from picked to shipped; the lines stay as they are."""
    if given.pop("item", None) is not None:
        raise business("The lines of an item fulfillment cannot be changed here.", "item")
    before = text(fulfilment.body, "shipStatus")
    if text(given, "shipStatus") and text(given, "shipStatus") < before:
        raise invalid_value(given["shipStatus"], "shipStatus", "shipStatus")
    put(fulfilment.body, given)
    if text(fulfilment.body, "shipStatus") != before:
        _book(account, change, fulfilment)
        sales_orders.settle(change, change.edit("salesOrder", text(fulfilment.body, "createdFrom")))


def remove(account: Account, change: Change, fulfilment: Document) -> None:
    order = change.edit("salesOrder", text(fulfilment.body, "createdFrom"))
    if text(fulfilment.body, "shipStatus") == SHIPPED:
        billed = {
            whole(line, "line"): decimal(line, "quantityBilled") for line in objects(order.body, "item")
        }
        if any(billed[whole(line, "orderLine")] for line in objects(fulfilment.body, "item")):
            raise business("This record cannot be deleted because it has dependent records.")
        for line in objects(fulfilment.body, "item"):
            items.ship(change, text(line, "item"), -decimal(line, "quantity"))
    left = [id_ for id_ in texts(order.body, sales_orders.FULFILMENTS) if id_ != fulfilment.id]
    order.body[sales_orders.FULFILMENTS] = left
    change.remove("itemFulfillment", fulfilment.id)
    sales_orders.settle(change, order)


def remaining(change: Change, order: Document) -> dict[int, Decimal]:
    """What no fulfilment holds yet, per line; goods being picked are spoken for."""
    rest = {whole(line, "line"): sales_orders.to_ship(line) for line in objects(order.body, "item")}
    for id_ in texts(order.body, sales_orders.FULFILMENTS):
        document = change.get("itemFulfillment", id_)
        if document is None or text(document.body, "shipStatus") == SHIPPED:
            continue
        for line in objects(document.body, "item"):
            rest[whole(line, "orderLine")] -= decimal(line, "quantity")
    return rest


def chosen_lines(order: Document, given: list[JsonObject], rest: dict[int, Decimal]) -> list[object]:
    """Follow-on lines: everything that rests, unless the body leaves a line out or names a smaller quantity."""
    wishes: dict[int, tuple[JsonObject, str]] = {}
    for place, wish in enumerate(given):
        path = f"item.items[{place}]"
        if whole(wish, "orderLine") not in rest:
            raise invalid_value(wish.get("orderLine"), "orderLine", f"{path}.orderLine")
        wishes[whole(wish, "orderLine")] = (wish, path)
    lines: list[object] = []
    for ordered in objects(order.body, "item"):
        number = whole(ordered, "line")
        wish, path = wishes.get(number, ({}, ""))
        quantity = decimal(wish, "quantity") if wish.get("quantity") is not None else rest[number]
        if wish.get("itemReceive") is False or quantity == 0:
            continue
        if not 0 < quantity <= rest[number]:
            raise invalid_value(quantity, "quantity", f"{path}.quantity")
        line: JsonObject = {"line": 1 + LINE_STEP * len(lines), "orderLine": number, "orderDoc": order.id}
        line |= {"item": ordered["item"], "quantity": quantity, "units": ordered["units"]}
        if wish.get("location") is not None:
            line["location"] = wish["location"]
        lines.append(line)
    if not lines:
        raise business("You must enter at least one line item for this transaction.", "item")
    return lines


def _book(account: Account, change: Change, fulfilment: Document) -> None:
    body = fulfilment.body
    body["status"] = body["shipStatus"]
    body.setdefault(_DAY_OF_STATUS[text(body, "shipStatus")], today(change.now, account.preferences))
    if text(body, "shipStatus") == SHIPPED:
        for line in objects(body, "item"):
            items.ship(change, text(line, "item"), decimal(line, "quantity"))
