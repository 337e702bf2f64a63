"""What follows what. Open this file to learn who hears of an event, and what a CRM is told.

`HEARS` can be read aloud: after a product was registered, the CRMs, the order service and the stream hear of it.
`{crm}` is each CRM that serves the tenant; a CRM does not hear of what it caused itself (`tells_cause` in `store.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from ordermesh.connector.v1 import change_pb2

from libs.common.conflicts import told
from libs.common.durable.model import Delivery, Follow, StoredEvent
from libs.common.durable.targets import Outgoing
from libs.common.ownership import MESH
from libs.common.wire import link_of_receipt
from services.product import commands, wire
from services.product.domain import Product, ProductEvent

CRM = "connector:{crm}"
ORDERS = "service:order"
STREAM = "stream"
CHANGED_HERE = ("marketing_text",)
"""What callers of ours may change although the CRM owns it, so that the CRM is told of it."""

HEARS: Mapping[ProductEvent, Sequence[str]] = {
    ProductEvent.REGISTERED: (CRM, ORDERS, STREAM),
    ProductEvent.CHANGED: (CRM, ORDERS, STREAM),
    ProductEvent.OFFER_CHANGED: (CRM, STREAM),
    ProductEvent.LINKED: (ORDERS, STREAM),
    ProductEvent.KEPT: (CRM, STREAM),
}


def targets(event: str, crms: Sequence[str]) -> list[str]:
    """Who hears of an event of a product whose tenant has these CRMs."""
    hears = HEARS[ProductEvent(event)]
    told = [CRM.format(crm=crm) for crm in crms if CRM in hears]
    return [*told, *(target for target in hears if target != CRM)]


class Reads(Protocol):
    """What reactions look up before they tell, outside any transaction."""

    async def get(self, tenant: str, record_id: str) -> Product | None: ...


class Reactions:
    """What the product service does because of an event or a change."""

    def __init__(self, reads: Reads, source_of: Callable[[str], str]) -> None:
        """source_of: a system's name to `erp`, `crm` or `mesh`."""
        self._reads = reads
        self._source_of = source_of

    # Connectors ---------------------------------------------------------------------------------------

    async def tell_crm(self, system: str, delivery: Delivery) -> Outgoing | None:
        """Tells the product as it is now; of what the CRM owns itself only what was changed here."""
        event = delivery.event
        product = await self._product(event)
        link = product.link_of(system)
        change = wire.render_change(product, link.external_id if link else "")
        if link and event.name == ProductEvent.CHANGED and self._source_of(event.source_system) == MESH:
            change.fields.extend(CHANGED_HERE)
        return Outgoing(change, partial(_linked, system, product))

    async def _product(self, event: StoredEvent) -> Product:
        product = await self._reads.get(event.tenant, event.record_id)
        assert product is not None, f"{event.subject} has events and no record"
        return product

    # Changes from elsewhere ---------------------------------------------------------------------------

    async def take_in_change(self, change: change_pb2.ExternalChange, tx: commands.ProductTx) -> None:
        """Takes a system's word on a product in, as far as the system owns it."""
        if self._source_of(change.ref.system) == "erp":
            await commands.take_in_from_erp(wire.parse_erp_change(change), tx)
        else:
            await commands.take_in_from_crm(wire.parse_crm_change(change), tx)


def _linked(system: str, product: Product, receipt: change_pb2.Receipt) -> Follow | None:
    link = link_of_receipt(system, receipt)
    knows = told(product, system, wire.OWNERSHIP)
    return partial(commands.record_link, product.record_id, link, knows=knows) if link else None
