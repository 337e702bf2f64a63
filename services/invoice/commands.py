"""What can be done to invoices, one function per intention. Open this file to read a use case from end to end.

Each runs inside one commit and may run again when the commit fails, so nothing here has an effect of its own.
`InvoiceTx` is the port: what a command needs of its transaction.
"""

from dataclasses import dataclass
from typing import Protocol

from libs.common.aggregate import Link, is_stale, revised
from libs.common.command import CommandTx
from libs.common.errors import NotDone, Refused
from services.invoice import domain
from services.invoice.domain import Invoice


class Invoices(Protocol):
    """The invoices of the caller's tenant."""

    async def get(self, record_id: str) -> Invoice | None: ...

    async def by_link(self, system: str, external_id: str) -> Invoice | None: ...

    async def put(self, record: Invoice) -> Invoice: ...


class InvoiceTx(CommandTx, Protocol):
    """One command's transaction."""

    @property
    def invoices(self) -> Invoices: ...


@dataclass(frozen=True, slots=True)
class TakeInInvoice:
    """The ERP's word on one invoice. `document` is None when it is gone there."""

    link: Link
    document: domain.Document | None


@dataclass(frozen=True, slots=True)
class TakeInPayment:
    """The ERP's word on one payment and one invoice that it is applied to."""

    system: str
    invoice_external_id: str
    payment: domain.Payment


# What other systems say ------------------------------------------------------------------------------------------


async def take_in_invoice(command: TakeInInvoice, tx: InvoiceTx) -> None:
    """The ERP's word on an invoice: known by its link, else new."""
    link, document = command.link, command.document
    invoice = await tx.invoices.by_link(link.system, link.external_id)
    if invoice is not None and is_stale(invoice.link_of(link.system), link):
        return
    if invoice is None and document is not None:
        invoice = _new(document, link.system, tx)
    if invoice is None:
        return
    after = invoice.stated(document, link) if document else invoice.gone_from_erp(link)
    await _put_if_changed(after, tx)


async def take_in_payment(command: TakeInPayment, tx: InvoiceTx) -> None:
    """The ERP's word on a payment. NotDone with REFERENCE_UNKNOWN when it comes before its invoice."""
    invoice = await tx.invoices.by_link(command.system, command.invoice_external_id)
    if invoice is None:
        said = f"{command.system} names invoice {command.invoice_external_id}, which has not come in yet"
        raise NotDone("REFERENCE_UNKNOWN", said)
    await _put_if_changed(invoice.paid_by(command.payment), tx)


async def record_link(invoice_id: str, link: Link, tx: InvoiceTx) -> None:
    """A system has named its record of the invoice. Refused with DUPLICATE_CANDIDATE when it is another one's."""
    other = await tx.invoices.by_link(link.system, link.external_id)
    if other is not None and other.record_id != invoice_id:
        said = f"{link.system} {link.external_id} stands for {other.record_id} already"
        raise Refused("DUPLICATE_CANDIDATE", said)
    await _put_if_changed((await _existing(invoice_id, tx)).linked_and_told(link), tx)


def _new(document: domain.Document, erp: str, tx: InvoiceTx) -> Invoice:
    return Invoice(
        tenant=tx.context.tenant,
        record_id=tx.new_id("inv"),
        create_time=tx.now,
        update_time=tx.now,
        correlation_id=tx.context.correlation_id,
        traceparent=tx.context.traceparent,
        erp=erp,
        currency=document.currency,
        net_total=document.net_total,
        tax_total=document.tax_total,
        total=document.total,
        amount_stated=document.amount_due,
    )


async def _put_if_changed(after: Invoice, tx: InvoiceTx) -> Invoice:
    """Every change worth storing tells something; a mere repetition tells nothing."""
    if not after.pending:
        return after
    caused = revised(after, correlation_id=tx.context.correlation_id, traceparent=tx.context.traceparent)
    return await tx.invoices.put(caused)


async def _existing(invoice_id: str, tx: InvoiceTx) -> Invoice:
    invoice = await tx.invoices.get(invoice_id)
    assert invoice is not None, f"{invoice_id} has events and no record"
    return invoice
