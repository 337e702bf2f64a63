"""Composition root of the order service: every concrete class meets here. Open this file to see what it is made of."""

from collections.abc import Sequence
from functools import lru_cache

from ordermesh.common.v1 import event_pb2_grpc
from ordermesh.order.v1 import order_service_pb2_grpc

from libs.common.context import CallContext
from libs.common.durable.core import App, Core
from libs.common.durable.intake import EventIntakeServicer
from libs.common.durable.reads import Reads
from libs.common.durable.surroundings import REAL, Surroundings
from libs.common.durable.tx import Group
from libs.common.identity import Verifier
from services.order import reactions, wire
from services.order.config import Settings
from services.order.domain import Order
from services.order.reactions import Reactions
from services.order.reactions.asking import Erp
from services.order.servicer import OrderServicer
from services.order.store import OrderTx, ReferenceReads, new_copies, order_kind

ROUTES_MAX = 1_000
"""Routes remembered: a topology is read once, at the start."""


def build(settings: Settings, surroundings: Surroundings = REAL) -> App[OrderTx]:
    """The service, ready to run; a simulation brings its own surroundings."""
    core: Core[OrderTx] = Core(settings, "order", surroundings)
    copies = new_copies()

    def targets(event: str, order: Order) -> Sequence[str]:
        return core.heard(reactions.targets(event, order))

    @lru_cache(ROUTES_MAX)
    def route(tenant: str, region: str, business_unit: str) -> tuple[str, str]:
        picked = core.topology.route(tenant, region, business_unit)
        return picked.erp, picked.crm

    kind = order_kind(wire.render_event, targets, wire.OWNERSHIP, core.source_of)

    def open_tx(group: Group, context: CallContext, rule: str) -> OrderTx:
        return OrderTx(group, context, rule, kind, route, copies, backorders=settings.backorders)

    unit = core.unit(open_tx)
    reads = Reads(core.store, kind)
    erps = {system: Erp(core.connector(system)) for system in core.systems("erp")}
    follows = Reactions(ReferenceReads(core.store, reads), erps, lambda: core.lanes, surroundings.clock)
    core.to_stages(follows.stages)
    core.to_connectors({"erp": follows.tell_erp, "crm": follows.tell_crm})
    core.from_systems({"erp": ["KIND_ORDER"]}, reactions.take_in_change)
    return core.app(
        unit,
        reactions.take_in_change,
        [
            (
                order_service_pb2_grpc.add_OrderServiceServicer_to_server,
                OrderServicer(
                    unit, reads, core.store, surroundings.clock, Verifier(settings, surroundings.clock)
                ),
            ),
            (
                event_pb2_grpc.add_EventIntakeServiceServicer_to_server,
                EventIntakeServicer(unit, reactions.take_in_event, reactions.subjects_of_event),
            ),
        ],
    )
