"""What follows what. Open this file to learn who hears of an event, and what a CRM or an ERP is told.

`HEARS` can be read aloud: after a customer was registered, the CRMs, the order service and the stream hear of it.
`{crm}` is each CRM that serves the tenant, `{erp}` each ERP that has the customer; a system does not hear of what it
caused itself (`tells_cause` in `store.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from ordermesh.connector.v1 import change_pb2

from libs.common.conflicts import told
from libs.common.durable.model import Delivery, Follow
from libs.common.durable.targets import Outgoing
from libs.common.ownership import MESH
from libs.common.wire import link_of_receipt
from services.customer import commands, wire
from services.customer.domain import Customer, CustomerEvent

CRM = "connector:{crm}"
ERP = "connector:{erp}"
ORDERS = "service:order"
STREAM = "stream"
PROPOSED = "ChangeProposed"
REJECTED = "ProposalRejected"

HEARS: Mapping[CustomerEvent, Sequence[str]] = {
    CustomerEvent.REGISTERED: (CRM, ORDERS, STREAM),
    CustomerEvent.CHANGED: (CRM, ORDERS, STREAM),
    CustomerEvent.SALES_CHANGED: (CRM, ERP, ORDERS, STREAM),
    CustomerEvent.KEPT: (CRM, STREAM),
    CustomerEvent.LINKED: (ORDERS, STREAM),
    CustomerEvent.MERGED: (STREAM,),
}


SALES_FIELDS = ("account_owner", "segment", "engagement")
"""What an ERP is told of a customer: what the CRM owns."""
CHANGED_HERE = ("segment", "engagement")
"""What callers of ours may change although the CRM owns it, so that the CRM is told of it."""


def targets(event: str, customer: Customer, crms: Sequence[str], erps: Sequence[str]) -> list[str]:
    """Who hears of an event of this customer, whose tenant has these CRMs and ERPs."""
    hears = HEARS[CustomerEvent(event)]
    told = [CRM.format(crm=crm) for crm in crms if CRM in hears]
    told += [ERP.format(erp=erp) for erp in erps if ERP in hears and customer.link_of(erp)]
    return [*told, *(target for target in hears if target not in (CRM, ERP))]


class Reads(Protocol):
    """What reactions look up before they tell, outside any transaction."""

    async def get(self, tenant: str, record_id: str) -> Customer | None: ...


class Reactions:
    """What the customer service does because of an event or a change."""

    def __init__(self, reads: Reads, source_of: Callable[[str], str]) -> None:
        """source_of: a system's name to `erp`, `crm` or `mesh`."""
        self._reads = reads
        self._source_of = source_of

    # Connectors ---------------------------------------------------------------------------------------

    async def tell_crm(self, system: str, delivery: Delivery) -> Outgoing | None:
        """Tells the customer as it is now; of what the CRM owns itself only what was changed here."""
        event = delivery.event
        if event.name == REJECTED:
            customer = await self._get(event.tenant, wire.parse_rejected(event.data).subject)
        else:
            customer = await self._get(event.tenant, event.subject)
        if customer.merged_into:
            return None
        link = customer.link_of(system)
        if link and event.name == CustomerEvent.CHANGED and self._source_of(event.source_system) == MESH:
            change = wire.render_sales_change(customer, link.external_id, CHANGED_HERE)
        else:
            change = wire.render_change(customer, link.external_id if link else "")
        return Outgoing(change, partial(_linked, system, customer))

    async def tell_erp(self, system: str, delivery: Delivery) -> Outgoing | None:
        """Tells what the CRM owns as it is now, or the one value that a steward has let through.

        The ERP's feed brings the record back; until then nothing follows.
        """
        event = delivery.event
        proposed = wire.parse_proposed(event.data) if event.name == PROPOSED else None
        customer = await self._get(event.tenant, proposed.subject if proposed else event.subject)
        link = customer.link_of(system)
        if link is None:
            return None
        if proposed is not None:
            return Outgoing(wire.render_proposed(customer, link.external_id, proposed), _nothing)
        change = wire.render_sales_change(customer, link.external_id, SALES_FIELDS)
        return Outgoing(change, _nothing, optional=True)

    async def _get(self, tenant: str, subject: str) -> Customer:
        customer = await self._reads.get(tenant, subject.split("/", 1)[1])
        assert customer is not None, f"{subject} has events and no record"
        return customer

    # Changes from elsewhere ---------------------------------------------------------------------------

    async def take_in_change(self, change: change_pb2.ExternalChange, tx: commands.CustomerTx) -> None:
        """Takes a system's word on a customer in, as far as the system owns it."""
        said = parse_change(change, self._source_of)
        if isinstance(said, commands.TakeInFromErp):
            await commands.take_in_from_erp(said, tx)
        else:
            await commands.take_in_from_crm(said, tx)


def parse_change(change: change_pb2.ExternalChange, source_of: Callable[[str], str]) -> commands.TakeIn:
    """What a system says of a customer, by what kind of system it is."""
    if source_of(change.ref.system) == "erp":
        return wire.parse_erp_change(change)
    return wire.parse_crm_change(change)


def _nothing(_receipt: change_pb2.Receipt) -> Follow | None:
    return None


def _linked(system: str, customer: Customer, receipt: change_pb2.Receipt) -> Follow | None:
    link = link_of_receipt(system, receipt)
    knows = told(customer, system, wire.OWNERSHIP)
    return partial(commands.record_link, customer.record_id, link, knows=knows) if link else None
