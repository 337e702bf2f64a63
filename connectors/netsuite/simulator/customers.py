"""Customers and their credit; open it for what NetSuite checks on a customer and how credit figures move."""

from decimal import Decimal

from connectors.kit.simulator import Change, Document, JsonObject
from connectors.netsuite.simulator.account import (
    BASE_PRICE_LEVEL,
    PARENT_COMPANY,
    Account,
    Records,
    decimal,
    new_id,
    objects,
    put,
    text,
)
from connectors.netsuite.simulator.errors import business, missing_value

_CREDIT = "_credit"
"""One inner document per customer: the balance of open invoices and the orders not yet billed. Kept apart
because a
sale does not change the customer's own time of last modification."""

_ENTITY_ID = "_entityId"
"""Inner index: entity id → customer, because entity ids are unique in the account."""


def create(account: Account, change: Change, given: JsonObject, key: str | None) -> Document:
    body: JsonObject = {
        "isPerson": False,
        "isInactive": False,
        "subsidiary": PARENT_COMPANY,
        "currency": "1",
        "priceLevel": BASE_PRICE_LEVEL,
        "creditHoldOverride": "AUTO",
        "taxable": True,
    }
    put(body, given)
    if "addressBook" in body:
        body["addressBook"] = _merged([], objects(body, "addressBook"))
    id_ = new_id(change, "entity")
    body.setdefault("entityId", f"C{1000 + int(id_)}")
    _check(body)
    _claim_entity_id(change, text(body, "entityId"), id_)
    change.add(_CREDIT, id_, {"balance": Decimal(0), "unbilled": Decimal(0)})
    return change.add("customer", id_, body, key=key)


def update(
    account: Account, change: Change, customer: Document, given: JsonObject, replace: frozenset[str]
) -> None:
    address_book = given.pop("addressBook", None)
    before = text(customer.body, "entityId")
    put(customer.body, given)
    if address_book is not None:
        kept = [] if "addressBook" in replace else objects(customer.body, "addressBook")
        customer.body["addressBook"] = _merged(kept, objects({"new": address_book}, "new"))
    _check(customer.body)
    after = text(customer.body, "entityId")
    if after != before:
        change.remove(_ENTITY_ID, before)
        _claim_entity_id(change, after, customer.id)


def remove(account: Account, change: Change, customer: Document) -> None:
    used = any(
        text(document.body, field) == customer.id
        for kind, field in (("salesOrder", "entity"), ("invoice", "entity"), ("customerPayment", "customer"))
        for document in account.store.all(kind)
    )
    if used:
        raise business("This customer cannot be deleted because it has child records or transactions.")
    change.remove(_ENTITY_ID, text(customer.body, "entityId"))
    change.remove(_CREDIT, customer.id)
    change.remove("customer", customer.id)


def _check(body: JsonObject) -> None:
    if body.get("isPerson"):
        if not text(body, "lastName"):
            raise missing_value("Last Name")
    elif not text(body, "companyName"):
        raise missing_value("Company Name")
    if not text(body, "subsidiary"):
        raise missing_value("Primary Subsidiary")


def _claim_entity_id(change: Change, entity_id: str, id_: str) -> None:
    if change.get(_ENTITY_ID, entity_id) is not None:
        raise business("This entity already exists.")
    change.add(_ENTITY_ID, entity_id, {"customer": id_})


def _merged(kept: list[JsonObject], given: list[JsonObject]) -> list[object]:
    """Elements with a known `id` change that element, the others are new."""
    lines: dict[int, JsonObject] = {int(str(line["id"])): dict(line) for line in kept}
    for element in given:
        number = int(str(element.get("id") or max(lines, default=0) + 1))
        lines[number] = lines.get(number, {}) | element | {"id": number}
    return list(lines.values())


def credit(records: Records, customer_id: str) -> tuple[Decimal, Decimal]:
    """Balance of open invoices, and the value of orders not yet billed."""
    figures = records.get(_CREDIT, customer_id)
    if figures is None:
        return Decimal(0), Decimal(0)
    return decimal(figures.body, "balance"), decimal(figures.body, "unbilled")


def move_credit(
    change: Change, customer_id: str, *, balance: Decimal = Decimal(0), unbilled: Decimal = Decimal(0)
) -> None:
    """Adds to the figures; negative takes off."""
    if not balance and not unbilled:
        return
    figures = change.edit(_CREDIT, customer_id).body
    figures["balance"] = decimal(figures, "balance") + balance
    figures["unbilled"] = decimal(figures, "unbilled") + unbilled


def refuse_over_limit(account: Account, change: Change, customer: Document) -> None:
    """Raises when the preference blocks and the customer's limit no longer covers what is staged."""
    hold = text(customer.body, "creditHoldOverride")
    if account.preferences.credit_check != "block" or hold == "OFF":
        return
    balance, unbilled = credit(change, customer.id)
    limit = customer.body.get("creditLimit")
    if hold == "ON" or (limit is not None and balance + unbilled > Decimal(str(limit))):
        raise business("This customer is on credit hold or has exceeded the credit limit.", "entity")
