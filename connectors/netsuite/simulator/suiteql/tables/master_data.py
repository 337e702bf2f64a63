"""Customers, items, stock, prices, addresses and reference lists, as SuiteQL sees them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

from connectors.kit.simulator import Document, JsonObject
from connectors.netsuite.simulator import customers, items
from connectors.netsuite.simulator.account import Account, objects, stored_kind, text
from connectors.netsuite.simulator.record_types import CREDIT_HOLD, ITEM_TYPE, ITEM_TYPES
from connectors.netsuite.simulator.suiteql.tables.columns import (
    Getter,
    Row,
    Scalar,
    Table,
    by_id,
    by_key,
    created,
    documents,
    flag_of,
    id_of,
    key_of,
    line_flag,
    line_number,
    line_text,
    local_time,
    modified,
    named,
    number_of,
    since_of,
    text_of,
)


def _balance(account: Account, row: Row) -> Scalar:
    return customers.credit(account.store, row.document.id)[0]


def _unbilled(account: Account, row: Row) -> Scalar:
    return customers.credit(account.store, row.document.id)[1]


def _address_id(purpose: str) -> Getter:
    """The default address for a purpose: `defaultBilling` or `defaultShipping`."""

    def get(account: Account, row: Row) -> Scalar:
        for entry in objects(row.document.body, "addressBook"):
            if entry.get(purpose):
                return address_key(row.document, entry)
        return None

    return get


CUSTOMER = Table(
    columns={
        "id": id_of,
        "externalid": key_of,
        "entityid": text_of("entityId"),
        "companyname": text_of("companyName"),
        "altname": text_of("companyName"),
        "firstname": text_of("firstName"),
        "lastname": text_of("lastName"),
        "isperson": flag_of("isPerson"),
        "isinactive": flag_of("isInactive"),
        "email": text_of("email"),
        "phone": text_of("phone"),
        "accountnumber": text_of("accountNumber"),
        "defaulttaxreg": text_of("defaultTaxReg"),
        "currency": text_of("currency"),
        "terms": text_of("terms"),
        "pricelevel": text_of("priceLevel"),
        "subsidiary": text_of("subsidiary"),
        "parent": text_of("parent"),
        "creditlimit": number_of("creditLimit"),
        "creditholdoverride": text_of("creditHoldOverride"),
        "balancesearch": _balance,
        "unbilledorderssearch": _unbilled,
        "defaultbillingaddress": _address_id("defaultBilling"),
        "defaultshippingaddress": _address_id("defaultShipping"),
        "datecreated": created,
        "lastmodifieddate": modified,
    },
    scan=documents("customer"),
    lookups={"id": by_id("customer"), "externalid": by_key("customer")},
    since=since_of("customer"),
    display={
        "currency": named("currency", "currency"),
        "terms": named("term", "terms"),
        "pricelevel": named("priceLevel", "priceLevel"),
        "subsidiary": named("subsidiary", "subsidiary"),
        "parent": named("customer", "parent"),
        "creditholdoverride": lambda account, row: CREDIT_HOLD.get(
            text(row.document.body, "creditHoldOverride")
        ),
    },
)


# Addresses: the book says which address a customer uses for what, the entity address holds the text


def address_key(customer: Document, entry: JsonObject) -> Decimal:
    """Key of the address subrecord behind an entry of the address book."""
    return Decimal(customer.id) * 1000 + Decimal(str(entry["id"]))


def _book_entries(document: Document) -> Iterable[Row]:
    for entry in objects(document.body, "addressBook"):
        yield Row(document, entry)


def _addresses(document: Document) -> Iterable[Row]:
    for entry in objects(document.body, "addressBook"):
        address = entry.get("addressBookAddress")
        if isinstance(address, dict):
            yield Row(document, address | {"nkey": address_key(document, entry)})


ADDRESS_BOOK = Table(
    columns={
        "entity": id_of,
        "internalid": lambda account, row: address_key(row.document, row.line),
        "label": line_text("label"),
        "defaultbilling": line_flag("defaultBilling"),
        "defaultshipping": line_flag("defaultShipping"),
        "addressbookaddress": lambda account, row: address_key(row.document, row.line),
    },
    scan=lambda account: (
        row for found in documents("customer")(account) for row in _book_entries(found.document)
    ),
    lookups={
        "entity": lambda account, id_: (
            row for found in by_id("customer")(account, id_) for row in _book_entries(found.document)
        )
    },
)
ADDRESS = Table(
    columns={
        "nkey": line_number("nkey"),
        **{name: line_text(name) for name in ("addressee", "attention", "addr1", "addr2", "addr3")},
        **{name: line_text(name) for name in ("city", "state", "zip", "country")},
    },
    scan=lambda account: (
        row for found in documents("customer")(account) for row in _addresses(found.document)
    ),
    lookups={
        "nkey": lambda account, nkey: (
            row
            for found in by_id("customer")(account, nkey[:-3])
            for row in _addresses(found.document)
            if str(row.line["nkey"]) == nkey
        )
    },
)


# Items


def _stock(figure: str) -> Getter:
    def get(account: Account, row: Row) -> Scalar:
        stock = items.stock(account.store, row.document.id)
        if stock is None:
            return None
        value = items.available(stock.body) if figure == "available" else stock.body[figure]
        return Decimal(str(value))

    return get


def _stock_changed(account: Account, row: Row) -> Scalar:
    stock = items.stock(account.store, row.document.id)
    return None if stock is None else local_time(account, stock.modified)


ITEM = Table(
    columns={
        "id": id_of,
        "externalid": key_of,
        "itemid": text_of("itemId"),
        "displayname": text_of("displayName"),
        "description": text_of("salesDescription"),
        "itemtype": text_of("itemType"),
        "isinactive": flag_of("isInactive"),
        "saleunit": text_of("saleUnit"),
        "upccode": text_of("upcCode"),
        "totalquantityonhand": _stock("onHand"),
        "createddate": created,
        "lastmodifieddate": modified,
        "lastquantityavailablechange": _stock_changed,
    },
    scan=documents(*ITEM_TYPES),
    lookups={"id": by_id(*ITEM_TYPES), "externalid": by_key(*ITEM_TYPES)},
    since=since_of(*ITEM_TYPES),
    display={
        "saleunit": named("unit", "saleUnit"),
        "itemtype": lambda account, row: ITEM_TYPE.get(text(row.document.body, "itemType")),
    },
)

_STOCK_ROWS = documents("inventoryItem")
INVENTORY_BALANCE = Table(
    columns={
        "item": id_of,
        "location": lambda account, row: "1",
        "quantityonhand": _stock("onHand"),
        "quantityavailable": _stock("available"),
        "quantitycommitted": _stock("committed"),
        "quantitybackordered": _stock("backOrdered"),
    },
    scan=_STOCK_ROWS,
    lookups={"item": by_id("inventoryItem")},
)


def _prices(document: Document) -> Iterable[Row]:
    for price in objects(document.body, "price"):
        quantity = price.get("quantity")
        start = text(quantity, "value") if isinstance(quantity, dict) else "0"
        yield Row(document, price | {"from": start})


PRICING = Table(
    columns={
        "item": id_of,
        "currency": line_text("currencyPage"),
        "pricelevel": line_text("priceLevel"),
        "quantity": line_number("from"),
        "unitprice": line_number("price"),
    },
    scan=lambda account: (
        row for found in documents(*ITEM_TYPES)(account) for row in _prices(found.document)
    ),
    lookups={
        "item": lambda account, id_: (
            row for found in by_id(*ITEM_TYPES)(account, id_) for row in _prices(found.document)
        )
    },
    display={
        "currency": named("currency", "currencyPage"),
        "pricelevel": named("priceLevel", "priceLevel"),
    },
)


# Lists


def reference_list(record_type: str) -> Table:
    kind = stored_kind(record_type)
    return Table(
        columns={
            "id": id_of,
            "externalid": key_of,
            "name": text_of("name"),
            "itemid": text_of("name"),
            "symbol": text_of("symbol"),
            "rate": number_of("rate"),
            "daysuntilnetdue": number_of("daysUntilNetDue"),
            "currencyprecision": number_of("currencyPrecision"),
            "isinactive": flag_of("isInactive"),
        },
        scan=documents(kind),
        lookups={"id": by_id(kind), "externalid": by_key(kind)},
    )


DELETED_RECORD = Table(
    columns={
        "recordid": text_of("recordid"),
        "type": text_of("type"),
        "deleteddate": modified,
        "lastmodifieddate": modified,
    },
    scan=documents("_deleted"),
    since=since_of("_deleted"),
)
_EPOCH = datetime.fromtimestamp(0, UTC)
_DUMMY = Row(Document("_dual", "0", None, {}, _EPOCH, _EPOCH))
DUAL = Table(columns={"dummy": lambda account, row: "X"}, scan=lambda account: [_DUMMY])
