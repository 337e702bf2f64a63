"""What an order is and may become. Open this file to learn or change a rule about orders.

    RECEIVED ─ validate ─ credit ─ availability ─ tax ─ post → POSTED → ACCEPTED → PARTLY_SHIPPED → SHIPPED
        ↑ ↓                                                                             → INVOICED → PAID
      ON_HOLD                                                    REJECTED, CANCELLED: before goods have left

Pure: no I/O, no clock, no ids made here. A method returns a new order that carries the facts to be told.
"""

from dataclasses import replace
from datetime import date, datetime
from typing import Self

from libs.common.address import Address
from libs.common.aggregate import Aggregate, Link, revised
from libs.common.errors import Refused, Violation
from libs.common.money import Money
from libs.common.value import value
from services.order.domain.states import FINAL, REACHED, REQUESTED, OrderEvent, Stage, State
from services.order.domain.values import (
    Correction,
    Hold,
    Invoice,
    OrderLine,
    Party,
    Progress,
    Shipment,
    shipped_quantities,
    sum_money,
    sum_of,
    with_shipped,
)

BOOKKEEPING = ("links", "shown", "version", "sequence", "update_time", "audit_hash")
"""What is kept about an order and is no part of it."""


@value(kw_only=True)
class Order(Aggregate):
    """One sales order. `total` is the exact sum of its lines without tax."""

    sold_to: Party
    customer_id: str
    currency: str
    lines: tuple[OrderLine, ...]
    total: Money
    erp: str
    crm: str
    submitted_by: str
    purchase_order_number: str = ""
    ship_to: Address | None = None
    requested_date: date | None = None
    memo: str = ""
    region: str = ""
    business_unit: str = ""
    source_system: str = ""
    source_id: str = ""
    state: State = State.RECEIVED
    stage: Stage = Stage.VALIDATE
    hold: Hold | None = None
    shipments: tuple[Shipment, ...] = ()
    invoices: tuple[Invoice, ...] = ()
    reason: str = ""
    tax_total: Money | None = None
    erp_number: str = ""
    cancel_requested: bool = False
    fully_invoiced: bool = False
    """The ERP says that all is invoiced, or has closed the order so that nothing more will be."""

    # On the way to the ERP ------------------------------------------------------------------------

    def received(self, lines_total: Money | None = None) -> Self:
        """A new order. lines_total: what the lines sum up to, where it is known already.

        Refused with LINE_NUMBER_REPEATED, CURRENCY_MIXED or TOTAL_MISMATCH, all violations at once.
        """
        violations = [*self._repeated_numbers(), *self._mixed_currencies()]
        if violations:
            raise Refused(violations[0].reason, violations[0].description, violations=violations)
        total = lines_total or sum_of(self.lines, self.currency)
        if self.total != total:
            raise Refused.field(
                "TOTAL_MISMATCH", "order.total", f"is {self.total.text}, the lines sum up to {total.text}"
            )
        source = (Link(self.source_system, self.source_id),) if self.source_system else ()
        return revised(self, links=source, pending=(*self.pending, OrderEvent.RECEIVED))

    def _repeated_numbers(self) -> list[Violation]:
        seen: set[int] = set()
        violations = []
        for index, line in enumerate(self.lines):
            if line.line_number in seen:
                path = f"order.lines[{index}].line_number"
                violations.append(Violation(path, f"{line.line_number} stands twice", "LINE_NUMBER_REPEATED"))
            seen.add(line.line_number)
        return violations

    def _mixed_currencies(self) -> list[Violation]:
        return [
            Violation(
                f"order.lines[{index}].unit_price.currency_code",
                f"is {line.unit_price.currency}, the order is in {self.currency}",
                "CURRENCY_MIXED",
            )
            for index, line in enumerate(self.lines)
            if line.unit_price.currency != self.currency
        ]

    def awaits(self, stage: Stage) -> bool:
        """True when exactly this stage is next and nothing holds the order."""
        return self.state is State.RECEIVED and self.stage is stage

    def is_as_it_was(self, before: "Order") -> bool:
        """True while nothing has changed that anybody asks about; a new link changes the version, but no answer."""
        if self.version == before.version:
            return True
        told = {name: getattr(self, name) for name in BOOKKEEPING}
        return self == revised(before, **told)

    def validated(self) -> Self:
        return revised(self, stage=Stage.CREDIT).telling(OrderEvent.VALIDATED)

    def credit_cleared(self) -> Self:
        return revised(self, stage=Stage.AVAILABILITY).telling(OrderEvent.CREDIT_CLEARED)

    def availability_confirmed(self) -> Self:
        return revised(self, stage=Stage.TAX).telling(OrderEvent.AVAILABILITY_CONFIRMED)

    def taxed(self, tax_total: Money | None) -> Self:
        """Ready for the ERP; `tax_total` is None where the ERP computes tax when it saves the document."""
        return revised(self, stage=Stage.POST, tax_total=tax_total).telling(OrderEvent.TAXED)

    def posted(self, link: Link) -> Self:
        """The ERP has a document; known already counts as known."""
        if self.state >= State.POSTED:
            return self.linked_and_told(link)
        posted = revised(
            self.linked(link), state=State.POSTED, stage=Stage.FOLLOW, erp_number=link.number, hold=None
        )
        return posted.telling(OrderEvent.POSTED)

    def linked_and_told(self, link: Link) -> Self:
        """An outside record stands for the order; known already is nothing to tell."""
        known = self.link_of(link.system)
        if known and known.external_id == link.external_id:
            return self
        return self.linked(link).telling(OrderEvent.LINKED)

    # Decisions of people --------------------------------------------------------------------------

    def held(self, hold: Hold) -> Self:
        """Refused with ORDER_SHIPPED or STATE_FORBIDS once the ERP may have it."""
        self._refuse_shipped()
        if self.state is not State.RECEIVED or self.stage >= Stage.POST:
            raise Refused("STATE_FORBIDS", f"an order that is {self.state.name} cannot be held")
        return revised(self, state=State.ON_HOLD, hold=hold).telling(OrderEvent.HELD)

    def released(self) -> Self:
        """Refused with STATE_FORBIDS when it is not on hold or an approval is needed."""
        if self.state is not State.ON_HOLD or self.hold is None:
            raise Refused("STATE_FORBIDS", f"an order that is {self.state.name} cannot be released")
        if self.hold.reason != REQUESTED:
            raise Refused("STATE_FORBIDS", f"held for {self.hold.reason}: it needs an approval")
        return revised(self, state=State.RECEIVED, hold=None).telling(OrderEvent.RELEASED)

    def approved(self, by: str, now: datetime) -> Self:
        """Lets it go on past the check that held it. Four eyes: the requester may not approve."""
        if self.state is not State.ON_HOLD or self.hold is None or self.hold.reason == REQUESTED:
            raise Refused("STATE_FORBIDS", f"an order that is {self.state.name} waits for no approval")
        if by == self.hold.requested_by:
            raise Refused("APPROVER_IS_REQUESTER")
        if now >= self.hold.expire_time:
            raise Refused(
                "APPROVAL_EXPIRED", f"it could be approved until {self.hold.expire_time:%Y-%m-%d %H:%M}Z"
            )
        next_stage = Stage(self.stage + 1)
        return revised(self, state=State.RECEIVED, stage=next_stage, hold=None).telling(OrderEvent.APPROVED)

    def corrected(self, correction: Correction) -> Self:
        """Refused with STATE_FORBIDS once the ERP has the order, NOT_FOUND for a line that is not there."""
        if self.state not in (State.RECEIVED, State.ON_HOLD):
            raise Refused("STATE_FORBIDS", f"an order that is {self.state.name} is corrected in the ERP")
        lines = {line.line_number: line for line in self.lines}
        for index, (line_number, tax_code, description) in enumerate(correction.lines):
            if line_number not in lines:
                said = f"there is no line {line_number}"
                raise Refused.field("NOT_FOUND", f"lines[{index}].line_number", said)
            line = lines[line_number]
            lines[line_number] = replace(
                line,
                tax_code=line.tax_code if tax_code is None else tax_code,
                description=line.description if description is None else description,
            )
        number = correction.purchase_order_number
        return revised(
            self,
            lines=tuple(lines.values()),
            purchase_order_number=self.purchase_order_number if number is None else number,
            memo=self.memo if correction.memo is None else correction.memo,
        ).telling(OrderEvent.CORRECTED)

    def cancel(self) -> Self:
        """Cancelled at once while the ERP cannot have it, else asked for.

        Refused with ORDER_SHIPPED or STATE_FORBIDS.
        """
        self._refuse_shipped()
        if self.state in FINAL or self.state >= State.INVOICED:
            raise Refused("STATE_FORBIDS", f"an order that is {self.state.name} cannot be cancelled")
        if self.stage < Stage.POST:
            return self._ended(State.CANCELLED, "")
        if self.cancel_requested:
            return self
        return revised(self, cancel_requested=True).telling(OrderEvent.CANCEL_REQUESTED)

    def cancelled(self, reason: str = "") -> Self:
        """The ERP has confirmed, or never had it."""
        return self if self.state in FINAL else self._ended(State.CANCELLED, reason)

    def _refuse_shipped(self) -> None:
        if State.PARTLY_SHIPPED <= self.state < State.REJECTED:
            raise Refused("ORDER_SHIPPED", f"the order is {self.state.name}")

    def _ended(self, state: State, reason: str) -> Self:
        return revised(self, state=state, reason=reason, hold=None).telling(REACHED[state])

    # What the ERP says ----------------------------------------------------------------------------

    def progressed(self, progress: Progress, link: Link) -> Self:
        """Takes the ERP's word; a state never goes back, and nothing new is nothing to tell."""
        if self.state in FINAL:
            return self.linked(link)
        known = self if self.state >= State.POSTED else self.posted(replace(link, number=progress.number))
        shipped = shipped_quantities(progress.shipments)
        after = revised(
            known.linked(link),
            erp_number=progress.number or known.erp_number,
            shipments=progress.shipments,
            tax_total=progress.tax_total or known.tax_total,
            lines=with_shipped(known.lines, shipped),
            fully_invoiced=known.fully_invoiced or progress.state is State.INVOICED or progress.closed,
        )
        if progress.state is State.REJECTED and known.state < State.PARTLY_SHIPPED:
            return after._ended(State.REJECTED, "ERP_REFUSED")
        if progress.closed and not progress.shipments and known.state < State.PARTLY_SHIPPED:
            return after._ended(State.CANCELLED, "" if known.cancel_requested else "ERP_REFUSED")
        return after._settled(known, progress.state)

    def invoiced(self, invoice: Invoice) -> Self:
        """Takes an invoice in, new or changed. Refused with CURRENCY_MIXED when it is not in the order's currency."""
        if invoice.total.currency != self.currency:
            said = f"invoice {invoice.number} is in {invoice.total.currency}, the order in {self.currency}"
            raise Refused("CURRENCY_MIXED", said)
        others = tuple(other for other in self.invoices if other.invoice_id != invoice.invoice_id)
        after = revised(self, invoices=(*others, invoice))
        return self if self.state in FINAL or after == self else after._settled(self, None)

    def _settled(self, before: "Order", reached: State | None) -> Self:
        """Moves the state as far as the facts say and tells of it once."""
        target = max(before.state, reached or before.state)
        valid = [invoice for invoice in self.invoices if not invoice.void]
        billed = sum_money([invoice.net_total for invoice in valid], self.currency)
        if valid and (self.fully_invoiced or billed.amount >= self.total.amount):
            target = max(target, State.INVOICED)
            if all(invoice.amount_due.amount <= 0 for invoice in valid):
                target = State.PAID
        if target > before.state:
            return revised(self, state=target, stage=Stage.FOLLOW, hold=None).telling(REACHED[target])
        told = (self.shipments, self.invoices, self.tax_total) != (
            before.shipments,
            before.invoices,
            before.tax_total,
        )
        return self.telling(OrderEvent.PROGRESSED) if told else self
