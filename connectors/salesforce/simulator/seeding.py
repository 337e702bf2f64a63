"""POST /_sim/seed and /_sim/advance: open this to fill the org with data, or to act as its salespeople.

Seeding is idempotent: accounts are found again by ERP_Key__c (else Name), products by ERP_Key__c (else ProductCode),
orders by OrderReferenceNumber. An order without one gets a number made from its own content and place in the list.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from connectors.kit.simulator import JsonObject, Refusal, dumps

from . import errors, records
from .auth import Users
from .catalog import SObject, find_object
from .catalog.fields import Values
from .fixtures import standard_pricebook
from .org import Org, Session, Transaction

_SEED_FIELDS = frozenset({"accounts", "products", "orders"})
_ADVANCE_FIELDS = frozenset({"activate", "edits"})


class Seeding:
    """The org's own people at work: everything is written by the sales user and counts as no API call."""

    def __init__(self, org: Org, users: Users) -> None:
        self._org = org
        self._session = Session(users.sales)

    def seed(self, body: JsonObject) -> JsonObject:
        """{"accounts": […], "products": […], "orders": […]} → the same lists with their ids."""
        _refuse_unknown(body, _SEED_FIELDS)
        try:
            with self._org.transaction(self._session, counted=False) as tx:
                book = standard_pricebook(tx)
                return {
                    "pricebook2Id": book,
                    "accounts": [_account(tx, each) for each in _objects(body, "accounts")],
                    "products": [_product(tx, each, book) for each in _objects(body, "products")],
                    "orders": [
                        _order(tx, each, at, book) for at, each in enumerate(_objects(body, "orders"))
                    ],
                }
        except errors.SalesforceError as error:
            raise Refusal(str(error)) from error

    def advance(self, body: JsonObject) -> JsonObject:
        """{"activate": ["801…"], "edits": [{"type": "Account", "id": "001…", "fields": {…}}]}."""
        _refuse_unknown(body, _ADVANCE_FIELDS)
        ids = body.get("activate", [])
        edits = _objects(body, "edits")
        try:
            with self._org.transaction(self._session, counted=False) as tx:
                for record_id in ids if isinstance(ids, list) else []:
                    records.update(tx, _object("Order"), str(record_id), {"Status": "Activated"})
                for edit in edits:
                    fields = edit.get("fields")
                    if not isinstance(fields, dict):
                        raise Refusal("an edit needs type, id and fields")
                    records.update(tx, _object(str(edit.get("type"))), str(edit.get("id")), fields)
        except errors.SalesforceError as error:
            raise Refusal(str(error)) from error
        return {"activated": ids, "edited": len(edits)}


# Records


def _account(tx: Transaction, given: JsonObject) -> JsonObject:
    found = _find(tx, "Account", given, "ERP_Key__c", "Name")
    record = _put(tx, "Account", given, found)
    return {"Id": record["Id"], "Name": record["Name"], "ERP_Key__c": record["ERP_Key__c"]}


def _product(tx: Transaction, given: JsonObject, book: str) -> JsonObject:
    fields = {name: value for name, value in given.items() if name != "prices"}
    found = _find(tx, "Product2", fields, "ERP_Key__c", "ProductCode")
    record = _put(tx, "Product2", {"IsActive": True, **fields}, found)
    prices = given.get("prices", {})
    if not isinstance(prices, dict):
        raise Refusal('prices is an object such as {"USD": "12.50"}')
    entries = {code: _price(tx, str(record["Id"]), book, code, price) for code, price in prices.items()}
    shown = {name: record[name] for name in ("Id", "Name", "ProductCode", "ERP_Key__c")}
    return {**shown, "pricebookEntryIds": {code: entry["Id"] for code, entry in entries.items()}}


def _price(tx: Transaction, product_id: str, book: str, currency: str, price: object) -> Values:
    """The standard price of a product in one currency, made or moved to the wanted one. None = whatever it is."""
    for entry in tx.find("PricebookEntry", "Product2Id", product_id):
        if entry["Pricebook2Id"] == book and entry["CurrencyIsoCode"] == currency:
            wanted = {} if price is None else {"UnitPrice": price}
            return _put(tx, "PricebookEntry", wanted, entry)
    given: JsonObject = {
        "Pricebook2Id": book,
        "Product2Id": product_id,
        "CurrencyIsoCode": currency,
        "UnitPrice": price,
        "IsActive": True,
    }
    return _put(tx, "PricebookEntry", given, None)


def _order(tx: Transaction, given: JsonObject, at: int, book: str) -> JsonObject:
    own = {
        name: value
        for name, value in given.items()
        if name not in ("AccountErpKey", "lines", "Status", "activate")
    }
    reference = str(given.get("OrderReferenceNumber") or _reference(given, at))
    order = next(iter(tx.find("Order", "OrderReferenceNumber", reference)), None)
    if order is None:
        account = (
            {"Account": {"ERP_Key__c": str(given.get("AccountErpKey"))}} if "AccountErpKey" in given else {}
        )
        head = {"Status": "Draft", "Pricebook2Id": book, **account, **own, "OrderReferenceNumber": reference}
        order = _put(tx, "Order", head, None)
        for line in _objects(given, "lines"):
            _line(tx, order, line, book)
        if given.get("activate") is True:
            records.update(tx, _object("Order"), str(order["Id"]), {"Status": "Activated"})
    shown = ("Id", "OrderNumber", "OrderReferenceNumber", "PoNumber")
    return {name: order[name] for name in shown}


def _line(tx: Transaction, order: Values, given: JsonObject, book: str) -> None:
    code = str(given.get("ProductCode"))
    product = next(iter(tx.find("Product2", "ProductCode", code)), None)
    if product is None:
        raise Refusal(f"no product has the code {code!r}")
    price = None if _has_price(tx, product, order, book) else given.get("UnitPrice")
    entry = _price(tx, str(product["Id"]), book, str(order["CurrencyIsoCode"]), price)
    fields = {name: value for name, value in given.items() if name != "ProductCode"}
    line = {
        "UnitPrice": entry["UnitPrice"],
        **fields,
        "OrderId": order["Id"],
        "PricebookEntryId": entry["Id"],
    }
    records.create(tx, _object("OrderItem"), line)


def _has_price(tx: Transaction, product: Values, order: Values, book: str) -> bool:
    entries = tx.find("PricebookEntry", "Product2Id", str(product["Id"]))
    wanted = (book, order["CurrencyIsoCode"])
    return any((entry["Pricebook2Id"], entry["CurrencyIsoCode"]) == wanted for entry in entries)


def _reference(given: JsonObject, at: int) -> str:
    digest = hashlib.sha256(dumps([at, dict(sorted(given.items()))]).encode()).hexdigest()
    return f"seed-{digest[:16]}"


# Finding and writing


def _find(tx: Transaction, name: str, given: JsonObject, key: str, other: str) -> Values | None:
    if given.get(key):
        return next(iter(tx.find(name, key, str(given[key]))), None)
    return next(
        (each for each in tx.scan(name) if each[other] == given.get(other) and not each["IsDeleted"]), None
    )


def _put(tx: Transaction, name: str, given: Mapping[str, object], found: Values | None) -> Values:
    """Creates the record, or changes the found one if anything differs."""
    sobject = _object(name)
    if found is None:
        record_id = records.create(tx, sobject, dict(given))
    else:
        record_id = str(found["Id"])
        with tx.savepoint():
            if records.would_change(tx, sobject, record_id, dict(given)):
                records.update(tx, sobject, record_id, dict(given))
    values = tx.live(name, record_id)
    assert values is not None
    return values


def _objects(body: JsonObject, name: str) -> list[JsonObject]:
    value = body.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise Refusal(f"{name} must be a list of objects")
    return value


def _object(name: str) -> SObject:
    sobject = find_object(name)
    if sobject is None:
        raise Refusal(f"no object is called {name!r}")
    return sobject


def _refuse_unknown(body: JsonObject, known: frozenset[str]) -> None:
    unknown = sorted(set(body) - known)
    if unknown:
        raise Refusal(f"unknown field {unknown[0]!r}; known are {', '.join(sorted(known))}")
