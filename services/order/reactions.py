"""What follows what. Open this file to learn who hears of an event, and what each stage asks and runs.

`HEARS` can be read aloud: after the order was taxed, its ERP hears of it. `{erp}` and `{crm}` are the systems routing
picked for the order, `{stage}` is the stage it stands at.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeVar

from ordermesh.common.v1 import event_pb2
from ordermesh.connector.v1 import change_pb2, connector_service_pb2

from libs.common.context import current_context
from libs.common.durable.model import Delivery, Follow, StoredEvent
from libs.common.durable.targets import Outgoing
from libs.common.errors import Refused
from libs.common.wire import link_of_receipt
from services.order import commands, wire
from services.order.domain import KnownCustomer, KnownProduct, Order, OrderEvent, Party, reference_ids

A = TypeVar("A")
CRM = "connector:{crm}"
ERP = "connector:{erp}"
NEXT = "stage:{stage}"
STREAM = "stream"

HEARS: Mapping[OrderEvent, Sequence[str]] = {
    OrderEvent.RECEIVED: ("stage:validate", CRM, STREAM),
    OrderEvent.VALIDATED: ("stage:credit", STREAM),
    OrderEvent.CREDIT_CLEARED: ("stage:availability", STREAM),
    OrderEvent.AVAILABILITY_CONFIRMED: ("stage:tax", STREAM),
    OrderEvent.TAXED: (ERP, STREAM),
    OrderEvent.POSTED: (CRM, STREAM),
    OrderEvent.ACCEPTED: (CRM, STREAM),
    OrderEvent.PARTLY_SHIPPED: (CRM, STREAM),
    OrderEvent.SHIPPED: (CRM, STREAM),
    OrderEvent.INVOICED: (CRM, STREAM),
    OrderEvent.PAID: (CRM, STREAM),
    OrderEvent.HELD: (CRM, STREAM),
    OrderEvent.RELEASED: (NEXT, CRM, STREAM),
    OrderEvent.APPROVED: (NEXT, CRM, STREAM),
    OrderEvent.CORRECTED: (STREAM,),
    OrderEvent.PROGRESSED: (CRM, STREAM),
    OrderEvent.CANCEL_REQUESTED: (ERP, STREAM),
    OrderEvent.REJECTED: (CRM, STREAM),
    OrderEvent.CANCELLED: (CRM, STREAM),
    OrderEvent.LINKED: (STREAM,),
}
STAGES = ("validate", "credit", "availability", "tax")


def targets(event: str, order: Order) -> list[str]:
    """Who hears of an event of this order."""
    named = {"erp": order.erp, "crm": order.crm, "stage": order.stage.name.lower()}
    return [target.format_map(named) for target in HEARS[OrderEvent(event)]]


class Questions(Protocol):
    """The calls of `ConnectorServiceStub` that stages make."""

    @property
    def CheckCredit(
        self,
    ) -> Callable[
        [connector_service_pb2.CheckCreditRequest], Awaitable[connector_service_pb2.CheckCreditResponse]
    ]: ...

    @property
    def CheckAvailability(
        self,
    ) -> Callable[
        [connector_service_pb2.CheckAvailabilityRequest],
        Awaitable[connector_service_pb2.CheckAvailabilityResponse],
    ]: ...

    @property
    def CalculateTax(
        self,
    ) -> Callable[
        [connector_service_pb2.CalculateTaxRequest], Awaitable[connector_service_pb2.CalculateTaxResponse]
    ]: ...


class Reads(Protocol):
    """What reactions look up before they ask or tell, outside any transaction."""

    async def get(self, tenant: str, record_id: str) -> Order | None: ...

    async def known(
        self, tenant: str, party: Party, skus: Sequence[str]
    ) -> tuple[KnownCustomer | None, dict[str, KnownProduct]]: ...


class Reactions:
    """What the order service does because of an event."""

    def __init__(self, reads: Reads, erps: Mapping[str, Questions]) -> None:
        self._reads = reads
        self._erps = erps
        self.stages: Mapping[str, Callable[[StoredEvent], Awaitable[Follow]]] = {
            "validate": self._validate,
            "credit": self._ask_credit,
            "availability": self._ask_availability,
            "tax": self._ask_tax,
        }

    # Stages: ask here, record the answer in the settling commit --------------------------------------

    async def _validate(self, event: StoredEvent) -> Follow:
        return partial(commands.validate_order, event.record_id)

    async def _ask_credit(self, event: StoredEvent) -> Follow:
        order = await self._order(event)
        external_id = (await self._references(order, order.erp)).get(order.customer_id)
        if external_id is None:
            raise Refused("CUSTOMER_UNKNOWN", f"the customer has no link to {order.erp}")
        try:
            answer = await self._erps[order.erp].CheckCredit(wire.credit_question(order, external_id))
        except Refused as error:
            credit = _unless_not_supported(error, commands.Credit.COVERED)
        else:
            credit = wire.credit_answer(answer)
        return partial(commands.record_credit, event.record_id, credit)

    async def _ask_availability(self, event: StoredEvent) -> Follow:
        order = await self._order(event)
        try:
            answer = await self._erps[order.erp].CheckAvailability(wire.availability_question(order))
        except Refused as error:
            availability = _unless_not_supported(error, commands.Availability(()))
        else:
            availability = wire.availability_answer(order, answer)
        return partial(commands.record_availability, event.record_id, availability)

    async def _ask_tax(self, event: StoredEvent) -> Follow:
        order = await self._order(event)
        try:
            answer = await self._erps[order.erp].CalculateTax(wire.tax_question(order))
        except Refused as error:
            tax_total = _unless_not_supported(error, None)
        else:
            tax_total = wire.tax_answer(answer)
        return partial(commands.record_tax, event.record_id, tax_total)

    # Connectors ---------------------------------------------------------------------------------------

    async def tell_erp(self, system: str, delivery: Delivery) -> Outgoing | None:
        """Posts the order as it is now, corrections included, or cancels it."""
        order = await self._order(delivery.event)
        references = await self._references(order, system)
        cancels = delivery.event.name == OrderEvent.CANCEL_REQUESTED
        intent = change_pb2.INTENT_CANCEL if cancels else change_pb2.INTENT_UPSERT
        link = order.link_of(system)
        change = wire.render_change(
            wire.render_order(order), intent, link.external_id if link else "", references
        )
        if cancels:
            return Outgoing(change, lambda receipt: partial(commands.record_cancelled, order.record_id))
        return Outgoing(change, partial(_posted, system, order.record_id), creates=True)

    async def tell_crm(self, system: str, delivery: Delivery) -> Outgoing | None:
        """Tells the state the event speaks of, so that every step is seen, in order."""
        order = await self._order(delivery.event)
        references = await self._references(order, system)
        told = wire.order_of_event(delivery.event.data)
        link = order.link_of(system)
        change = wire.render_change(
            told, change_pb2.INTENT_UPSERT, link.external_id if link else "", references
        )
        return Outgoing(change, partial(_linked, system, order.record_id))

    async def _order(self, event: StoredEvent) -> Order:
        order = await self._reads.get(event.tenant, event.record_id)
        assert order is not None, f"{event.subject} has events and no record"
        return order

    async def _references(self, order: Order, system: str) -> dict[str, str]:
        customer, products = await self._reads.known(
            current_context().tenant, order.sold_to, [line.sku for line in order.lines]
        )
        return reference_ids(customer, products, system)


def _unless_not_supported(error: Refused, instead: A) -> A:
    """Some ERPs answer a question only when they save the document; the stage then has nothing to wait for."""
    if error.reason != "NOT_SUPPORTED":
        raise error
    return instead


def _posted(system: str, order_id: str, receipt: change_pb2.Receipt) -> Follow:
    link = link_of_receipt(system, receipt)
    if link is None:
        raise Refused("ERP_REFUSED", "the ERP named no document")
    return partial(commands.record_posted, order_id, link)


def _linked(system: str, order_id: str, receipt: change_pb2.Receipt) -> Follow | None:
    link = link_of_receipt(system, receipt)
    return partial(commands.record_link, order_id, link) if link else None


# Events and changes from elsewhere --------------------------------------------------------------------


async def take_in_event(event: event_pb2.Event, tx: commands.OrderTx) -> None:
    """Runs what follows from another service's event. Refused with EVENT_UNKNOWN."""
    service, name = event.type.split(".")[1], event.type.rsplit(".", 1)[1]
    if service == "customer":
        customer, names = wire.known_customer(event.data)
        await commands.keep_customer(customer, names, tx)
    elif service == "product":
        await commands.keep_product(wire.known_product(event.data), tx)
    elif service == "invoice":
        order_id, invoice = wire.order_invoice(event.data)
        await commands.take_in_invoice(order_id, invoice, tx)
    else:
        raise Refused("EVENT_UNKNOWN", name)


async def take_in_change(change: change_pb2.ExternalChange, tx: commands.OrderTx) -> None:
    """Takes the ERP's word on an order in; a document that is not of our making is none of our business."""
    progress = wire.parse_progress(change)
    if progress is not None:
        await commands.take_in_progress(progress, tx)
