"""Item lines of orders and invoices: defaults, checks, amounts and tax. Open it for how a line gets its
price.

SuiteTax computes tax at save from each line's tax code, unless the body sets `taxDetailsOverride` and brings
its own `taxDetails`, tied to lines by `taxDetailsReference`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from connectors.kit.simulator import Document, JsonObject
from connectors.netsuite.simulator.account import (
    CUSTOM_PRICE_LEVEL,
    Records,
    amount_in,
    decimal,
    find_item,
    objects,
    stored_kind,
    text,
)
from connectors.netsuite.simulator.errors import business, invalid_value, missing_value
from connectors.netsuite.simulator.items import list_price

LINE_STEP = 3
"""Line numbers are 1, 4, 7 …: in a real account they have gaps as well, and nobody may count on them."""


@dataclass(frozen=True, slots=True)
class Pricing:
    """What a line's price depends on besides its item."""

    records: Records
    currency: str
    price_level: str


def next_line_number(lines: Iterable[JsonObject], last: int = 0) -> int:
    """last: the highest number ever used in the document; numbers are not used twice."""
    numbers = [int(str(line["line"])) for line in lines] + [last]
    highest = max(numbers)
    return highest + LINE_STEP if highest else 1


def complete(line: JsonObject, given: JsonObject, pricing: Pricing, path: str) -> None:
    """Fills in what `given` left out of `line` and checks the rest. Raises NetSuiteError."""
    item = _sellable(line, pricing.records, path)
    line.setdefault("quantity", Decimal(1))
    quantity = decimal(line, "quantity")
    if quantity <= 0:
        raise business("The quantity must be greater than 0.", f"{path}.quantity")
    line["itemType"] = item.body["itemType"]
    _check_unit(line, item, pricing.records, path)
    if "amount" in given and given["amount"] is not None:
        line["amount"] = amount_in(pricing.records, pricing.currency, decimal(given, "amount"))
        if "rate" not in given:
            line["rate"] = decimal(line, "amount") / quantity
    else:
        if line.get("rate") is None:
            line["rate"] = _rate_by_level(line, item, pricing, path)
        line["amount"] = amount_in(pricing.records, pricing.currency, decimal(line, "rate") * quantity)
    line.setdefault("price", CUSTOM_PRICE_LEVEL if "rate" in given else pricing.price_level)
    line.setdefault("description", text(item.body, "salesDescription") or text(item.body, "displayName"))


def _sellable(line: JsonObject, records: Records, path: str) -> Document:
    if not text(line, "item"):
        raise missing_value("Item", f"{path}.item")
    item = find_item(records, text(line, "item"))
    if item is None or item.body.get("isInactive"):
        raise invalid_value(text(line, "item"), "item", f"{path}.item")
    return item


def _check_unit(line: JsonObject, item: Document, records: Records, path: str) -> None:
    """`units` is the id of the unit or its name; an item is sold in its sales unit only."""
    sold_in = text(item.body, "saleUnit")
    unit = records.get(stored_kind("unit"), sold_in)
    name = "" if unit is None else text(unit.body, "name")
    if text(line, "units") not in ("", sold_in, name):
        raise invalid_value(text(line, "units"), "units", f"{path}.units")
    line["units"] = sold_in


def _rate_by_level(line: JsonObject, item: Document, pricing: Pricing, path: str) -> Decimal:
    level = text(line, "price") or pricing.price_level
    price = None
    if level != CUSTOM_PRICE_LEVEL:
        price = list_price(item, pricing.currency, level, decimal(line, "quantity"))
    if price is None:
        raise missing_value("Amount", f"{path}.amount")
    return price


def apply_tax(body: JsonObject, records: Records) -> None:
    """Writes each line's tax and the document's totals. Closed lines count: closing does not change a total."""
    currency = text(body, "currency")
    lines = objects(body, "item")
    brought = _brought_tax(body) if body.get("taxDetailsOverride") else None
    subtotal = tax_total = Decimal(0)
    for line in lines:
        amount = decimal(line, "amount")
        tax_code = records.get(stored_kind("salesTaxItem"), text(line, "taxCode"))
        rate = Decimal(0) if tax_code is None else decimal(tax_code.body, "rate")
        tax = (
            brought.get(text(line, "taxDetailsReference"), Decimal(0))
            if brought is not None
            else amount * rate / 100
        )
        line["taxRate1"], line["tax1Amt"] = rate, amount_in(records, currency, tax)
        line["grossAmt"] = amount + decimal(line, "tax1Amt")
        subtotal += amount
        tax_total += decimal(line, "tax1Amt")
    shipping = amount_in(records, currency, decimal(body, "shippingCost"))
    body |= {"subtotal": subtotal, "taxTotal": tax_total, "total": subtotal + shipping + tax_total}
    body["totalAfterTaxes"] = body["total"]


def _brought_tax(body: JsonObject) -> dict[str, Decimal]:
    taxes: dict[str, Decimal] = {}
    for detail in objects(body, "taxDetails"):
        reference = text(detail, "taxDetailsReference")
        taxes[reference] = taxes.get(reference, Decimal(0)) + decimal(detail, "taxAmount")
    return taxes
