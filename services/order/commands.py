"""What can be done to orders, one function per intention. Open this file to read a use case from end to end.

Each runs inside one commit and may run again when the commit fails, so nothing here has an effect of its own.
`OrderTx` is the port: what a command needs of its transaction.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Protocol

from libs.common.aggregate import Link, is_stale
from libs.common.command import CommandTx
from libs.common.errors import NotDone, Refused
from libs.common.money import Money
from libs.common.value import value
from services.order import domain
from services.order.domain import Order, Stage

APPROVAL_TIME = timedelta(days=3)
"""How long an approver has."""


class Orders(Protocol):
    """The orders of the caller's tenant."""

    async def get(self, record_id: str) -> Order | None: ...

    async def put(self, record: Order) -> Order: ...


class References(Protocol):
    """Copies of customers and products, kept from their services' events."""

    async def customer(self, party: domain.Party) -> domain.KnownCustomer | None: ...

    async def products(self, skus: Sequence[str]) -> dict[str, domain.KnownProduct]: ...

    def keep_customer(self, customer: domain.KnownCustomer, names: Sequence[str]) -> None: ...

    def keep_product(self, product: domain.KnownProduct) -> None: ...


class Routing(Protocol):
    """Which ERP and CRM an order belongs to. Refused with ROUTE_NOT_CONFIGURED."""

    def __call__(self, tenant: str, region: str, business_unit: str, /) -> tuple[str, str]: ...


class OrderTx(CommandTx, Protocol):
    """One command's transaction."""

    @property
    def orders(self) -> Orders: ...

    @property
    def references(self) -> References: ...

    @property
    def route(self) -> Routing: ...

    @property
    def backorders(self) -> bool: ...

    async def close_way(self, order: Order) -> None:
        """Closes what is parked of the order on its way to the ERP: it has arrived, or never will."""


@value()
class SubmitOrder:
    """An order as handed in. `total` is None when the caller stated none."""

    sold_to: domain.Party
    purchase_order_number: str
    currency: str
    lines: tuple[domain.OrderLine, ...]
    total: Money | None
    ship_to: domain.Address | None
    requested_date: date | None
    memo: str
    region: str
    business_unit: str
    source_system: str
    source_id: str


@dataclass(frozen=True, slots=True)
class Decide:
    """A person's decision about one order. An empty etag skips the version check."""

    order_id: str
    note: str
    etag: str


@dataclass(frozen=True, slots=True)
class Mend:
    """A correction of one order."""

    decision: Decide
    correction: domain.Correction


@dataclass(frozen=True, slots=True)
class TakeInProgress:
    """The ERP's word on one order."""

    order_id: str
    link: Link
    progress: domain.Progress


class Credit(StrEnum):
    """The ERP's word on credit."""

    COVERED = ""
    OVER_LIMIT = "CREDIT_LIMIT_EXCEEDED"
    ON_HOLD = "CREDIT_HOLD"


@dataclass(frozen=True, slots=True)
class Availability:
    """The ERP's word on stock: numbers of the lines that cannot be promised now."""

    short: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Tax:
    """The ERP's word on tax; None where it computes tax when it saves the document."""

    total: Money | None


Answer = Credit | Availability | Tax


@dataclass(frozen=True, slots=True)
class Answers:
    """What the ERP has said of an order; None where it was not asked or has not answered."""

    credit: Credit | None = None
    availability: Availability | None = None
    tax: Tax | None = None


# Callers ---------------------------------------------------------------------------------------------------------


async def submit_order(command: SubmitOrder, tx: OrderTx) -> Order:
    """Accepts an order. Customer and products must be known; the ERP is asked later."""
    erp, crm = tx.route(tx.context.tenant, command.region, command.business_unit)
    customer = await tx.references.customer(command.sold_to)
    lines_total = domain.sum_of(command.lines, command.currency)
    order = Order(
        tenant=tx.context.tenant,
        record_id=tx.new_id("ord"),
        create_time=tx.now,
        update_time=tx.now,
        correlation_id=tx.context.correlation_id,
        traceparent=tx.context.traceparent,
        sold_to=command.sold_to,
        customer_id=customer.customer_id if customer else "",
        currency=command.currency,
        lines=command.lines,
        total=command.total or lines_total,
        erp=erp,
        crm=crm,
        submitted_by=tx.context.actor,
        purchase_order_number=command.purchase_order_number,
        ship_to=command.ship_to,
        requested_date=command.requested_date,
        memo=command.memo,
        region=command.region,
        business_unit=command.business_unit,
        source_system=command.source_system,
        source_id=command.source_id,
    ).received(lines_total)
    domain.check_references(order, customer, await tx.references.products([line.sku for line in order.lines]))
    return await tx.orders.put(order)


async def correct_order(command: Mend, tx: OrderTx) -> Order:
    order = await _decided(command.decision, tx)
    return await tx.orders.put(order.corrected(command.correction))


async def hold_order(command: Decide, tx: OrderTx) -> Order:
    order = await _decided(command, tx)
    return await tx.orders.put(order.held(_hold(domain.REQUESTED, command.note, tx.context.actor, tx.now)))


async def release_order(command: Decide, tx: OrderTx) -> Order:
    return await tx.orders.put((await _decided(command, tx)).released())


async def approve_order(command: Decide, tx: OrderTx) -> Order:
    order = await _decided(command, tx)
    return await tx.orders.put(order.approved(tx.context.actor, tx.now))


async def cancel_order(command: Decide, tx: OrderTx) -> Order:
    order = await tx.orders.put((await _decided(command, tx)).cancel())
    if order.state is domain.State.CANCELLED:
        await tx.close_way(order)
    return order


async def _decided(command: Decide, tx: OrderTx) -> Order:
    """The order the decision is about. Refused with NOT_FOUND or ETAG_MISMATCH."""
    order = await tx.orders.get(command.order_id)
    if order is None:
        raise Refused("NOT_FOUND")
    if command.etag and command.etag not in (order.etag, "*"):
        raise Refused("ETAG_MISMATCH", f"the order is at version {order.etag}")
    return order


def _hold(reason: str, note: str, by: str, now: datetime) -> domain.Hold:
    return domain.Hold(reason, note, by, now, now + APPROVAL_TIME)


# Stages ----------------------------------------------------------------------------------------------------------


async def advance_order(asked: Order, answers: Answers, tx: OrderTx) -> None:
    """Takes an order past the stage it stood at when the ERP was asked, and past each further one as far as answered.

    Does nothing when the order has moved on or is on hold; releasing it runs the stage again. What was said of an order
    that was corrected since counts for nothing: NotDone with CONFLICT, unless the stage needed nobody's word.
    """
    order = await _existing(asked.record_id, tx)
    if not order.awaits(asked.stage):
        return
    as_asked = order.is_as_it_was(asked)
    if order.stage is Stage.VALIDATE:
        order = await _validated(order, tx)
    elif not as_asked:
        raise NotDone("CONFLICT", "the order was corrected while the ERP was asked")
    if as_asked:
        order = _recorded(order, answers, tx)
    if order.pending:
        await tx.orders.put(order)


async def _validated(order: Order, tx: OrderTx) -> Order:
    """Customer linked and active, products and units known, as of now."""
    customer = await tx.references.customer(order.sold_to)
    products = await tx.references.products([line.sku for line in order.lines])
    domain.check_references(order, customer, products)
    return order.validated()


def _recorded(order: Order, answers: Answers, tx: OrderTx) -> Order:
    """Stage after stage until one has no answer or its answer holds the order; what was said beyond is dropped."""
    if order.awaits(Stage.CREDIT) and answers.credit is not None:
        order = _after_credit(order, answers.credit, tx)
    if order.awaits(Stage.AVAILABILITY) and answers.availability is not None:
        order = _after_availability(order, answers.availability, tx)
    if order.awaits(Stage.TAX) and answers.tax is not None:
        order = order.taxed(answers.tax.total)
    return order


def _after_credit(order: Order, credit: Credit, tx: OrderTx) -> Order:
    """Goes on, or is held for an approver who is not its submitter."""
    if credit is Credit.COVERED:
        return order.credit_cleared()
    return order.held(_hold(credit.value, "", order.submitted_by, tx.now))


def _after_availability(order: Order, availability: Availability, tx: OrderTx) -> Order:
    """Goes on when everything can be promised or back orders are allowed, else is held."""
    if not availability.short or tx.backorders:
        return order.availability_confirmed()
    note = f"short: lines {', '.join(str(number) for number in availability.short)}"
    return order.held(_hold("STOCK_SHORT", note[:255], order.submitted_by, tx.now))


# What other systems and services say ---------------------------------------------------------------------------------


async def record_posted(order_id: str, link: Link, tx: OrderTx) -> None:
    """The ERP has answered that it has the document."""
    await _put_if_changed(await _existing(order_id, tx), lambda order: order.posted(link), tx)


async def record_link(order_id: str, link: Link, tx: OrderTx) -> None:
    """A system has named its record of the order."""

    await _put_if_changed(await _existing(order_id, tx), lambda order: order.linked_and_told(link), tx)


async def record_cancelled(order_id: str, tx: OrderTx) -> None:
    """The ERP has confirmed the cancellation."""
    await _put_if_changed(await _existing(order_id, tx), lambda order: order.cancelled(), tx)


async def take_in_progress(command: TakeInProgress, tx: OrderTx) -> None:
    """The ERP's word on one of our orders. Refused with ORDER_UNKNOWN for an id we never gave out."""
    order = await tx.orders.get(command.order_id)
    if order is None:
        raise Refused("ORDER_UNKNOWN", f"{command.link.system} names {command.order_id}")
    if is_stale(order.link_of(command.link.system), command.link):
        return
    after = order.progressed(command.progress, command.link)
    if order.state < domain.State.POSTED <= after.state:
        await tx.close_way(order)
    await _put_if_changed(order, lambda order: after, tx)


async def take_in_invoice(order_id: str, invoice: domain.Invoice, tx: OrderTx) -> None:
    """An invoice of one of our orders, new or changed; invoices of others are none of our business."""
    if not order_id:
        return
    order = await tx.orders.get(order_id)
    if order is None:
        raise Refused("ORDER_UNKNOWN", f"invoice {invoice.number} names {order_id}")
    await _put_if_changed(order, lambda order: order.invoiced(invoice), tx)


async def keep_customer(customer: domain.KnownCustomer, names: Sequence[str], tx: OrderTx) -> None:
    tx.references.keep_customer(customer, names)


async def keep_product(product: domain.KnownProduct, tx: OrderTx) -> None:
    tx.references.keep_product(product)


async def _put_if_changed(order: Order, change: Callable[[Order], Order], tx: OrderTx) -> None:
    """Every change worth storing tells something; a mere repetition tells nothing."""
    after = change(order)
    if after.pending:
        await tx.orders.put(after)


async def _existing(order_id: str, tx: OrderTx) -> Order:
    order = await tx.orders.get(order_id)
    assert order is not None, f"{order_id} has events and no record"
    return order
