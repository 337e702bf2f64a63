"""Fields the org works out when they are read: open this to change a total, a derived name or an address."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import TypeAlias

from .catalog import Field, SObject
from .catalog.fields import Scalar, Values
from .org import Transaction
from .rules import status_code

_ADDRESS_PARTS = ("city", "country", "postalCode", "state", "street")

Address: TypeAlias = dict[str, Scalar]


def value_of(tx: Transaction, sobject: SObject, field: Field, values: Values) -> Scalar:
    """The field's value as a query sees it; an address compound reads as null there."""
    if not field.computed:
        return values.get(field.name)
    work_out = _COMPUTED.get((sobject.name, field.name))
    return work_out(tx, values) if work_out else None


def address_of(field: Field, values: Values) -> Address | None:
    """The compound of an address field such as ShippingAddress; None when every part is empty."""
    prefix = field.name.removesuffix("Address")
    parts: Address = {part: values.get(prefix + part[0].upper() + part[1:]) for part in _ADDRESS_PARTS}
    if not any(parts.values()):
        return None
    return {**parts, "geocodeAccuracy": None, "latitude": None, "longitude": None}


def _number(value: Scalar) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value or 0))


def _line_total(_: Transaction, line: Values) -> Decimal:
    discount = _number(line.get("Discount"))
    return (_line_subtotal(_, line) * (1 - discount / 100)).normalize()


def _line_subtotal(_: Transaction, line: Values) -> Decimal:
    """Without trailing zeros: 2 × 12.34 and 2.0 × 12.340 are one price, and print alike."""
    return (_number(line["Quantity"]) * _number(line["UnitPrice"])).normalize()


def _list_price(tx: Transaction, line: Values) -> Scalar:
    price = tx.get("PricebookEntry", str(line["PricebookEntryId"]))
    return price["UnitPrice"] if price else None


def _sum(lines: Iterable[Decimal]) -> Decimal:
    return sum(lines, Decimal(0)).normalize()


def _order_total(tx: Transaction, order: Values) -> Decimal:
    return _sum(_line_total(tx, line) for line in tx.find("OrderItem", "OrderId", str(order["Id"])))


def _quote_lines(tx: Transaction, quote: Values) -> list[Values]:
    return tx.find("QuoteLineItem", "QuoteId", str(quote["Id"]))


def _quote_total(tx: Transaction, quote: Values) -> Decimal:
    return _sum(_line_total(tx, line) for line in _quote_lines(tx, quote))


def _quote_grand_total(tx: Transaction, quote: Values) -> Decimal:
    return _quote_total(tx, quote) + _number(quote["Tax"]) + _number(quote["ShippingHandling"])


def _quote_account(tx: Transaction, quote: Values) -> Scalar:
    opportunity = tx.get("Opportunity", str(quote["OpportunityId"]))
    return opportunity["AccountId"] if opportunity else None


def _from_product(name: str) -> Callable[[Transaction, Values], Scalar]:
    def read(tx: Transaction, price: Values) -> Scalar:
        product = tx.get("Product2", str(price["Product2Id"]))
        return product[name] if product else None

    return read


def _full_name(_: Transaction, contact: Values) -> Scalar:
    return " ".join(str(part) for part in (contact["FirstName"], contact["LastName"]) if part)


_COMPUTED: dict[tuple[str, str], Callable[[Transaction, Values], Scalar]] = {
    ("Contact", "Name"): _full_name,
    ("Opportunity", "IsClosed"): lambda _, row: str(row["StageName"]).startswith("Closed"),
    ("Opportunity", "IsWon"): lambda _, row: row["StageName"] == "Closed Won",
    ("PricebookEntry", "Name"): _from_product("Name"),
    ("PricebookEntry", "ProductCode"): _from_product("ProductCode"),
    ("Quote", "AccountId"): _quote_account,
    ("Quote", "LineItemCount"): lambda tx, quote: len(_quote_lines(tx, quote)),
    ("Quote", "Subtotal"): lambda tx, quote: _sum(_line_subtotal(tx, row) for row in _quote_lines(tx, quote)),
    ("Quote", "TotalPrice"): _quote_total,
    ("Quote", "GrandTotal"): _quote_grand_total,
    ("QuoteLineItem", "ListPrice"): _list_price,
    ("QuoteLineItem", "Subtotal"): _line_subtotal,
    ("QuoteLineItem", "TotalPrice"): _line_total,
    ("Order", "StatusCode"): lambda _, order: status_code(order),
    ("Order", "TotalAmount"): _order_total,
    ("OrderItem", "ListPrice"): _list_price,
    ("OrderItem", "TotalPrice"): _line_total,
}
