"""Composition root of the customer service: every concrete class meets here.

Open this file to see what it is made of.
"""

from collections.abc import Sequence

from ordermesh.customer.v1 import customer_service_pb2_grpc

from libs.common.clock import Clock, SystemClock
from libs.common.context import CallContext
from libs.common.durable.core import App, Core
from libs.common.durable.reads import Reads
from libs.common.durable.tx import Group
from libs.common.ids import NewId, new_id
from services.customer import reactions, wire
from services.customer.config import Settings
from services.customer.domain import Customer
from services.customer.reactions import Reactions
from services.customer.servicer import CustomerServicer
from services.customer.store import CustomerTx, customer_kind


def build(settings: Settings, *, clock: Clock | None = None, make_id: NewId = new_id) -> App[CustomerTx]:
    """The service, ready to run; a simulation brings its own clock and ids."""
    clock = clock or SystemClock()
    core: Core[CustomerTx] = Core(settings, "customer", clock, make_id)

    def targets(event: str, customer: Customer) -> Sequence[str]:
        return core.heard(reactions.targets(event, core.systems_of(customer.tenant, "crm")))

    kind = customer_kind(wire.render_event, targets)

    def open_tx(group: Group, context: CallContext, rule: str) -> CustomerTx:
        return CustomerTx(group, context, rule, kind)

    unit = core.unit(open_tx)
    reads = Reads(core.store, kind)
    follows = Reactions(reads, core.systems("erp"))
    core.to_services(["order"])
    core.to_connectors({"crm": follows.tell_crm})
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
