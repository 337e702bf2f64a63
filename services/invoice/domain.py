"""What an invoice is and may become. Open this file to learn or change a rule about invoices.

    OPEN → PAID        VOID: from either, when the ERP takes it back

The ERP owns all of it. A state never goes back: an invoice that was paid stays so unless it is taken back.
Pure: no I/O, no clock, no ids made here. A method returns a new invoice that carries the facts to be told.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Self

from libs.common.aggregate import Aggregate, Link, revised
from libs.common.errors import Refused
from libs.common.money import Money, zero
from libs.common.value import value


class State(IntEnum):
    """How far the invoice is settled; higher is further. The numbers are those of the contract."""

    OPEN = 1
    PAID = 2
    VOID = 3


class InvoiceEvent(StrEnum):
    """Facts, named as in the contract."""

    ISSUED = "InvoiceIssued"
    CHANGED = "InvoiceChanged"
    PAID = "InvoicePaid"
    VOIDED = "InvoiceVoided"
    LINKED = "InvoiceLinked"


REACHED = {State.PAID: InvoiceEvent.PAID, State.VOID: InvoiceEvent.VOIDED}


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One position. `amount` is without tax."""

    sku: str
    quantity: Decimal
    amount: Money


@dataclass(frozen=True, slots=True)
class Payment:
    """Money received, as far as it is applied to one invoice."""

    system: str
    external_id: str
    number: str
    amount: Money
    payment_date: date | None

    def is_same(self, other: "Payment") -> bool:
        """True for the same document in the ERP."""
        return (self.system, self.external_id) == (other.system, other.external_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What the ERP says of an invoice, the whole of it. Every amount is in `currency`."""

    number: str
    order_id: str
    """Our id of the order it bills. Empty for an order that is not of our making."""
    state: State
    currency: str
    net_total: Money
    tax_total: Money
    total: Money
    amount_due: Money
    issue_date: date | None = None
    due_date: date | None = None
    lines: tuple[InvoiceLine, ...] = ()
    payments: tuple[Payment, ...] = ()


@value(kw_only=True)
class Invoice(Aggregate):
    """One invoice."""

    erp: str
    currency: str
    net_total: Money
    tax_total: Money
    total: Money
    amount_stated: Money
    """What is still to be paid, as the ERP last stated."""
    number: str = ""
    order_id: str = ""
    state: State = State.OPEN
    issue_date: date | None = None
    due_date: date | None = None
    lines: tuple[InvoiceLine, ...] = ()
    payments: tuple[Payment, ...] = ()

    @property
    def amount_due(self) -> Money:
        """The smaller of what the ERP last stated and what its payments leave: either may be the newer word."""
        if self.state is State.VOID:
            return zero(self.currency)
        left = self.total
        for payment in self.payments:
            left = left - payment.amount
        return min(self.amount_stated, left, key=lambda amount: amount.amount)

    # What the ERP says ----------------------------------------------------------------------------

    def stated(self, document: Document, link: Link) -> Self:
        """Takes the ERP's word; nothing new is nothing to tell. Refused with CURRENCY_MIXED."""
        paid = document.state is State.PAID
        stated = revised(
            self,
            number=document.number,
            order_id=document.order_id or self.order_id,
            issue_date=document.issue_date,
            due_date=document.due_date,
            currency=document.currency,
            net_total=document.net_total,
            tax_total=document.tax_total,
            total=document.total,
            amount_stated=zero(document.currency) if paid else document.amount_due,
            lines=document.lines,
        )
        for payment in (*self.payments, *document.payments):
            stated = stated._with_payment(payment)
        return stated._told(self, document.state, link)

    def paid_by(self, payment: Payment) -> Self:
        """Takes a payment in; one that is known already changes nothing. Refused with CURRENCY_MIXED."""
        return self._with_payment(payment)._told(self, self.state)

    def gone_from_erp(self, link: Link) -> Self:
        """The ERP has deleted it, which is to take it back."""
        return self._told(self, State.VOID, link)

    def _with_payment(self, payment: Payment) -> Self:
        if payment.amount.currency != self.currency:
            said = f"payment {payment.number} is in {payment.amount.currency}, the invoice in {self.currency}"
            raise Refused("CURRENCY_MIXED", said)
        if not any(payment.is_same(known) for known in self.payments):
            return revised(self, payments=(*self.payments, payment))
        payments = tuple(payment if payment.is_same(known) else known for known in self.payments)
        return revised(self, payments=payments)

    # What follows ---------------------------------------------------------------------------------

    def linked_and_told(self, link: Link) -> Self:
        """An outside record stands for the invoice; known already is nothing to tell."""
        return self._told(self, self.state, link)

    def _shows_more_than(self, before: "Invoice") -> bool:
        """False when only the ERP's word on what is due moved and its payments had said so before."""
        shown = revised(self, amount_stated=before.amount_stated)
        return shown != before or self.amount_due != before.amount_due

    def _told(self, before: "Invoice", stated: State, link: Link | None = None) -> Self:
        """Moves the state as far as the facts say and tells once of what differs from before.

        Tells of a new invoice that was settled before it came in twice: that it was issued, and what became of it.
        """
        reached = State.PAID if self.amount_due.amount <= 0 else State.OPEN
        target = max(before.state, stated, reached)
        after = revised(self.linked(link) if link else self, state=target)
        events = [] if before.version else [InvoiceEvent.ISSUED]
        if target is not before.state:
            events.append(REACHED[target])
        elif before.version and self._shows_more_than(before):
            events.append(InvoiceEvent.CHANGED)
        elif before.version and link and not before.is_linked_to(link):
            events.append(InvoiceEvent.LINKED)
        return after.telling(*events)
