"""What follows what. Open this file to learn who hears of an event, and what each stage asks and runs.

`HEARS` can be read aloud: after the order was taxed, its ERP hears of it. `{erp}` and `{crm}` are the systems routing
picked for the order, `{stage}` is the stage it stands at. A stage hears only while the order waits for it: what was
answered ahead needs no delivery.

asking.py  how the ERP is asked
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import lru_cache, partial
from typing import Protocol

from ordermesh.common.v1 import event_pb2
from ordermesh.connector.v1 import change_pb2

from libs.common.clock import Clock
from libs.common.context import current_context
from libs.common.durable.lanes import Lane
from libs.common.durable.model import Delivery, Follow, StoredEvent
from libs.common.durable.targets import Outgoing
from libs.common.errors import OrdermeshError, Refused
from libs.common.wire import link_of_receipt
from services.order import commands, wire
from services.order.commands import Answers, Availability, Credit, Tax
from services.order.domain import (
    KnownCustomer,
    KnownProduct,
    Order,
    OrderEvent,
    Party,
    Stage,
    check_references,
    reference_ids,
)
from services.order.reactions.asking import Erp, Reply

CRM = "connector:{crm}"
ERP = "connector:{erp}"
STAGE = "stage:"
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
STAGES = (Stage.VALIDATE, Stage.CREDIT, Stage.AVAILABILITY, Stage.TAX)
QUESTIONS = STAGES[1:]
"""Stages that ask the ERP; none needs the answer of another."""
HEARD_MAX = 1_000
"""Answers to "who hears" remembered: one for each event, stage and route."""


def targets(event: str, order: Order) -> Sequence[str]:
    """Who hears of an event of this order."""
    awaited = order.stage if order.awaits(order.stage) else None
    return _targets(event, order.erp, order.crm, awaited)


@lru_cache(HEARD_MAX)
def _targets(event: str, erp: str, crm: str, awaited: Stage | None) -> Sequence[str]:
    next_stage = f"{STAGE}{awaited.name.lower()}" if awaited is not None else ""
    named = {"erp": erp, "crm": crm, "stage": next_stage.removeprefix(STAGE)}
    heard = [target.format_map(named) for target in HEARS[OrderEvent(event)]]
    return tuple(target for target in heard if target == next_stage or not target.startswith(STAGE))


class Reads(Protocol):
    """What reactions look up before they ask or tell, outside any transaction."""

    async def get(self, tenant: str, record_id: str) -> Order | None: ...

    async def known(
        self, tenant: str, party: Party, skus: Sequence[str]
    ) -> tuple[KnownCustomer | None, dict[str, KnownProduct]]: ...


class Reactions:
    """What the order service does because of an event."""

    def __init__(
        self,
        reads: Reads,
        erps: Mapping[str, Erp],
        lanes: Callable[[], Mapping[str, Lane]],
        clock: Clock,
    ) -> None:
        self._reads = reads
        self._erps = erps
        self._lanes = lanes
        self._clock = clock
        self.stages: Mapping[str, Callable[[StoredEvent], Awaitable[Follow]]] = {
            stage.name.lower(): partial(self._advance, stage) for stage in STAGES
        }

    # Stages: ask here, record the answers in the settling commit --------------------------------------

    async def _advance(self, stage: Stage, event: StoredEvent) -> Follow:
        """Asks all that is left to ask; what is answered is recorded stage after stage, in one commit.

        Where an answer is missing, its stage gets a delivery of its own, with its own retries and its own place in the
        exception queue. Only what the stage itself asks can fail this one.
        """
        order = await self._order(event)
        if not order.awaits(stage):
            return _moved_on
        customer, products = await self._known(order)
        if stage is Stage.VALIDATE:
            check_references(order, customer, products)
        external_id = reference_ids(customer, products, order.erp).get(order.customer_id, "")
        replies = await self._erps[order.erp].ask(order, external_id, self._asked_now(stage))
        self._tell_lanes(stage, replies)
        own = replies.get(stage)
        if isinstance(own, OrdermeshError):
            raise own
        return partial(commands.advance_order, order, _answers(replies))

    def _asked_now(self, stage: Stage) -> list[Stage]:
        """Itself and those after it, up to one whose lane is to be left alone: its own delivery will find out more."""
        asked: list[Stage] = []
        for question in QUESTIONS:
            if question > stage and not self._lane(question).is_sound(self._clock.now()):
                break
            if question >= stage:
                asked.append(question)
        return asked

    def _tell_lanes(self, stage: Stage, replies: Mapping[Stage, Reply]) -> None:
        """What was asked ahead speaks of the ERP as if its own delivery had asked; the relay hears `stage`."""
        for question, reply in replies.items():
            if question is stage:
                continue
            if isinstance(reply, OrdermeshError):
                self._lane(question).failed(reply, self._clock.now())
            else:
                self._lane(question).succeeded()

    def _lane(self, stage: Stage) -> Lane:
        return self._lanes()[f"{STAGE}{stage.name.lower()}"]

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
        return reference_ids(*await self._known(order), system)

    async def _known(self, order: Order) -> tuple[KnownCustomer | None, dict[str, KnownProduct]]:
        skus = [line.sku for line in order.lines]
        return await self._reads.known(current_context().tenant, order.sold_to, skus)


async def _moved_on(tx: commands.OrderTx) -> None:
    """Another delivery has taken the order past this stage, or it is on hold and its release will ask."""


def _answers(replies: Mapping[Stage, Reply]) -> Answers:
    credit, availability, tax = (replies.get(stage) for stage in QUESTIONS)
    return Answers(
        credit if isinstance(credit, Credit) else None,
        availability if isinstance(availability, Availability) else None,
        tax if isinstance(tax, Tax) else None,
    )


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


def subjects_of_event(event: event_pb2.Event) -> Collection[str]:
    """Records that taking it in asks for."""
    return (
        [f"orders/{wire.invoiced_order(event.data)}"] if event.type.startswith("ordermesh.invoice.") else ()
    )


async def take_in_change(change: change_pb2.ExternalChange, tx: commands.OrderTx) -> None:
    """Takes the ERP's word on an order in; a document that is not of our making is none of our business."""
    progress = wire.parse_progress(change)
    if progress is not None:
        await commands.take_in_progress(progress, tx)
