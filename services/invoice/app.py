"""Composition root of the invoice service: every concrete class meets here.

Open this file to see what it is made of.
"""

from collections.abc import Sequence

from ordermesh.invoice.v1 import invoice_service_pb2_grpc

from libs.common.context import CallContext
from libs.common.durable.core import App, Core
from libs.common.durable.reads import Reads
from libs.common.durable.surroundings import REAL, Surroundings
from libs.common.durable.tx import Group
from services.invoice import reactions, wire
from services.invoice.config import Settings
from services.invoice.domain import Invoice
from services.invoice.reactions import Reactions
from services.invoice.servicer import InvoiceServicer
from services.invoice.store import InvoiceTx, invoice_kind


def build(settings: Settings, surroundings: Surroundings = REAL) -> App[InvoiceTx]:
    """The service, ready to run; a simulation brings its own surroundings."""
    core: Core[InvoiceTx] = Core(settings, "invoice", surroundings)

    def targets(event: str, invoice: Invoice) -> Sequence[str]:
        return core.heard(reactions.targets(event, invoice, core.systems_of(invoice.tenant, "crm")))

    kind = invoice_kind(wire.render_event, targets, wire.OWNERSHIP, core.source_of)

    def open_tx(group: Group, context: CallContext, rule: str) -> InvoiceTx:
        return InvoiceTx(group, context, rule, kind)

    unit = core.unit(open_tx)
    reads = Reads(core.store, kind)
    follows = Reactions(reads)
    core.to_services(["order"])
    core.to_connectors({"crm": follows.tell_crm})
    core.from_systems({"erp": ["KIND_INVOICE", "KIND_PAYMENT"]}, reactions.take_in_change)
    return core.app(
        unit,
        reactions.take_in_change,
        [
            (
                invoice_service_pb2_grpc.add_InvoiceServiceServicer_to_server,
                InvoiceServicer(reads),
            ),
        ],
    )
