"""Sales orders: saving them, and deriving status, stock and credit from what followed. Open it for order
rules.

Two fields tell the state: `orderStatus` is what a caller may set (A or B), `status` is derived from the
lines. Nothing is counted up or down: `settle` recomputes an order from its fulfilments and invoices whenever
one of them changes.
"""

from decimal import Decimal

from connectors.kit.simulator import Change, Document, JsonObject
from connectors.netsuite.simulator import customers, items
from connectors.netsuite.simulator.account import (
    BASE_PRICE_LEVEL,
    Account,
    amount_in,
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
from connectors.netsuite.simulator.errors import business, invalid_value, missing_value
from connectors.netsuite.simulator.lines import Pricing, apply_tax, complete, next_line_number

FULFILMENTS = "_fulfilments"
INVOICES = "_invoices"
_LAST_LINE = "_lastLine"
_UNBILLED = "_unbilled"
_NOTHING = Decimal(0)


def create(account: Account, change: Change, given: JsonObject, key: str | None) -> Document:
    customer = buyer(change, text(given, "entity"), "entity")
    given_lines = objects(given, "item")
    body: JsonObject = {
        "subsidiary": customer.body["subsidiary"],
        "currency": customer.body["currency"],
        "exchangeRate": Decimal(1),
        "tranDate": today(change.now, account.preferences),
        "orderStatus": account.preferences.new_order_status,
        "source": "restWebServices",
        FULFILMENTS: [],
        INVOICES: [],
    }
    if "terms" in customer.body:
        body["terms"] = customer.body["terms"]
    put(body, {name: value for name, value in given.items() if name != "item"})
    if body["currency"] != customer.body["currency"]:
        raise invalid_value(body["currency"], "currency", "currency")
    body["item"] = []
    id_ = new_id(change, "transaction")
    body.setdefault("tranId", new_number(change, "SO"))
    order = change.add("salesOrder", id_, body, key=key)
    _take_lines(change, order, given_lines, keep=False)
    settle(change, order)
    customers.refuse_over_limit(account, change, customer)
    return order


def update(
    account: Account, change: Change, order: Document, given: JsonObject, replace: frozenset[str]
) -> None:
    given_lines = given.pop("item", None)
    wanted = given.get("orderStatus")
    if wanted is not None and wanted != order.body["orderStatus"] and text(order.body, "status") not in "AB":
        raise invalid_value(wanted, "orderStatus", "orderStatus")
    if given.get("entity", order.body["entity"]) != order.body["entity"]:
        raise business("The customer of a saved order cannot be changed.", "entity")
    put(order.body, given)
    if given_lines is not None:
        _take_lines(change, order, objects({"new": given_lines}, "new"), keep="item" not in replace)
    settle(change, order)
    customers.refuse_over_limit(
        account, change, buyer(change, text(order.body, "entity"), "entity", closed_too=True)
    )


def remove(account: Account, change: Change, order: Document) -> None:
    if texts(order.body, FULFILMENTS) or texts(order.body, INVOICES):
        raise business("This record cannot be deleted because it has dependent records.")
    for line in objects(order.body, "item"):
        _release(change, line)
    customers.move_credit(change, text(order.body, "entity"), unbilled=-decimal(order.body, _UNBILLED))
    change.remove("salesOrder", order.id)


def cancel(change: Change, order: Document) -> None:
    """What the Cancel button of the user interface does; REST has no such operation."""
    order.body["_cancelled"] = True
    settle(change, order)


def close(change: Change, order: Document) -> None:
    """Closes what is still open."""
    for line in objects(order.body, "item"):
        line["isClosed"] = True
    settle(change, order)


def buyer(change: Change, customer_id: str, path: str, *, closed_too: bool = False) -> Document:
    """The customer; an inactive one cannot be chosen for something new."""
    if not customer_id:
        raise missing_value("Customer", path)
    customer = change.get("customer", customer_id)
    if customer is None or (customer.body.get("isInactive") and not closed_too):
        raise invalid_value(customer_id, path, path)
    return customer


def _take_lines(change: Change, order: Document, given: list[JsonObject], *, keep: bool) -> None:
    """Adds and changes lines; without `keep` the lines sent are all there will be.

    An element that names a line changes it, one that does not is added: sending the same lines twice doubles
    them.
    """
    old = objects(order.body, "item")
    lines = list(old) if keep else []
    if not keep:
        _refuse_if_linked(old)
        for line in old:
            _release(change, line)
    customer = change.get("customer", text(order.body, "entity"))
    level = BASE_PRICE_LEVEL if customer is None else text(customer.body, "priceLevel") or BASE_PRICE_LEVEL
    pricing = Pricing(change, text(order.body, "currency"), level)
    for place, element in enumerate(given):
        path = f"item.items[{place}]"
        line = _named_line(lines, element, path) or _new_line(order, lines)
        put(line, element | {"line": line["line"]})
        complete(line, element, pricing, path)
        _refuse_below_done(line, path)
    if not lines:
        raise business("You must enter at least one line item for this transaction.", "item")
    order.body["item"] = lines


def _new_line(order: Document, lines: list[JsonObject]) -> JsonObject:
    number = next_line_number(lines, whole(order.body, _LAST_LINE))
    line: JsonObject = {"line": number, "isClosed": False, "lineUniqueKey": f"{order.id}{number:04d}"}
    lines.append(line)
    order.body[_LAST_LINE] = number
    return line


def _named_line(lines: list[JsonObject], element: JsonObject, path: str) -> JsonObject | None:
    number = element.get("line")
    if number is None:
        return None
    for line in lines:
        if line["line"] == number:
            return line
    raise invalid_value(number, "line", f"{path}.line")


def _refuse_if_linked(lines: list[JsonObject]) -> None:
    for line in lines:
        if decimal(line, "quantityFulfilled") or decimal(line, "quantityBilled"):
            raise business("You cannot delete this line because it has been fulfilled or billed.", "item")


def _refuse_below_done(line: JsonObject, path: str) -> None:
    if decimal(line, "quantity") < max(decimal(line, "quantityFulfilled"), decimal(line, "quantityBilled")):
        raise business("The quantity cannot be less than what was fulfilled or billed.", f"{path}.quantity")


def _release(change: Change, line: JsonObject) -> None:
    item = text(line, "item")
    items.commit(change, item, _NOTHING, decimal(line, "quantityCommitted"))
    items.move_back_orders(change, item, -decimal(line, "quantityBackOrdered"))


# What follows from the lines


def settle(change: Change, order: Document) -> None:
    """Recomputes quantities, totals, status, stock reservations and credit of an order being changed."""
    body = order.body
    shipped = _follow_on_quantities(change, "itemFulfillment", texts(body, FULFILMENTS))
    billed = _follow_on_quantities(change, "invoice", texts(body, INVOICES))
    apply_tax(body, change)
    for line in objects(body, "item"):
        number = whole(line, "line")
        line["quantityFulfilled"] = shipped.get(number, _NOTHING)
        line["quantityBilled"] = billed.get(number, _NOTHING)
        _reserve(change, line)
    body["status"] = status_of(body)
    unbilled = _NOTHING if body["status"] in ("C", "H") else _unbilled(change, body)
    customers.move_credit(change, text(body, "entity"), unbilled=unbilled - decimal(body, _UNBILLED))
    body[_UNBILLED] = unbilled


def _follow_on_quantities(change: Change, kind: str, ids: list[str]) -> dict[int, Decimal]:
    """Quantity per order line over all follow-on documents; goods count once they are shipped."""
    totals: dict[int, Decimal] = {}
    for id_ in ids:
        document = change.get(kind, id_)
        assert document is not None, f"{kind} {id_} is gone"
        if document.body.get("shipStatus", "C") != "C":
            continue
        for line in objects(document.body, "item"):
            number = whole(line, "orderLine")
            totals[number] = totals.get(number, _NOTHING) + decimal(line, "quantity")
    return totals


def _reserve(change: Change, line: JsonObject) -> None:
    item = text(line, "item")
    open_quantity = max(_NOTHING, decimal(line, "quantity") - decimal(line, "quantityFulfilled"))
    wanted = _NOTHING if line.get("isClosed") else open_quantity
    granted = items.commit(change, item, wanted, decimal(line, "quantityCommitted"))
    back_ordered = wanted - granted if items.stock(change, item) is not None else _NOTHING
    items.move_back_orders(change, item, back_ordered - decimal(line, "quantityBackOrdered"))
    line["quantityCommitted"], line["quantityBackOrdered"] = granted, back_ordered
    line["isOpen"] = wanted > 0
    line["linked"] = bool(decimal(line, "quantityFulfilled") or decimal(line, "quantityBilled"))
    line["itemIsFulfilled"] = open_quantity == 0


def status_of(body: JsonObject) -> str:
    """The letter; D and E both mean partly shipped, E once billing has begun."""
    lines = objects(body, "item")
    if body.get("_cancelled"):
        return "C"
    if all(decimal(line, "quantityBilled") >= decimal(line, "quantity") for line in lines):
        return "G"
    if all(line.get("isClosed") for line in lines):
        return "H"
    billing_begun = any(decimal(line, "quantityBilled") for line in lines)
    if not billing_begun and not any(decimal(line, "quantityFulfilled") for line in lines):
        return text(body, "orderStatus")
    if any(line["isOpen"] for line in lines):
        return "E" if billing_begun else "D"
    return "F" if any(to_bill(line) for line in lines) else "G"


def to_bill(line: JsonObject) -> Decimal:
    """What has left and is not on an invoice."""
    return max(_NOTHING, decimal(line, "quantityFulfilled") - decimal(line, "quantityBilled"))


def to_ship(line: JsonObject) -> Decimal:
    if line.get("isClosed"):
        return _NOTHING
    return max(_NOTHING, decimal(line, "quantity") - decimal(line, "quantityFulfilled"))


def _unbilled(change: Change, body: JsonObject) -> Decimal:
    value = _NOTHING
    for line in objects(body, "item"):
        quantity = decimal(line, "quantity")
        rest = to_bill(line) if line.get("isClosed") else quantity - decimal(line, "quantityBilled")
        value += decimal(line, "grossAmt") * max(_NOTHING, rest) / quantity
    return amount_in(change, text(body, "currency"), value)
