"""What the org refuses beyond single fields: open this to change a rule of orders, prices or quotes.

Three tables at the end say which checks run when an object is created, changed or deleted. A check gets the transaction
and the record as it would become, may fill derived fields in it, and raises the refusal as the org words it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from . import errors
from .catalog.fields import SYSTEM_FIELDS, Values
from .catalog.orders import STATUS_CODES
from .org import HISTORY, Transaction

CreateRule: TypeAlias = Callable[[Transaction, Values], None]
ChangeRule: TypeAlias = Callable[[Transaction, Values, Values, set[str]], None]
DeleteRule: TypeAlias = Callable[[Transaction, Values], None]

# What the validation rule Ordermesh_Status_Never_Goes_Back says; the connector knows it by these words.
STATUS_IS_NEWER = "ordermesh: a newer ERP status is already shown"

_FROZEN_WHEN_ACTIVATED = frozenset({"AccountId", "ContractId", "Pricebook2Id", "CurrencyIsoCode"})


def status_code(order: Values) -> str:
    """Draft or Activated: only this decides what is allowed, never the label in Status."""
    return STATUS_CODES.get(str(order.get("Status")), "Draft")


# Order and its lines


def _order_starts_as_draft(tx: Transaction, order: Values) -> None:
    if status_code(order) != "Draft":
        raise errors.draft_first()
    _note_erp_status(tx, {}, order, {"ERP_Status__c"})


def _order_changes_by_its_life_cycle(tx: Transaction, old: Values, new: Values, changed: set[str]) -> None:
    before, after = status_code(old), status_code(new)
    standard = {name for name in changed if not name.endswith("__c")}
    if before == "Draft" and after == "Activated":
        _activate(tx, new, changed)
    elif before == "Activated":
        frozen = sorted(standard & _FROZEN_WHEN_ACTIVATED)
        if frozen:
            raise errors.order_frozen(frozen)
        if others := sorted(standard - {"Status"}):
            raise errors.needs_edit_activated_orders(others)


def _activate(tx: Transaction, order: Values, changed: set[str]) -> None:
    if changed != {"Status"}:
        raise errors.activation_only()
    if not tx.find("OrderItem", "OrderId", str(order["Id"])):
        raise errors.activation_needs_lines()
    order["ActivatedDate"] = tx.now
    order["ActivatedById"] = tx.session.user_id


def _note_erp_status(tx: Transaction, old: Values, new: Values, changed: set[str]) -> None:
    """Keeps every ERP status in the order written, so that a test can see whether it ever went backwards."""
    status = new.get("ERP_Status__c")
    if "ERP_Status__c" in changed and status is not None:
        earlier = old.get(HISTORY)
        new[HISTORY] = f"{earlier}\n{status}" if earlier else str(status)


def _status_never_goes_back(_: Transaction, old: Values, new: Values, changed: set[str]) -> None:
    """The validation rule that ordermesh asks its users to create: a late, older status changes nothing."""
    before, after = old.get("ERP_Status_Date__c"), new.get("ERP_Status_Date__c")
    if (
        "ERP_Status_Date__c" in changed
        and isinstance(before, str)
        and isinstance(after, str)
        and after < before
    ):
        raise errors.validation_rule(STATUS_IS_NEWER, "ERP_Status_Date__c")


def _order_goes_only_as_draft(tx: Transaction, order: Values) -> None:
    if status_code(order) != "Draft":
        raise errors.order_locked()


def _line_joins_a_draft(tx: Transaction, line: Values) -> None:
    order = tx.live("Order", line["OrderId"])
    assert order is not None, "references were checked before"
    if status_code(order) != "Draft":
        raise errors.order_locked()
    _fill_from_price(tx, line, order, "order")
    line["CurrencyIsoCode"] = order["CurrencyIsoCode"]


def _line_changes_only_in_a_draft(tx: Transaction, old: Values, new: Values, changed: set[str]) -> None:
    order = tx.live("Order", new["OrderId"])
    standard = {name for name in changed if not name.endswith("__c")}
    if order is not None and standard and status_code(order) != "Draft":
        raise errors.needs_edit_activated_orders(sorted(standard))


def _line_leaves_only_a_draft(tx: Transaction, line: Values) -> None:
    order = tx.live("Order", line["OrderId"])
    if order is not None and status_code(order) != "Draft":
        raise errors.order_locked()


# prices


def _fill_from_price(tx: Transaction, line: Values, parent: Values, parent_name: str) -> None:
    """A line takes its product from a price that is active, in the parent's price book and currency."""
    price = tx.live("PricebookEntry", line["PricebookEntryId"])
    assert price is not None, "references were checked before"
    if not price["IsActive"]:
        raise errors.field_integrity("PricebookEntry: price book entry is inactive", "PricebookEntryId")
    if price["Pricebook2Id"] != parent["Pricebook2Id"]:
        raise errors.field_integrity(
            f"The pricebook entry is in a different pricebook than the one assigned to the {parent_name}",
            "PricebookEntryId",
        )
    if price["CurrencyIsoCode"] != parent["CurrencyIsoCode"]:
        raise errors.field_integrity(
            f"The pricebook entry currency code does not match the {parent_name} currency code",
            "PricebookEntryId",
        )
    if line["Product2Id"] not in (None, price["Product2Id"]):
        raise errors.field_integrity("Product2Id is not the product of the pricebook entry", "Product2Id")
    line["Product2Id"] = price["Product2Id"]


def _standard_price_first(tx: Transaction, price: Values) -> None:
    standard: Values | None = None
    for other in tx.find("PricebookEntry", "Product2Id", str(price["Product2Id"])):
        if other["CurrencyIsoCode"] != price["CurrencyIsoCode"]:
            continue
        if other["Pricebook2Id"] == price["Pricebook2Id"]:
            raise errors.price_already_defined()
        if _is_standard(tx, other):
            standard = other
    if standard is None and not _is_standard(tx, price):
        raise errors.standard_price_not_defined()
    if standard is not None and price["UseStandardPrice"]:
        price["UnitPrice"] = standard["UnitPrice"]


def _is_standard(tx: Transaction, price: Values) -> bool:
    book = tx.live("Pricebook2", price["Pricebook2Id"])
    return book is not None and book["IsStandard"] is True


# quotes and deleting


def _quote_line_fits_its_quote(tx: Transaction, line: Values) -> None:
    quote = tx.live("Quote", line["QuoteId"])
    assert quote is not None, "references were checked before"
    _fill_from_price(tx, line, quote, "quote")


def _unused(child: str, field: str, plural: str) -> DeleteRule:
    def check(tx: Transaction, values: Values) -> None:
        if tx.find(child, field, str(values["Id"])):
            raise errors.still_used_by(str(values.get("Name") or values["Id"]), plural)

    return check


# which checks run when

WHEN_CREATED: dict[str, tuple[CreateRule, ...]] = {
    "Order": (_order_starts_as_draft,),
    "OrderItem": (_line_joins_a_draft,),
    "PricebookEntry": (_standard_price_first,),
    "QuoteLineItem": (_quote_line_fits_its_quote,),
}
WHEN_CHANGED: dict[str, tuple[ChangeRule, ...]] = {
    "Order": (_status_never_goes_back, _order_changes_by_its_life_cycle, _note_erp_status),
    "OrderItem": (_line_changes_only_in_a_draft,),
}
WHEN_DELETED: dict[str, tuple[DeleteRule, ...]] = {
    "Account": (_unused("Order", "AccountId", "orders"),),
    "Product2": (_unused("OrderItem", "Product2Id", "order products"),),
    "Order": (_order_goes_only_as_draft,),
    "OrderItem": (_line_leaves_only_a_draft,),
}

# A line's change also counts as a change of its parent: its totals moved.
PARENT_TOUCHED = {
    "OrderItem": ("Order", "OrderId"),
    "QuoteLineItem": ("Quote", "QuoteId"),
}

# Deleting the parent deletes these too.
DELETED_ALONG = {
    "Order": (("OrderItem", "OrderId"),),
    "Quote": (("QuoteLineItem", "QuoteId"),),
    "Product2": (("PricebookEntry", "Product2Id"),),
}


def changed_names(old: Values, new: Values) -> set[str]:
    """Names of the fields whose values differ, bookkeeping left out."""
    return {
        name for name in new if name not in SYSTEM_FIELDS and name != HISTORY and old.get(name) != new[name]
    }
