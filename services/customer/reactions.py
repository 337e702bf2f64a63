"""What follows what. Open this file to learn who hears of an event, and what a CRM is told.

`HEARS` can be read aloud: after a customer was registered, the CRMs, the order service and the stream hear of it.
`{crm}` is each CRM that serves the tenant; a CRM does not hear of what it caused itself (`tells_cause` in `store.py`).
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Protocol

from ordermesh.connector.v1 import change_pb2

from libs.common.durable.model import Delivery, Follow, StoredEvent
from libs.common.durable.targets import Outgoing
from libs.common.wire import link_of_receipt
from services.customer import commands, wire
from services.customer.domain import Customer, CustomerEvent

CRM = "connector:{crm}"
ORDERS = "service:order"
STREAM = "stream"

HEARS: Mapping[CustomerEvent, Sequence[str]] = {
    CustomerEvent.REGISTERED: (CRM, ORDERS, STREAM),
    CustomerEvent.CHANGED: (CRM, ORDERS, STREAM),
    CustomerEvent.LINKED: (ORDERS, STREAM),
}


def targets(event: str, crms: Sequence[str]) -> list[str]:
    """Who hears of an event of a customer whose tenant has these CRMs."""
    hears = HEARS[CustomerEvent(event)]
    told = [CRM.format(crm=crm) for crm in crms if CRM in hears]
    return [*told, *(target for target in hears if target != CRM)]


class Reads(Protocol):
    """What reactions look up before they tell, outside any transaction."""

    async def get(self, tenant: str, record_id: str) -> Customer | None: ...


class Reactions:
    """What the customer service does because of an event or a change."""

    def __init__(self, reads: Reads, erps: Collection[str]) -> None:
        self._reads = reads
        self._erps = erps

    # Connectors ---------------------------------------------------------------------------------------

    async def tell_crm(self, system: str, delivery: Delivery) -> Outgoing | None:
        """Tells the customer as it is now."""
        customer = await self._customer(delivery.event)
        link = customer.link_of(system)
        change = wire.render_change(customer, link.external_id if link else "")
        return Outgoing(change, partial(_linked, system, customer.record_id))

    async def _customer(self, event: StoredEvent) -> Customer:
        customer = await self._reads.get(event.tenant, event.record_id)
        assert customer is not None, f"{event.subject} has events and no record"
        return customer

    # Changes from elsewhere ---------------------------------------------------------------------------

    async def take_in_change(self, change: change_pb2.ExternalChange, tx: commands.CustomerTx) -> None:
        """Takes a system's word on a customer in, as far as the system owns it."""
        if change.ref.system in self._erps:
            await commands.take_in_from_erp(wire.parse_erp_change(change), tx)
        else:
            await commands.take_in_from_crm(wire.parse_crm_change(change), tx)


def _linked(system: str, customer_id: str, receipt: change_pb2.Receipt) -> Follow | None:
    link = link_of_receipt(system, receipt)
    return partial(commands.record_link, customer_id, link) if link else None
