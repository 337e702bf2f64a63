"""`POST /_sim/seed`: master data as the account's owner would have entered it. Open it for the body's shape.

    {"customers": [{"externalId", "companyName", "currency", "creditLimit", "terms", "email", "phone", "entityId",
                    "creditHoldOverride", "inactive", "billTo": {address}, "shipTo": {address}}],
     "items": [{"itemId", "externalId", "displayName", "description", "unit", "type", "prices": {"USD": "12.50"},
                "quantityAvailable", "inactive"}],
     "orders": [{"externalId", "customer": "<external id>", "status": "A" | "B",
                 "lines": [{"itemId", "quantity", "rate", "taxCode"}]}],
     "taxCodes": [{"code", "rate"}], "terms": [{"name", "days"}], "subsidiaries": [{"name"}], "locations": [{"name"}]}

An address is `{addressee, addr1, addr2, city, state, zip, country}`. A customer is known by `externalId`, an item by
`itemId`, a list entry by its name: seeding again changes what is given and adds nothing. An order that is there already
is left alone. Amounts are numbers or text.
"""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation

from connectors.kit.simulator import Change, DuplicateKey, JsonObject, Refusal
from connectors.netsuite.simulator import customers, items, sales_orders
from connectors.netsuite.simulator.account import Account, find, new_id, objects, stored_kind, text
from connectors.netsuite.simulator.errors import NetSuiteError
from connectors.netsuite.simulator.record_types import ITEM_TYPES

_PARTS = frozenset({"customers", "items", "orders", "taxCodes", "terms", "subsidiaries", "locations"})
_NO_SUBLISTS: frozenset[str] = frozenset()


def seeder(account: Account) -> Callable[[JsonObject], JsonObject]:
    """The hook."""

    def seed(body: JsonObject) -> JsonObject:
        unknown = sorted(set(body) - _PARTS)
        if unknown:
            raise Refusal(f"unknown part {unknown[0]!r}; known are {', '.join(sorted(_PARTS))}")
        try:
            with account.store.change(counted=False) as change:
                return _seed(account, change, body)
        except NetSuiteError as error:
            raise Refusal(error.detail) from error
        except (DuplicateKey, InvalidOperation, AssertionError) as error:
            raise Refusal(str(error) or "a value is of the wrong type") from error

    return seed


def _seed(account: Account, change: Change, body: JsonObject) -> JsonObject:
    """Lists first, because customers and items refer to them. Gives the id of everything that was named."""
    lists = {"taxCodes": ("salesTaxItem", "code"), "terms": ("term", "name")}
    lists |= {"subsidiaries": ("subsidiary", "name"), "locations": ("location", "name")}
    ids: JsonObject = {}
    for part, (record_type, name) in lists.items():
        ids[part] = {
            text(entry, name): _entry(change, record_type, name, entry) for entry in objects(body, part)
        }
    ids["customers"] = {
        text(given, "externalId"): _customer(account, change, given) for given in objects(body, "customers")
    }
    ids["items"] = {text(given, "itemId"): _item(account, change, given) for given in objects(body, "items")}
    ids["orders"] = {
        text(given, "externalId"): _order(account, change, given) for given in objects(body, "orders")
    }
    return ids


def _entry(change: Change, record_type: str, name: str, given: JsonObject) -> str:
    """A reference list's entry, by its name."""
    label = _needed(given, name)
    fields: JsonObject = {"name": label}
    if "rate" in given:
        fields["rate"] = Decimal(text(given, "rate"))
    if "days" in given:
        fields["daysUntilNetDue"] = int(text(given, "days"))
    kind = stored_kind(record_type)
    known = change.by_key(kind, label)
    if known is None:
        return change.add(kind, new_id(change, "list"), fields, key=label).id
    change.edit(kind, known.id).body.update(fields)
    return known.id


def _customer(account: Account, change: Change, given: JsonObject) -> str:
    key = _needed(given, "externalId")
    plain = (
        "companyName",
        "email",
        "phone",
        "entityId",
        "accountNumber",
        "defaultTaxReg",
        "creditHoldOverride",
    )
    fields: JsonObject = {name: given[name] for name in plain if name in given}
    if "inactive" in given:
        fields["isInactive"] = bool(given["inactive"])
    if given.get("creditLimit") is not None:
        fields["creditLimit"] = Decimal(text(given, "creditLimit"))
    for name, record_type in (("currency", "currency"), ("terms", "term"), ("subsidiary", "subsidiary")):
        if text(given, name):
            fields[name] = _entry_id(change, record_type, text(given, name))
    if addresses := _addresses(given):
        fields["addressBook"] = addresses
    known = change.by_key("customer", key)
    if known is None:
        return customers.create(account, change, fields, key).id
    customers.update(account, change, change.edit("customer", known.id), fields, frozenset({"addressBook"}))
    return known.id


def _addresses(given: JsonObject) -> list[object]:
    entries: list[object] = []
    for name, purpose in (("billTo", "defaultBilling"), ("shipTo", "defaultShipping")):
        if given.get(name) is not None:
            entry: JsonObject = {"id": len(entries) + 1, "label": name, "addressBookAddress": given[name]}
            entries.append(entry | {purpose: True})
    return entries


def _item(account: Account, change: Change, given: JsonObject) -> str:
    sku = _needed(given, "itemId")
    record_type = text(given, "type") or "inventoryItem"
    if record_type not in ITEM_TYPES:
        raise Refusal(f"type must be one of {', '.join(ITEM_TYPES)}")
    fields: JsonObject = {"itemId": sku}
    for name, field in (("displayName", "displayName"), ("description", "salesDescription")):
        if name in given:
            fields[field] = given[name]
    if "inactive" in given:
        fields["isInactive"] = bool(given["inactive"])
    if text(given, "unit"):
        fields["saleUnit"] = _entry(change, "unit", "name", {"name": text(given, "unit")})
    prices = given.get("prices")
    if isinstance(prices, dict):
        fields["price"] = [
            {"currencyPage": _entry_id(change, "currency", symbol), "price": Decimal(str(price))}
            for symbol, price in prices.items()
        ]
    known = items.by_sku(change, sku)
    if known is None:
        create = items.creator(record_type, "InvtPart" if record_type == "inventoryItem" else "NonInvtPart")
        item = create(account, change, fields, text(given, "externalId") or None)
    else:
        item = change.edit(known.kind, known.id)
        items.update(account, change, item, fields, _NO_SUBLISTS)
    if given.get("quantityAvailable") is not None and item.kind == "inventoryItem":
        items.set_available(change, item.id, Decimal(text(given, "quantityAvailable")))
    return item.id


def _order(account: Account, change: Change, given: JsonObject) -> str:
    """An order as somebody in the office would enter it."""
    key = _needed(given, "externalId")
    known = change.by_key("salesOrder", key)
    if known is not None:
        return known.id
    customer = change.by_key("customer", _needed(given, "customer"))
    if customer is None:
        raise Refusal(f"there is no customer {text(given, 'customer')!r}")
    lines: list[object] = []
    for line in objects(given, "lines"):
        item = items.by_sku(change, _needed(line, "itemId"))
        if item is None:
            raise Refusal(f"there is no item {text(line, 'itemId')!r}")
        fields: JsonObject = {
            name: Decimal(text(line, name)) for name in ("quantity", "rate") if name in line
        }
        if text(line, "taxCode"):
            fields["taxCode"] = _entry_id(change, "salesTaxItem", text(line, "taxCode"))
        lines.append({"item": item.id, **fields})
    order: JsonObject = {"entity": customer.id, "item": lines}
    if text(given, "status"):
        order["orderStatus"] = text(given, "status")
    return sales_orders.create(account, change, order, key).id


def _entry_id(change: Change, record_type: str, key: str) -> str:
    found = find(change, record_type, {"externalId": key})
    if found is None:
        raise Refusal(f"there is no {record_type} {key!r}")
    return found.id


def _needed(given: JsonObject, name: str) -> str:
    if not text(given, name):
        raise Refusal(f"{name} is needed")
    return text(given, name)
