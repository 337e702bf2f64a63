"""What follows what. Open this file to learn who hears of an event, and what a CRM is told.

`HEARS` can be read aloud: after a product was registered, the CRMs, the order service and the stream hear of it.
`{crm}` is each CRM that serves the tenant; a CRM does not hear of what it caused itself (`tells_cause` in `store.py`).
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Protocol

from ordermesh.connector.v1 import change_pb2

from libs.common.durable.model import Delivery, Follow, StoredEvent
from libs.common.durable.targets import Outgoing
from libs.common.wire import link_of_receipt
from services.product import commands, wire
from services.product.domain import Product, ProductEvent

CRM = "connector:{crm}"
ORDERS = "service:order"
STREAM = "stream"

HEARS: Mapping[ProductEvent, Sequence[str]] = {
    ProductEvent.REGISTERED: (CRM, ORDERS, STREAM),
    ProductEvent.CHANGED: (CRM, ORDERS, STREAM),
    ProductEvent.OFFER_CHANGED: (CRM, STREAM),
    ProductEvent.LINKED: (ORDERS, STREAM),
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

    def __init__(self, reads: Reads, erps: Collection[str]) -> None:
        self._reads = reads
        self._erps = erps

    # Connectors ---------------------------------------------------------------------------------------

    async def tell_crm(self, system: str, delivery: Delivery) -> Outgoing | None:
        """Tells the product as it is now."""
        product = await self._product(delivery.event)
        link = product.link_of(system)
        change = wire.render_change(product, link.external_id if link else "")
        return Outgoing(change, partial(_linked, system, product.record_id))

    async def _product(self, event: StoredEvent) -> Product:
        product = await self._reads.get(event.tenant, event.record_id)
        assert product is not None, f"{event.subject} has events and no record"
        return product

    # Changes from elsewhere ---------------------------------------------------------------------------

    async def take_in_change(self, change: change_pb2.ExternalChange, tx: commands.ProductTx) -> None:
        """Takes a system's word on a product in, as far as the system owns it."""
        if change.ref.system in self._erps:
            await commands.take_in_from_erp(wire.parse_erp_change(change), tx)
        else:
            await commands.take_in_from_crm(wire.parse_crm_change(change), tx)


def _linked(system: str, product_id: str, receipt: change_pb2.Receipt) -> Follow | None:
    link = link_of_receipt(system, receipt)
    return partial(commands.record_link, product_id, link) if link else None
