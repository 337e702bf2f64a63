"""What follows what. Open this file to learn who hears of an event, and what a CRM is told.

`HEARS` can be read aloud: after an invoice was issued, the CRMs, the order service and the stream hear of it.
`{crm}` is each CRM that serves the tenant; the order service hears only of invoices that bill an order of ours.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol

from ordermesh.connector.v1 import change_pb2

from libs.common.durable.model import Delivery, Follow, StoredEvent
from libs.common.durable.targets import Outgoing
from libs.common.wire import link_of_receipt
from services.invoice import commands, wire
from services.invoice.domain import Invoice, InvoiceEvent

CRM = "connector:{crm}"
ORDERS = "service:order"
STREAM = "stream"

HEARS: Mapping[InvoiceEvent, Sequence[str]] = {
    InvoiceEvent.ISSUED: (CRM, ORDERS, STREAM),
    InvoiceEvent.CHANGED: (CRM, ORDERS, STREAM),
    InvoiceEvent.PAID: (CRM, ORDERS, STREAM),
    InvoiceEvent.VOIDED: (CRM, ORDERS, STREAM),
    InvoiceEvent.LINKED: (STREAM,),
}


def targets(event: str, invoice: Invoice, crms: Sequence[str]) -> list[str]:
    """Who hears of an event of this invoice, whose tenant has these CRMs."""
    hears = HEARS[InvoiceEvent(event)]
    told = [CRM.format(crm=crm) for crm in crms if CRM in hears]
    return [*told, *(target for target in hears if target != CRM and (target != ORDERS or invoice.order_id))]


class Reads(Protocol):
    """What reactions look up before they tell, outside any transaction."""

    async def get(self, tenant: str, record_id: str) -> Invoice | None: ...


class Reactions:
    """What the invoice service does because of an event."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    # Connectors ---------------------------------------------------------------------------------------

    async def tell_crm(self, system: str, delivery: Delivery) -> Outgoing | None:
        """Tells the invoice as it is now, payments included."""
        invoice = await self._invoice(delivery.event)
        link = invoice.link_of(system)
        change = wire.render_change(invoice, link.external_id if link else "")
        return Outgoing(change, partial(_linked, system, invoice.record_id))

    async def _invoice(self, event: StoredEvent) -> Invoice:
        invoice = await self._reads.get(event.tenant, event.record_id)
        assert invoice is not None, f"{event.subject} has events and no record"
        return invoice


def _linked(system: str, invoice_id: str, receipt: change_pb2.Receipt) -> Follow | None:
    link = link_of_receipt(system, receipt)
    return partial(commands.record_link, invoice_id, link) if link else None


# Changes from elsewhere -------------------------------------------------------------------------------


async def take_in_change(change: change_pb2.ExternalChange, tx: commands.InvoiceTx) -> None:
    """Takes the ERP's word on an invoice or a payment in."""
    if change.kind == change_pb2.KIND_PAYMENT:
        await commands.take_in_payment(wire.parse_payment_change(change), tx)
    else:
        await commands.take_in_invoice(wire.parse_invoice_change(change), tx)
