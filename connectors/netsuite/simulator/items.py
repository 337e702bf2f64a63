"""Items, prices and stock; open it for what an item needs and how its quantities move."""

from collections.abc import Callable
from decimal import Decimal

from connectors.kit.simulator import Change, Document, JsonObject
from connectors.netsuite.simulator.account import (
    BASE_PRICE_LEVEL,
    MAIN_LOCATION,
    Account,
    Records,
    decimal,
    find_item,
    new_id,
    objects,
    put,
    text,
)
from connectors.netsuite.simulator.errors import business, missing_value

_STOCK = "_stock"
"""One inner document per inventory item: on hand, committed, back-ordered. Kept apart because a movement does
not
change the item's own time of last modification, but `lastQuantityAvailableChange`."""

_ITEM_ID = "_itemId"
"""Inner index: item id (the SKU) → item, unique over all item types."""


Create = Callable[[Account, Change, JsonObject, str | None], Document]


def creator(record_type: str, item_type: str) -> Create:
    """The create function of one item type."""

    def create(account: Account, change: Change, given: JsonObject, key: str | None) -> Document:
        body: JsonObject = {
            "isInactive": False,
            "saleUnit": "1",
            "isFulfillable": True,
            "itemType": item_type,
        }
        put(body, given)
        sku = text(body, "itemId")
        if not sku:
            raise missing_value("Item Name/Number", "itemId")
        id_ = new_id(change, "item")
        _claim_item_id(change, sku, id_)
        body["price"] = _merged_prices([], objects(body, "price"))
        if record_type == "inventoryItem":
            zero = Decimal(0)
            change.add(_STOCK, id_, {"onHand": zero, "committed": zero, "backOrdered": zero})
        return change.add(record_type, id_, body, key=key)

    return create


def update(
    account: Account, change: Change, item: Document, given: JsonObject, replace: frozenset[str]
) -> None:
    prices = given.pop("price", None)
    before = text(item.body, "itemId")
    put(item.body, given)
    if prices is not None:
        kept = [] if "price" in replace else objects(item.body, "price")
        item.body["price"] = _merged_prices(kept, objects({"new": prices}, "new"))
    after = text(item.body, "itemId")
    if after != before:
        change.remove(_ITEM_ID, before)
        _claim_item_id(change, after, item.id)


def remove(account: Account, change: Change, item: Document) -> None:
    for kind in ("salesOrder", "invoice"):
        for document in account.store.all(kind):
            if any(text(line, "item") == item.id for line in objects(document.body, "item")):
                raise business("This item cannot be deleted because it has child records or transactions.")
    change.remove(_ITEM_ID, text(item.body, "itemId"))
    if change.get(_STOCK, item.id) is not None:
        change.remove(_STOCK, item.id)
    change.remove(item.kind, item.id)


def by_sku(records: Records, sku: str) -> Document | None:
    entry = records.get(_ITEM_ID, sku)
    return None if entry is None else find_item(records, text(entry.body, "item"))


def _claim_item_id(change: Change, sku: str, id_: str) -> None:
    if change.get(_ITEM_ID, sku) is not None:
        raise business(
            f"Uniqueness error - there is already an item with that external name: {sku}.", "itemId"
        )
    change.add(_ITEM_ID, sku, {"item": id_})


def _merged_prices(kept: list[JsonObject], given: list[JsonObject]) -> list[object]:
    """One price per currency, level and quantity break."""
    prices: dict[tuple[str, str, str], JsonObject] = {}
    for price in [*kept, *given]:
        whole = {"priceLevel": BASE_PRICE_LEVEL, "quantity": {"value": "0"}} | price
        if not text(whole, "currencyPage"):
            raise missing_value("Currency", "price.items[0].currencyPage")
        prices[text(whole, "currencyPage"), text(whole, "priceLevel"), str(_from_quantity(whole))] = whole
    return list(prices.values())


def _from_quantity(price: JsonObject) -> Decimal:
    """The quantity from which a price holds."""
    value = price["quantity"]
    return decimal(value, "value") if isinstance(value, dict) else Decimal(0)


def list_price(item: Document, currency_id: str, price_level: str, quantity: Decimal) -> Decimal | None:
    """Price of one unit at that level, else at base level; the highest quantity break reached counts."""
    for level in (price_level, BASE_PRICE_LEVEL):
        breaks = [
            (_from_quantity(price), decimal(price, "price"))
            for price in objects(item.body, "price")
            if text(price, "currencyPage") == currency_id and text(price, "priceLevel") == level
        ]
        reached = [found for found in breaks if found[0] <= quantity]
        if reached:
            return max(reached)[1]
    return None


# Stock


def stock(records: Records, item_id: str) -> Document | None:
    """The stock document of an inventory item, None for items without stock."""
    return records.get(_STOCK, item_id)


def available(figures: JsonObject) -> Decimal:
    return max(Decimal(0), decimal(figures, "onHand") - decimal(figures, "committed"))


def set_available(change: Change, item_id: str, quantity: Decimal) -> None:
    """Counts the stock so that `quantity` is free to promise beside what is committed."""
    figures = change.edit(_STOCK, item_id).body
    figures["onHand"] = decimal(figures, "committed") + quantity


def commit(change: Change, item_id: str, wanted: Decimal, held: Decimal) -> Decimal:
    """Reserves up to `wanted` for a line that holds `held` already; what it holds afterwards. Fewer gives back."""
    if change.get(_STOCK, item_id) is None:
        return Decimal(0)
    figures = change.edit(_STOCK, item_id).body
    free = decimal(figures, "onHand") - decimal(figures, "committed") + held
    granted = max(Decimal(0), min(wanted, free))
    figures["committed"] = decimal(figures, "committed") + granted - held
    return granted


def move_back_orders(change: Change, item_id: str, step: Decimal) -> None:
    if step and change.get(_STOCK, item_id) is not None:
        figures = change.edit(_STOCK, item_id).body
        figures["backOrdered"] = decimal(figures, "backOrdered") + step


def ship(change: Change, item_id: str, quantity: Decimal) -> None:
    """Takes goods off the shelf; below zero is allowed, as the warehouse may book the receipt later."""
    if quantity and change.get(_STOCK, item_id) is not None:
        figures = change.edit(_STOCK, item_id).body
        figures["onHand"] = decimal(figures, "onHand") - quantity


def locations(figures: JsonObject) -> list[object]:
    """The `locations` sublist: all stock lies in the main warehouse."""
    return [
        {
            "location": MAIN_LOCATION,
            "locationId": MAIN_LOCATION,
            "quantityOnHand": decimal(figures, "onHand"),
            "quantityCommitted": decimal(figures, "committed"),
            "quantityBackOrdered": decimal(figures, "backOrdered"),
            "quantityAvailable": available(figures),
        }
    ]
