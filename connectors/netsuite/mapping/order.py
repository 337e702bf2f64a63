"""Orders: the sales order we write, and what NetSuite says of its progress. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ordermesh.common.v1 import external_ref_pb2
from ordermesh.connector.v1 import change_pb2
from ordermesh.order.v1 import order_pb2

from connectors.kit.exact_json import JsonObject
from connectors.netsuite.mapping.values import Row, date_of, decimal_of, money_of, render_address
from libs.common.errors import Refused
from libs.common.money import money_from, parse_quantity, render_decimal

PROGRESS = "netsuite.order_progress@1"

STATUS: Mapping[str, change_pb2.ErpOrderStatus.ValueType] = {
    "A": change_pb2.ERP_ORDER_STATUS_PENDING,  # Pending Approval
    "B": change_pb2.ERP_ORDER_STATUS_ACCEPTED,  # Pending Fulfillment
    "C": change_pb2.ERP_ORDER_STATUS_REJECTED,  # Cancelled: only people can, instead of approving
    "D": change_pb2.ERP_ORDER_STATUS_PARTLY_SHIPPED,  # Partially Fulfilled
    "E": change_pb2.ERP_ORDER_STATUS_PARTLY_SHIPPED,  # Pending Billing/Partially Fulfilled
    "F": change_pb2.ERP_ORDER_STATUS_SHIPPED,  # Pending Billing
    "G": change_pb2.ERP_ORDER_STATUS_INVOICED,  # Billed
    "H": change_pb2.ERP_ORDER_STATUS_CLOSED,  # Closed
}
ENDED = frozenset({"C", "H"})
"""Status of orders that cannot be cancelled any more, because they are."""
_SHIPPED = "C"


@dataclass(frozen=True, slots=True)
class References:
    """NetSuite's ids of what an order refers to. An id that is missing means: NetSuite has no such record."""

    customer_id: str
    currencies: Mapping[str, str]
    """By ISO 4217 code."""
    items: Mapping[str, str]
    """By SKU."""
    tax_codes: Mapping[str, str]
    """By code."""
    order_status: str = ""
    location_id: str = ""


SalesOrderMapping = Callable[[order_pb2.Order, References], JsonObject]


def sales_order_v1(order: order_pb2.Order, references: References) -> JsonObject:
    """The body of the upsert; our order id travels in the address, as external id.

    Refused with CURRENCY_UNKNOWN, PRODUCT_UNKNOWN, TAX_CODE_UNKNOWN, QUANTITY_INVALID at the field's path.
    """
    currency = references.currencies.get(order.currency_code)
    if currency is None:
        raise Refused.field("CURRENCY_UNKNOWN", "order.currency_code", "NetSuite has no such currency")
    body: JsonObject = {"entity": {"id": references.customer_id}, "currency": {"id": currency}}
    named = {"otherRefNum": order.purchase_order_number, "memo": order.memo}
    body |= {name: value for name, value in named.items() if value}
    if references.order_status:
        body["orderStatus"] = {"id": references.order_status}
    if references.location_id:
        body["location"] = {"id": references.location_id}
    if order.HasField("requested_date"):
        day = order.requested_date
        body["shipDate"] = f"{day.year:04}-{day.month:02}-{day.day:02}"
    if order.HasField("ship_to"):
        body["shippingAddress"] = render_address(order.ship_to)
    lines = [_line(line, place, references) for place, line in enumerate(order.lines)]
    return body | {"item": {"items": lines}}


def _line(line: order_pb2.OrderLine, place: int, references: References) -> JsonObject:
    path = f"order.lines[{place}]"
    item = references.items.get(line.sku)
    if item is None:
        raise Refused.field("PRODUCT_UNKNOWN", f"{path}.sku", "NetSuite has no such item")
    body: JsonObject = {
        "item": {"id": item},
        "quantity": parse_quantity(line.quantity, f"{path}.quantity"),
        "price": {"id": "-1"},  # the custom price level: take the rate as it is sent
        "rate": money_from(line.unit_price).amount,
    }
    if line.tax_code:
        tax_code = references.tax_codes.get(line.tax_code)
        if tax_code is None:
            raise Refused.field("TAX_CODE_UNKNOWN", f"{path}.tax_code", "NetSuite does not know the tax code")
        body["taxCode"] = {"id": tax_code}
    if line.description:
        body["description"] = line.description
    return body


SALES_ORDERS: Mapping[str, SalesOrderMapping] = {"netsuite.sales_order@1": sales_order_v1}
"""Every version that a replay may pin; the last is the current one."""

_LINE_FIELDS = {
    "item": "sku",
    "quantity": "quantity",
    "rate": "unit_price",
    "amount": "unit_price",
    "units": "unit_code",
    "taxcode": "tax_code",
    "description": "description",
}
_HEADER_FIELDS = {
    "entity": "sold_to",
    "currency": "currency_code",
    "otherrefnum": "purchase_order_number",
    "memo": "memo",
    "shipdate": "requested_date",
    "shippingaddress": "ship_to",
}
_LINE_PATH = re.compile(r"item\.items\[(\d+)\](?:\.(\w+))?")


def field_of(path: str) -> str:
    """Where in our order the field is that NetSuite names; its own path when we did not send it."""
    line = _LINE_PATH.match(path)
    if line is not None:
        field = _LINE_FIELDS.get((line[2] or "").lower(), "")
        return f"order.lines[{line[1]}]" + (f".{field}" if field else "")
    field = _HEADER_FIELDS.get(path.split(".", maxsplit=1)[0].lower(), "")
    return f"order.{field}" if field else path


# What comes back


def order_progress(system: str, header: Row, shipped: Sequence[Row]) -> change_pb2.OrderProgress:
    """header: one row of the orders. shipped: its fulfilment lines, rows of one fulfilment together.

    A status without counterpart stays unset: the service sets that one change aside, and the feed goes on.
    """
    status = STATUS.get(header.get("status", ""), change_pb2.ERP_ORDER_STATUS_UNSPECIFIED)
    progress = change_pb2.OrderProgress(status=status, number=header.get("tranid", ""))
    if "taxtotal" in header:
        progress.tax_total.CopyFrom(money_of(header, "taxtotal", header["currency"]))
    by_document: dict[str, list[Row]] = {}
    for row in shipped:
        if row.get("status") == _SHIPPED:  # picked and packed goods have not left
            by_document.setdefault(row["shipment"], []).append(row)
    progress.shipments.extend(_shipment(system, rows) for rows in by_document.values())
    return progress


def _shipment(system: str, rows: Sequence[Row]) -> order_pb2.Shipment:
    """One fulfilment. Several packages repeat its lines, once for each tracking number."""
    head = rows[0]
    quantities: dict[str, tuple[str, Decimal]] = {}
    for row in rows:
        quantities[row["line"]] = (row["sku"], abs(decimal_of(row, "quantity")))
    lines = [
        order_pb2.ShipmentLine(sku=sku, quantity=render_decimal(amount))
        for sku, amount in quantities.values()
    ]
    return order_pb2.Shipment(
        ref=external_ref_pb2.ExternalRef(system=system, external_id=head["shipment"]),
        number=head.get("tranid", ""),
        tracking_number=", ".join(dict.fromkeys(row["tracking"] for row in rows if row.get("tracking"))),
        ship_date=date_of(head, "shipped"),
        lines=lines,
    )
