"""Composition root of the customer service: every concrete class meets here.

Open this file to see what it is made of.
"""

from collections.abc import Sequence

from ordermesh.connector.v1 import change_pb2
from ordermesh.customer.v1 import customer_service_pb2_grpc

from libs.common.context import CallContext
from libs.common.durable.core import App, Core
from libs.common.durable.reads import Reads
from libs.common.durable.surroundings import REAL, Surroundings
from libs.common.durable.tx import Group
from services.customer import reactions, wire
from services.customer.commands import TakeIn
from services.customer.config import Settings
from services.customer.domain import Customer
from services.customer.reactions import Reactions
from services.customer.servicer import CustomerServicer
from services.customer.store import CustomerTx, customer_kind


def build(settings: Settings, surroundings: Surroundings = REAL) -> App[CustomerTx]:
    """The service, ready to run; a simulation brings its own surroundings."""
    core: Core[CustomerTx] = Core(settings, "customer", surroundings)

    def targets(event: str, customer: Customer) -> Sequence[str]:
        crms, erps = (core.systems_of(customer.tenant, role) for role in ("crm", "erp"))
        return core.heard(reactions.targets(event, customer, crms, erps))

    kind = customer_kind(wire.render_event, targets, wire.OWNERSHIP, core.source_of)

    def parse_change(change: change_pb2.ExternalChange) -> TakeIn:
        return reactions.parse_change(change, core.source_of)

    def open_tx(group: Group, context: CallContext, rule: str) -> CustomerTx:
        return CustomerTx(group, context, rule, kind, parse_change)

    unit = core.unit(open_tx)
    reads = Reads(core.store, kind)
    follows = Reactions(reads, core.source_of)
    core.to_services(["order"])
    core.to_connectors({"crm": follows.tell_crm, "erp": follows.tell_erp})
    core.to_stewards("erp")
    core.from_systems({"erp": ["KIND_CUSTOMER"], "crm": ["KIND_CUSTOMER"]}, follows.take_in_change)
    return core.app(
        unit,
        follows.take_in_change,
        [
            (
                customer_service_pb2_grpc.add_CustomerServiceServicer_to_server,
                CustomerServicer(unit, reads),
            ),
        ],
    )
