"""Events and changes, ours and those of others, pure. Open this file when something is not told or not understood."""

from collections.abc import Sequence
from decimal import Decimal
from functools import cache

from google.protobuf.message import Message
from ordermesh.connector.v1 import change_pb2
from ordermesh.customer.v1 import customer_events_pb2, customer_pb2
from ordermesh.invoice.v1 import invoice_events_pb2, invoice_pb2
from ordermesh.order.v1 import order_events_pb2, order_pb2
from ordermesh.product.v1 import product_events_pb2, product_pb2

from libs.common import money
from libs.common.errors import Refused
from libs.common.ownership import ownership_of
from libs.common.wire import link_of_change, message_field, parse_date
from services.order import domain
from services.order.commands import TakeInProgress
from services.order.domain import Order, State
from services.order.wire.answers import shown

OWNERSHIP = ownership_of(order_pb2.Order.DESCRIPTOR)
ORDER_IN_EVENT = order_events_pb2.OrderReceived.ORDER_FIELD_NUMBER
"""The same in all order events."""
ERP_STATES: dict[int, State | None] = {
    change_pb2.ERP_ORDER_STATUS_PENDING: None,
    change_pb2.ERP_ORDER_STATUS_ACCEPTED: State.ACCEPTED,
    change_pb2.ERP_ORDER_STATUS_PARTLY_SHIPPED: State.PARTLY_SHIPPED,
    change_pb2.ERP_ORDER_STATUS_SHIPPED: State.SHIPPED,
    change_pb2.ERP_ORDER_STATUS_INVOICED: State.INVOICED,
    change_pb2.ERP_ORDER_STATUS_CLOSED: None,
    change_pb2.ERP_ORDER_STATUS_REJECTED: State.REJECTED,
}


def render_event(name: str, order: Order) -> tuple[str, bytes]:
    """Full name and data of an event: each holds the order just after the change."""
    return _full_name(name), message_field(ORDER_IN_EVENT, shown(order))


@cache
def _full_name(event: str) -> str:
    event_type: type[Message] = getattr(order_events_pb2, event)
    return event_type.DESCRIPTOR.full_name


def order_of_event(data: bytes) -> order_pb2.Order:
    """The order in an event; all order events have the same shape."""
    return order_events_pb2.OrderReceived.FromString(data).order


def render_change(
    order: order_pb2.Order, intent: change_pb2.Intent.ValueType, external_id: str, references: dict[str, str]
) -> change_pb2.Change:
    """What a connector is to write of an order."""
    return change_pb2.Change(
        kind=change_pb2.KIND_ORDER,
        intent=intent,
        key=order.order_id,
        external_id=external_id,
        reference_ids=references,
        order=order,
    )


def parse_progress(change: change_pb2.ExternalChange) -> TakeInProgress | None:
    """The ERP's word on one of our orders; None for a document that is not of our making."""
    if not change.key.startswith("ord_"):
        return None
    progress = change.order
    if change.deleted:
        parsed = domain.Progress(None, "", (), None, closed=True)
    else:
        if progress.status not in ERP_STATES:
            raise Refused("MAPPING_VALUE_UNKNOWN", f"ERP status {progress.status} has no counterpart")
        parsed = domain.Progress(
            state=ERP_STATES[progress.status],
            number=progress.number,
            shipments=tuple(_parse_shipment(shipment) for shipment in progress.shipments),
            tax_total=money.money_from(progress.tax_total) if progress.HasField("tax_total") else None,
            closed=progress.status == change_pb2.ERP_ORDER_STATUS_CLOSED,
        )
    link = link_of_change(change, progress.number)
    return TakeInProgress(change.key, link, parsed)


def _parse_shipment(message: order_pb2.Shipment) -> domain.Shipment:
    return domain.Shipment(
        system=message.ref.system,
        external_id=message.ref.external_id,
        number=message.number,
        tracking_number=message.tracking_number,
        ship_date=parse_date(message.ship_date, "ship_date"),
        lines=tuple((line.sku, Decimal(line.quantity.value or "0")) for line in message.lines),
    )


def known_customer(data: bytes) -> tuple[domain.KnownCustomer, Sequence[str]]:
    """A customer as orders know it, and the names it can be asked by."""
    customer = customer_events_pb2.CustomerChanged.FromString(data).customer
    links: dict[str, str] = {}
    for link in customer.links:
        links.setdefault(link.ref.system, link.ref.external_id)
    known = domain.KnownCustomer(
        customer.customer_id, customer.state == customer_pb2.CUSTOMER_STATE_ACTIVE, links
    )
    parties = [domain.Party(customer_id=customer.customer_id)]
    parties += [
        domain.Party(system=link.ref.system, external_id=link.ref.external_id) for link in customer.links
    ]
    return known, [domain.customer_name(party) for party in parties]


def known_product(data: bytes) -> domain.KnownProduct:
    product = product_events_pb2.ProductChanged.FromString(data).product
    links = {link.ref.system: link.ref.external_id for link in product.links}
    active = product.state == product_pb2.PRODUCT_STATE_ACTIVE
    return domain.KnownProduct(product.sku, active, product.unit_code, links)


def invoiced_order(data: bytes) -> str:
    """Order id of an invoice event."""
    return invoice_events_pb2.InvoiceChanged.FromString(data).invoice.order_id


def order_invoice(data: bytes) -> tuple[str, domain.Invoice]:
    """Order id and invoice of an invoice event."""
    invoice = invoice_events_pb2.InvoiceChanged.FromString(data).invoice
    return invoice.order_id, domain.Invoice(
        invoice_id=invoice.invoice_id,
        number=invoice.number,
        net_total=money.money_from(invoice.net_total),
        total=money.money_from(invoice.total),
        amount_due=money.money_from(invoice.amount_due),
        void=invoice.state == invoice_pb2.INVOICE_STATE_VOID,
    )
