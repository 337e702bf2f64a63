"""Composition root of the product service: every concrete class meets here.

Open this file to see what it is made of.
"""

from collections.abc import Sequence

from ordermesh.product.v1 import product_service_pb2_grpc

from libs.common.context import CallContext
from libs.common.durable.core import App, Core
from libs.common.durable.reads import Reads
from libs.common.durable.surroundings import REAL, Surroundings
from libs.common.durable.tx import Group
from services.product import reactions, wire
from services.product.config import Settings
from services.product.domain import Product
from services.product.reactions import Reactions
from services.product.servicer import ProductServicer
from services.product.store import ProductTx, product_kind


def build(settings: Settings, surroundings: Surroundings = REAL) -> App[ProductTx]:
    """The service, ready to run; a simulation brings its own surroundings."""
    core: Core[ProductTx] = Core(settings, "product", surroundings)

    def targets(event: str, product: Product) -> Sequence[str]:
        return core.heard(reactions.targets(event, core.systems_of(product.tenant, "crm")))

    kind = product_kind(wire.render_event, targets, wire.OWNERSHIP, core.source_of)

    def open_tx(group: Group, context: CallContext, rule: str) -> ProductTx:
        return ProductTx(group, context, rule, kind)

    unit = core.unit(open_tx)
    reads = Reads(core.store, kind)
    follows = Reactions(reads, core.source_of)
    core.to_services(["order"])
    core.to_connectors({"crm": follows.tell_crm})
    core.from_systems({"erp": ["KIND_PRODUCT"], "crm": ["KIND_PRODUCT"]}, follows.take_in_change)
    return core.app(
        unit,
        follows.take_in_change,
        [
            (
                product_service_pb2_grpc.add_ProductServiceServicer_to_server,
                ProductServicer(unit, reads),
            ),
        ],
    )
