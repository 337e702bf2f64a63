"""Messages to domain and back, pure. Open this file when a field is missing on the wire, or refused at the door."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TypeVar

from google.protobuf.message import Message
from google.type.money_pb2 import Money as MoneyMessage
from ordermesh.common.v1 import address_pb2, external_ref_pb2
from ordermesh.connector.v1 import change_pb2, connector_service_pb2
from ordermesh.customer.v1 import customer_events_pb2, customer_pb2
from ordermesh.invoice.v1 import invoice_events_pb2, invoice_pb2
from ordermesh.order.v1 import order_events_pb2, order_pb2, order_service_pb2
from ordermesh.product.v1 import product_events_pb2, product_pb2

from libs.common import money
from libs.common.aggregate import Link
from libs.common.errors import Refused, Violation
from libs.common.ownership import refuse_output_only
from libs.common.wire import link_of_change, parse_date, render_date, render_link, render_time
from services.order import domain
from services.order.commands import Availability, Credit, Decide, Mend, SubmitOrder, TakeInProgress
from services.order.domain import Order, OrderLine, State

VIOLATIONS_MAX = 50
R = TypeVar("R")

ERP_STATES: dict[int, State | None] = {
    change_pb2.ERP_ORDER_STATUS_PENDING: None,
    change_pb2.ERP_ORDER_STATUS_ACCEPTED: State.ACCEPTED,
    change_pb2.ERP_ORDER_STATUS_PARTLY_SHIPPED: State.PARTLY_SHIPPED,
    change_pb2.ERP_ORDER_STATUS_SHIPPED: State.SHIPPED,
    change_pb2.ERP_ORDER_STATUS_INVOICED: State.INVOICED,
    change_pb2.ERP_ORDER_STATUS_CLOSED: None,
    change_pb2.ERP_ORDER_STATUS_REJECTED: State.REJECTED,
}


# Requests ------------------------------------------------------------------------------------------------------


class Collected:
    """Violations gathered, so that a caller learns of all of them at once."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def parse(self, parse: Callable[[], R], fallback: R) -> R:
        try:
            return parse()
        except Refused as error:
            self.violations.extend(error.violations)
            return fallback

    def refuse(self) -> None:
        if self.violations:
            first = self.violations[0]
            raise Refused(first.reason, first.description, violations=self.violations[:VIOLATIONS_MAX])


def parse_submit_order(request: order_service_pb2.SubmitOrderRequest) -> SubmitOrder:
    """Refused with QUANTITY_INVALID, PRICE_INVALID, CURRENCY_UNKNOWN, OWNERSHIP_VIOLATION and the field's path."""
    order = request.order
    refuse_output_only(order, "order")
    if order.currency_code not in money.CURRENCY_DECIMALS:
        raise Refused.field("CURRENCY_UNKNOWN", "order.currency_code", "is not an ISO 4217 code in use")
    collected = Collected()
    unnumbered = all(line.line_number == 0 for line in order.lines)
    lines = [
        _parse_line(collected, f"order.lines[{index}]", line, index + 1 if unnumbered else line.line_number)
        for index, line in enumerate(order.lines)
    ]
    requested = collected.parse(lambda: parse_date(order.requested_date, "order.requested_date"), None)
    total = None
    if order.HasField("total"):
        total = collected.parse(
            lambda: _parse_total(order.total, order.currency_code), money.zero(order.currency_code)
        )
    collected.refuse()
    return SubmitOrder(
        sold_to=_parse_party(order.sold_to),
        purchase_order_number=order.purchase_order_number,
        currency=order.currency_code,
        lines=tuple(lines),
        total=total,
        ship_to=_parse_address(order.ship_to) if order.HasField("ship_to") else None,
        requested_date=requested,
        memo=order.memo,
        region=order.region,
        business_unit=order.business_unit,
        source_system=order.source.system,
        source_id=order.source.external_id,
    )


def _parse_total(message: MoneyMessage, currency: str) -> money.Money:
    if message.currency_code != currency:
        raise Refused.field("CURRENCY_MIXED", "order.total.currency_code", f"the order is in {currency}")
    return money.money_from(message)


def _parse_line(collected: Collected, path: str, line: order_pb2.OrderLine, line_number: int) -> OrderLine:
    quantity = collected.parse(lambda: money.parse_quantity(line.quantity, f"{path}.quantity"), Decimal(1))
    price = collected.parse(
        lambda: money.parse_money(line.unit_price, "PRICE_INVALID", f"{path}.unit_price"), money.zero("USD")
    )
    if line_number == 0:
        collected.violations.append(
            Violation(f"{path}.line_number", "number all lines or none", "INVALID_FIELD")
        )
    return OrderLine(
        line_number=line_number,
        sku=line.sku,
        quantity=quantity,
        unit_price=price,
        unit_code=line.unit_code,
        tax_code=line.tax_code,
        description=line.description,
        source_line_id=line.source_line_id,
    )


def _parse_party(party: order_pb2.PartyRef) -> domain.Party:
    if party.WhichOneof("party") == "external":
        return domain.Party(system=party.external.system, external_id=party.external.external_id)
    return domain.Party(customer_id=party.customer_id)


def _parse_address(message: address_pb2.Address) -> domain.Address:
    return domain.Address(
        message.addressee,
        tuple(message.lines),
        message.locality,
        message.region,
        message.postal_code,
        message.country_code,
    )


def parse_correct_order(request: order_service_pb2.CorrectOrderRequest) -> Mend:
    lines = tuple(
        (
            line.line_number,
            line.tax_code if line.HasField("tax_code") else None,
            line.description if line.HasField("description") else None,
        )
        for line in request.lines
    )
    number = request.purchase_order_number if request.HasField("purchase_order_number") else None
    memo = request.memo if request.HasField("memo") else None
    correction = domain.Correction(lines, number, memo)
    return Mend(Decide(request.order_id, request.reason, request.etag), correction)


Decision = (
    order_service_pb2.HoldOrderRequest
    | order_service_pb2.ReleaseOrderRequest
    | order_service_pb2.ApproveOrderRequest
    | order_service_pb2.CancelOrderRequest
)


def parse_decision(request: Decision) -> Decide:
    return Decide(request.order_id, request.reason, request.etag)


# Answers -------------------------------------------------------------------------------------------------------


def render_submitted_order(order: Order) -> order_service_pb2.SubmitOrderResponse:
    return order_service_pb2.SubmitOrderResponse(
        order_id=order.record_id,
        correlation_id=order.correlation_id,
        status_url=f"/v1/orders/{order.record_id}",
        order=render_order(order),
    )


def render_corrected_order(order: Order) -> order_service_pb2.CorrectOrderResponse:
    return order_service_pb2.CorrectOrderResponse(order=render_order(order))


def render_held_order(order: Order) -> order_service_pb2.HoldOrderResponse:
    return order_service_pb2.HoldOrderResponse(order=render_order(order))


def render_released_order(order: Order) -> order_service_pb2.ReleaseOrderResponse:
    return order_service_pb2.ReleaseOrderResponse(order=render_order(order))


def render_approved_order(order: Order) -> order_service_pb2.ApproveOrderResponse:
    return order_service_pb2.ApproveOrderResponse(order=render_order(order))


def render_cancelled_order(order: Order) -> order_service_pb2.CancelOrderResponse:
    return order_service_pb2.CancelOrderResponse(order=render_order(order))


def render_order(order: Order) -> order_pb2.Order:
    """The order as callers and connectors see it."""
    message = order_pb2.Order(
        order_id=order.record_id,
        sold_to=_render_party(order.sold_to),
        purchase_order_number=order.purchase_order_number,
        currency_code=order.currency,
        lines=[_render_line(line) for line in order.lines],
        total=money.render_money(order.total),
        requested_date=render_date(order.requested_date),
        memo=order.memo,
        region=order.region,
        business_unit=order.business_unit,
        state=order_pb2.OrderState.ValueType(order.state),
        stage=order_pb2.OrderStage.ValueType(order.stage),
        erp=order.erp,
        links=[render_link(link) for link in order.links],
        shipments=[_render_shipment(shipment) for shipment in order.shipments],
        invoices=[_render_invoice(invoice) for invoice in order.invoices if not invoice.void],
        reason=order.reason,
        customer_id=order.customer_id,
        erp_number=order.erp_number,
        cancel_requested=order.cancel_requested,
        create_time=render_time(order.create_time),
        update_time=render_time(order.update_time),
        etag=order.etag,
        correlation_id=order.correlation_id,
    )
    if order.ship_to:
        message.ship_to.CopyFrom(_render_address(order.ship_to))
    if order.source_system:
        message.source.system, message.source.external_id = order.source_system, order.source_id
    if order.hold:
        message.hold.CopyFrom(_render_hold(order.hold))
    if order.tax_total:
        message.tax_total.CopyFrom(money.render_money(order.tax_total))
    return message


def _render_party(party: domain.Party) -> order_pb2.PartyRef:
    if party.customer_id:
        return order_pb2.PartyRef(customer_id=party.customer_id)
    ref = external_ref_pb2.ExternalRef(system=party.system, external_id=party.external_id)
    return order_pb2.PartyRef(external=ref)


def _render_line(line: OrderLine) -> order_pb2.OrderLine:
    return order_pb2.OrderLine(
        line_number=line.line_number,
        sku=line.sku,
        quantity=money.render_decimal(line.quantity),
        unit_code=line.unit_code,
        unit_price=money.render_money(line.unit_price),
        tax_code=line.tax_code,
        description=line.description,
        source_line_id=line.source_line_id,
        shipped_quantity=money.render_decimal(line.shipped_quantity) if line.shipped_quantity else None,
    )


def _render_address(address: domain.Address) -> address_pb2.Address:
    return address_pb2.Address(
        addressee=address.addressee,
        lines=address.lines,
        locality=address.locality,
        region=address.region,
        postal_code=address.postal_code,
        country_code=address.country_code,
    )


def _render_hold(hold: domain.Hold) -> order_pb2.Hold:
    return order_pb2.Hold(
        reason=hold.reason,
        note=hold.note,
        requested_by=hold.requested_by,
        requested_time=render_time(hold.requested_time),
        expire_time=render_time(hold.expire_time),
    )


def _render_shipment(shipment: domain.Shipment) -> order_pb2.Shipment:
    return order_pb2.Shipment(
        ref=external_ref_pb2.ExternalRef(system=shipment.system, external_id=shipment.external_id),
        number=shipment.number,
        tracking_number=shipment.tracking_number,
        ship_date=render_date(shipment.ship_date),
        lines=[
            order_pb2.ShipmentLine(sku=sku, quantity=money.render_decimal(quantity))
            for sku, quantity in shipment.lines
        ],
    )


def _render_invoice(invoice: domain.Invoice) -> order_pb2.OrderInvoice:
    return order_pb2.OrderInvoice(
        invoice_id=invoice.invoice_id,
        number=invoice.number,
        total=money.render_money(invoice.total),
        amount_due=money.render_money(invoice.amount_due),
        net_total=money.render_money(invoice.net_total),
    )


# Events and changes --------------------------------------------------------------------------------------------


def render_event(name: str, order: Order) -> tuple[str, bytes]:
    """Full name and data of an event: each holds the order just after the change."""
    event_type: type[Message] = getattr(order_events_pb2, name)
    data = event_type(order=render_order(order)).SerializeToString()
    return event_type.DESCRIPTOR.full_name, data


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


def link_of_receipt(system: str, receipt: change_pb2.Receipt) -> Link | None:
    """The link a system's answer teaches; None when it named no id."""
    if not receipt.external_id:
        return None
    return Link(system, receipt.external_id, receipt.number)


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


# Events of other services --------------------------------------------------------------------------------------


def known_customer(data: bytes) -> tuple[domain.KnownCustomer, Sequence[str]]:
    """A customer as orders know it, and the names it can be asked by."""
    customer = customer_events_pb2.CustomerChanged.FromString(data).customer
    links = {link.ref.system: link.ref.external_id for link in customer.links}
    known = domain.KnownCustomer(
        customer.customer_id, customer.state == customer_pb2.CUSTOMER_STATE_ACTIVE, links
    )
    names = [customer_name(customer_id=customer.customer_id)]
    return known, [*names, *(customer_name(system, external_id) for system, external_id in links.items())]


def customer_name(system: str = "", external_id: str = "", *, customer_id: str = "") -> str:
    """Name under which a customer is kept."""
    return f"customer/{customer_id}" if customer_id else f"customer/{system}/{external_id}"


def product_name(sku: str) -> str:
    """Name under which a product is kept."""
    return f"product/{sku}"


def known_product(data: bytes) -> domain.KnownProduct:
    product = product_events_pb2.ProductChanged.FromString(data).product
    links = {link.ref.system: link.ref.external_id for link in product.links}
    active = product.state == product_pb2.PRODUCT_STATE_ACTIVE
    return domain.KnownProduct(product.sku, active, product.unit_code, links)


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


# Questions to the ERP ------------------------------------------------------------------------------------------


def credit_question(order: Order, customer_external_id: str) -> connector_service_pb2.CheckCreditRequest:
    return connector_service_pb2.CheckCreditRequest(
        customer_external_id=customer_external_id, amount=money.render_money(order.total)
    )


def credit_answer(answer: connector_service_pb2.CheckCreditResponse) -> Credit:
    verdicts = {
        connector_service_pb2.CREDIT_VERDICT_COVERED: Credit.COVERED,
        connector_service_pb2.CREDIT_VERDICT_OVER_LIMIT: Credit.OVER_LIMIT,
        connector_service_pb2.CREDIT_VERDICT_ON_HOLD: Credit.ON_HOLD,
    }
    if answer.verdict not in verdicts:
        raise Refused("MAPPING_VALUE_UNKNOWN", f"credit verdict {answer.verdict} has no counterpart")
    return verdicts[answer.verdict]


def availability_question(order: Order) -> connector_service_pb2.CheckAvailabilityRequest:
    return connector_service_pb2.CheckAvailabilityRequest(lines=[_render_line(line) for line in order.lines])


def availability_answer(
    order: Order, answer: connector_service_pb2.CheckAvailabilityResponse
) -> Availability:
    """Line numbers that cannot be promised now."""
    wanted = {line.line_number: line.quantity for line in order.lines}
    short = tuple(
        line.line_number
        for line in answer.lines
        if line.HasField("quantity_available")
        and Decimal(line.quantity_available.value or "0") < wanted.get(line.line_number, Decimal(0))
    )
    return Availability(short)


def tax_question(order: Order) -> connector_service_pb2.CalculateTaxRequest:
    return connector_service_pb2.CalculateTaxRequest(order=render_order(order))


def tax_answer(answer: connector_service_pb2.CalculateTaxResponse) -> money.Money:
    return money.money_from(answer.tax_total)
