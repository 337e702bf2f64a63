"""Transactions, their lines and the links between them, as SuiteQL sees them.

Lines of sales transactions carry negative quantities and amounts; the header is the line with `mainline = 'T'`.
"""

from collections.abc import Iterable, Mapping

from connectors.kit.simulator import Document, JsonObject
from connectors.netsuite.simulator.account import Account, objects, text, texts
from connectors.netsuite.simulator.record_types import (
    FULFILMENT_STATUS,
    INVOICE_STATUS,
    PAYMENT_STATUS,
    RECORD_TYPES,
    SALES_ORDER_STATUS,
    TRANSACTION_TYPES,
)
from connectors.netsuite.simulator.rendering import display_name
from connectors.netsuite.simulator.suiteql.tables.columns import (
    Getter,
    Row,
    Scalar,
    Table,
    by_id,
    by_key,
    constant,
    created,
    date_of,
    documents,
    id_of,
    key_of,
    line_flag,
    line_number,
    line_text,
    modified,
    named,
    number_of,
    optional_decimal,
    since_of,
    text_of,
)

# transaction

_STATUS_NAMES: Mapping[str, Mapping[str, str]] = {
    "salesOrder": SALES_ORDER_STATUS,
    "itemFulfillment": FULFILMENT_STATUS,
    "invoice": INVOICE_STATUS,
    "customerPayment": PAYMENT_STATUS,
}


def _status_name(account: Account, row: Row) -> Scalar:
    kind = row.document.kind
    name = _STATUS_NAMES[kind].get(text(row.document.body, "status"))
    return None if name is None else f"{display_name(row.document).split(' #')[0]} : {name}"


def _entity(account: Account, row: Row) -> Scalar:
    return text(row.document.body, "entity") or text(row.document.body, "customer")


def _entity_name(account: Account, row: Row) -> Scalar:
    customer = account.store.get("customer", str(_entity(account, row)))
    return None if customer is None else display_name(customer)


TRANSACTION = Table(
    columns={
        "id": id_of,
        "externalid": key_of,
        "type": lambda account, row: RECORD_TYPES[row.document.kind].suiteql_type,
        "recordtype": lambda account, row: row.document.kind.lower(),
        "tranid": text_of("tranId"),
        "transactionnumber": text_of("tranId"),
        "status": text_of("status"),
        "entity": _entity,
        "trandate": date_of("tranDate"),
        "duedate": date_of("dueDate"),
        "shipdate": date_of("shipDate"),
        "actualshipdate": date_of("shippedDate"),
        "otherrefnum": text_of("otherRefNum"),
        "memo": text_of("memo"),
        "currency": text_of("currency"),
        "exchangerate": number_of("exchangeRate"),
        "foreigntotal": number_of("total"),
        "taxtotal": number_of("taxTotal"),
        "foreignamountpaid": number_of("amountPaid"),
        "foreignamountunpaid": number_of("amountRemaining"),
        "terms": text_of("terms"),
        "voided": constant("F"),
        "createddate": created,
        "lastmodifieddate": modified,
    },
    scan=documents(*TRANSACTION_TYPES),
    lookups={"id": by_id(*TRANSACTION_TYPES), "externalid": by_key(*TRANSACTION_TYPES)},
    since=since_of(*TRANSACTION_TYPES),
    display={
        "status": _status_name,
        "entity": _entity_name,
        "currency": named("currency", "currency"),
        "terms": named("term", "terms"),
    },
)


def _negative(name: str) -> Getter:
    def get(account: Account, row: Row) -> Scalar:
        value = optional_decimal(row.line, name)
        return None if value is None else -value

    return get


def _transaction_lines(document: Document) -> Iterable[Row]:
    header: JsonObject = {"line": 0, "mainline": True, "amount": document.body.get("total")}
    yield Row(document, header)
    for line in objects(document.body, "item"):
        yield Row(document, line)
    tax = document.body.get("taxTotal")
    if tax:
        yield Row(document, {"line": 9000, "taxline": True, "amount": tax})


TRANSACTION_LINE = Table(
    columns={
        "transaction": id_of,
        "id": line_number("line"),
        "linesequencenumber": line_number("line"),
        "uniquekey": line_text("lineUniqueKey"),
        "mainline": line_flag("mainline"),
        "taxline": line_flag("taxline"),
        "item": line_text("item"),
        "itemtype": line_text("itemType"),
        "quantity": _negative("quantity"),
        "rate": line_number("rate"),
        "foreignamount": _negative("amount"),
        "netamount": _negative("amount"),
        "quantityshiprecv": line_number("quantityFulfilled"),
        "quantitybilled": line_number("quantityBilled"),
        "quantitycommitted": line_number("quantityCommitted"),
        "isclosed": line_flag("isClosed"),
        "iscogs": constant("F"),
        "units": line_text("units"),
        "memo": line_text("description"),
        "createdfrom": text_of("createdFrom"),
        "entity": _entity,
        "location": line_text("location"),
    },
    scan=lambda account: (
        row
        for kind in TRANSACTION_TYPES
        for document in account.store.all(kind)
        for row in _transaction_lines(document)
    ),
    lookups={
        "transaction": lambda account, id_: (
            row
            for found in by_id(*TRANSACTION_TYPES)(account, id_)
            for row in _transaction_lines(found.document)
        )
    },
    display={"item": named("item", "item"), "units": named("unit", "units")},
)


# Links between transactions: one row per line of a follow-on document

_LINK_TYPES = {"itemFulfillment": "ShipRcpt", "invoice": "OrdBill"}


def _links_into(document: Document) -> Iterable[Row]:
    """Links of which this document is the next one."""
    order = text(document.body, "createdFrom")
    for line in objects(document.body, "item"):
        if order:
            yield _link(document, "SalesOrd", order, line, _LINK_TYPES[document.kind], line.get("amount"))
    for line in objects(document.body, "apply"):
        yield _link(document, "CustInvc", text(line, "doc"), line, "Payment", line.get("amount"))


def _link(document: Document, kind: str, previous: str, line: JsonObject, link: str, amount: object) -> Row:
    shown: JsonObject = {"previousdoc": previous, "previoustype": kind, "linktype": link, "amount": amount}
    shown |= {"previousline": line.get("orderLine", 0), "nextline": line.get("line")}
    return Row(document, shown)


def _links_from(account: Account, id_: str) -> Iterable[Row]:
    """Links of which the transaction is the previous one."""
    for kind, lists in (("salesOrder", ("_fulfilments", "_invoices")), ("invoice", ("_payments",))):
        document = account.store.get(kind, id_)
        if document is None:
            continue
        for name in lists:
            next_kind = {"_fulfilments": "itemFulfillment", "_invoices": "invoice"}.get(
                name, "customerPayment"
            )
            for next_id in texts(document.body, name):
                follower = account.store.get(next_kind, next_id)
                if follower is not None:
                    yield from (row for row in _links_into(follower) if row.line["previousdoc"] == id_)


_FOLLOWERS = ("itemFulfillment", "invoice", "customerPayment")
LINK = Table(
    columns={
        "previousdoc": line_text("previousdoc"),
        "previoustype": line_text("previoustype"),
        "previousline": line_number("previousline"),
        "nextdoc": id_of,
        "nexttype": lambda account, row: RECORD_TYPES[row.document.kind].suiteql_type,
        "nextline": line_number("nextline"),
        "linktype": line_text("linktype"),
        "foreignamount": line_number("amount"),
        "lastmodifieddate": modified,
    },
    scan=lambda account: (
        row for kind in _FOLLOWERS for document in account.store.all(kind) for row in _links_into(document)
    ),
    lookups={
        "previousdoc": _links_from,
        "nextdoc": lambda account, id_: (
            row for found in by_id(*_FOLLOWERS)(account, id_) for row in _links_into(found.document)
        ),
    },
)


TRACKING = Table(
    columns={
        "id": line_number("id"),
        "transaction": id_of,
        "trackingnumber": line_text("packageTrackingNumber"),
    },
    scan=lambda account: (
        row for document in account.store.all("itemFulfillment") for row in _packages(document)
    ),
    lookups={
        "transaction": lambda account, id_: (
            row for found in by_id("itemFulfillment")(account, id_) for row in _packages(found.document)
        )
    },
)
"""`trackingnumbermap`; unlike in a real account the number itself stands here, not its id."""


def _packages(document: Document) -> Iterable[Row]:
    for number, package in enumerate(objects(document.body, "package"), start=1):
        if text(package, "packageTrackingNumber"):
            yield Row(document, package | {"id": number})
