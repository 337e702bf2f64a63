"""A stored record as NetSuite prints it; open it for what GET answers."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from decimal import Decimal

from connectors.kit.simulator import Document, JsonObject
from connectors.netsuite.simulator import customers, items
from connectors.netsuite.simulator.account import Account, Records, decimal, find, objects, text
from connectors.netsuite.simulator.record_types import RECORD_TYPES, TRANSACTION_TYPES
from connectors.netsuite.simulator.schema import Field, Shape, Type

RECORD_PATH = "/services/rest/record/v1/"
_TITLES = {
    "salesOrder": "Sales Order",
    "itemFulfillment": "Item Fulfillment",
    "invoice": "Invoice",
    "customerPayment": "Payment",
}


class Printer:
    """Prints records for one request.

    base: scheme and host the caller used, without a slash at the end. expand: sublists and subrecords in place of
    links. simple_enums: the bare id in place of `{id, refName}`.
    """

    def __init__(
        self, account: Account, base: str, *, expand: bool = False, simple_enums: bool = False
    ) -> None:
        self._account = account
        self._base = base
        self._expand = expand
        self._simple_enums = simple_enums

    def href(self, record_type: str, id_: str) -> str:
        return f"{self._base}{RECORD_PATH}{record_type}/{id_}"

    def record(self, document: Document, only: Collection[str] = ()) -> JsonObject:
        """only: lower-case names of the fields wanted; empty = all."""
        record_type = RECORD_TYPES[document.kind.removeprefix("_")]
        own = self.href(record_type.name, document.id)
        values = document.body | virtual_fields(self._account, document)
        printed: JsonObject = {"links": [{"rel": "self", "href": own}]}
        printed |= self._fields(record_type.shape, values, own, only)
        return printed | {"id": document.id}

    def sublist(self, document: Document, name: str) -> JsonObject | None:
        """A sublist as a collection of links, or None when the record type has no such sublist."""
        field = RECORD_TYPES[document.kind].shape.field(name)
        if field is None or field.type is not Type.SUBLIST:
            return None
        own = self.href(document.kind, document.id)
        return self._collection(field, self._lines(document, field), own, expand=self._expand)

    def line(self, document: Document, name: str, key: str) -> JsonObject | None:
        """One line of a sublist, by its line number."""
        field = RECORD_TYPES[document.kind].shape.field(name)
        if field is None or field.shape is None or field.type is not Type.SUBLIST:
            return None
        own = f"{self.href(document.kind, document.id)}/{field.name}/{key}"
        for place, line in enumerate(self._lines(document, field)):
            if line_key(line, place) == key:
                return {"links": [{"rel": "self", "href": own}]} | self._fields(field.shape, line, own, ())
        return None

    def _lines(self, document: Document, field: Field) -> list[JsonObject]:
        return objects(document.body | virtual_fields(self._account, document), field.name)

    def _fields(self, shape: Shape, values: JsonObject, own: str, only: Collection[str]) -> JsonObject:
        return {
            field.name: self._value(field, values[field.name], f"{own}/{field.name}")
            for field in shape
            if field.name in values and (not only or field.name.lower() in only)
        }

    def _value(self, field: Field, value: object, own: str) -> object:
        if field.type is Type.REF:
            return self._reference(field, str(value))
        if field.type is Type.ENUM:
            return (
                value
                if self._simple_enums
                else {"id": value, "refName": (field.choices or {}).get(str(value), value)}
            )
        if field.type is Type.SUBLIST:
            lines = objects({"lines": value}, "lines")
            if self._expand:
                return self._collection(field, lines, own.rsplit("/", 1)[0], expand=True)
            return {"links": [{"rel": "self", "href": own}]}
        if field.type is Type.SUBRECORD and field.shape is not None and isinstance(value, dict):
            link: JsonObject = {"links": [{"rel": "self", "href": own}]}
            return link | (self._fields(field.shape, value, own, ()) if self._expand else {})
        return str(value) if field.type is Type.TEXT else value

    def _reference(self, field: Field, id_: str) -> JsonObject:
        referenced = find(self._account.store, field.refers, {"id": id_}) if field.refers else None
        if referenced is None:
            return {"links": [], "id": id_}
        href = self.href(referenced.kind.removeprefix("_"), id_)
        return {"links": [{"rel": "self", "href": href}], "id": id_, "refName": display_name(referenced)}

    def _collection(
        self, field: Field, lines: list[JsonObject], record_href: str, *, expand: bool
    ) -> JsonObject:
        assert field.shape is not None
        own = f"{record_href}/{field.name}"
        printed: list[JsonObject] = []
        for place, line in enumerate(lines):
            href = f"{own}/{line_key(line, place)}"
            link: JsonObject = {"links": [{"rel": "self", "href": href}]}
            printed.append(link | (self._fields(field.shape, line, href, ()) if expand else {}))
        count = len(printed)
        envelope = {"items": printed, "count": count, "hasMore": False, "offset": 0, "totalResults": count}
        return {"links": [{"rel": "self", "href": own}]} | envelope


def line_key(line: Mapping[str, object], place: int) -> str:
    return str(line.get("line") or line.get("id") or place + 1)


def timestamp(moment: datetime) -> str:
    """As in record bodies: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def display_name(document: Document) -> str:
    """The `refName` under which other records show this one."""
    body = document.body
    if document.kind == "customer":
        return f"{text(body, 'entityId')} {text(body, 'companyName') or text(body, 'lastName')}"
    if document.kind in TRANSACTION_TYPES:
        return f"{_TITLES[document.kind]} #{text(body, 'tranId')}"
    return text(body, "itemId") or text(body, "name")


def virtual_fields(account: Account, document: Document) -> JsonObject:
    """Fields that are not stored with the record: key, times, and what is computed from other records."""
    record_type = RECORD_TYPES.get(document.kind)
    fields: JsonObject = {"refName": display_name(document)}
    if document.key is not None:
        fields["externalId"] = document.key
    if record_type is not None:
        fields[record_type.created] = timestamp(document.created)
        fields["lastModifiedDate"] = timestamp(document.modified)
    if document.kind == "customer":
        fields |= _credit_fields(account.store, document)
    elif document.kind == "inventoryItem":
        fields |= _stock_fields(account.store, document.id)
    elif document.kind in TRANSACTION_TYPES:
        fields["transactionNumber"] = text(document.body, "tranId")
    return fields


def _credit_fields(records: Records, customer: Document) -> JsonObject:
    balance, unbilled = customers.credit(records, customer.id)
    return {
        "altName": text(customer.body, "companyName"),
        "balance": balance,
        "consolBalance": balance,
        "consolUnbilledOrders": unbilled,
        "overdueBalance": Decimal(0),
        "depositBalance": Decimal(0),
        "daysOverdue": 0,
    }


def _stock_fields(records: Records, item_id: str) -> JsonObject:
    """Quantities of the item itself are printed as strings, as in Oracle's sample; those per location are numbers."""
    figures = items.stock(records, item_id)
    if figures is None:
        return {}
    return {
        "quantityOnHand": str(decimal(figures.body, "onHand")),
        "quantityCommitted": str(decimal(figures.body, "committed")),
        "quantityBackOrdered": str(decimal(figures.body, "backOrdered")),
        "quantityAvailable": str(items.available(figures.body)),
        "lastQuantityAvailableChange": timestamp(figures.modified),
        "locations": items.locations(figures.body),
    }
