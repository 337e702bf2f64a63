"""InvoiceService, method by method: parse, run, render. Open this file to follow a call to its query."""

import grpc.aio
from google.protobuf.message import Message
from ordermesh.invoice.v1 import invoice_service_pb2 as pb
from ordermesh.invoice.v1 import invoice_service_pb2_grpc

from libs.common.context import current_context
from libs.common.durable.reads import Reads
from libs.common.listing import parse_page
from services.invoice import queries, wire
from services.invoice.domain import Invoice

Context = grpc.aio.ServicerContext[Message, Message]


class InvoiceServicer(invoice_service_pb2_grpc.InvoiceServiceServicer):
    """Remembers invoices as their owners state them."""

    def __init__(self, reads: Reads[Invoice]) -> None:
        self._reads = reads

    async def GetInvoice(self, request: pb.GetInvoiceRequest, context: Context) -> pb.GetInvoiceResponse:
        tenant = current_context().tenant
        invoice = await queries.get_invoice(self._reads, tenant, request.invoice_id)
        return pb.GetInvoiceResponse(invoice=wire.render_invoice(invoice))

    async def ListInvoices(
        self, request: pb.ListInvoicesRequest, context: Context
    ) -> pb.ListInvoicesResponse:
        tenant = current_context().tenant
        page = parse_page(tenant, request.page_size, request.page_token, request.filter, queries.FILTER)
        invoices, token = await queries.list_invoices(self._reads, tenant, page)
        return pb.ListInvoicesResponse(
            invoices=[wire.render_invoice(invoice) for invoice in invoices], next_page_token=token
        )
