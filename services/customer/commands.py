"""What can be done to customers, one function per intention. Open this file to read a use case from end to end.

Each runs inside one commit and may run again when the commit fails, so nothing here has an effect of its own.
`CustomerTx` is the port: what a command needs of its transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import structlog

from libs.common.aggregate import Link, is_stale
from libs.common.context import CallContext
from libs.common.errors import Refused
from libs.common.ids import NewId
from services.customer import domain
from services.customer.domain import Customer

LOG = structlog.get_logger(__name__)


class Customers(Protocol):
    """The customers of the caller's tenant."""

    async def get(self, record_id: str) -> Customer | None: ...

    async def by_link(self, system: str, external_id: str) -> Customer | None: ...

    async def numbered(self, number: str) -> Sequence[Customer]: ...

    async def put(self, record: Customer) -> Customer: ...


class CustomerTx(Protocol):
    """One command's transaction."""

    @property
    def now(self) -> datetime: ...

    @property
    def context(self) -> CallContext: ...

    @property
    def new_id(self) -> NewId: ...

    @property
    def customers(self) -> Customers: ...


@dataclass(frozen=True, slots=True)
class UpdateCustomer:
    """New values of fields that the CRM owns. An empty etag skips the version check."""

    customer_id: str
    fields: domain.CrmFields
    etag: str


@dataclass(frozen=True, slots=True)
class TakeInFromErp:
    """The ERP's word on one customer. `fields` is None when the record is gone there."""

    link: Link
    fields: domain.ErpFields | None


@dataclass(frozen=True, slots=True)
class TakeInFromCrm:
    """The CRM's word on one customer. `fields` is None when the record is gone there."""

    link: Link
    number: str
    """The ERP's number, as far as the CRM knows it. Empty otherwise."""
    fields: domain.CrmFields | None


# Callers ---------------------------------------------------------------------------------------------------------


async def update_customer(command: UpdateCustomer, tx: CustomerTx) -> Customer:
    """Changes what the CRM owns. Refused with NOT_FOUND or ETAG_MISMATCH."""
    customer = await tx.customers.get(command.customer_id)
    if customer is None:
        raise Refused("NOT_FOUND")
    if command.etag and command.etag not in (customer.etag, "*"):
        raise Refused("ETAG_MISMATCH", f"the customer is at version {customer.etag}")
    return await _put_if_changed(customer.updated(command.fields), tx)


# What other systems say ------------------------------------------------------------------------------------------


async def take_in_from_erp(command: TakeInFromErp, tx: CustomerTx) -> None:
    """The ERP's word on a customer: known by its link, else by its number, else new."""
    link, fields = command.link, command.fields
    customer = await tx.customers.by_link(link.system, link.external_id)
    if customer is not None and is_stale(customer.link_of(link.system), link):
        return
    if customer is None and fields is not None:
        customer = _without_link(await tx.customers.numbered(fields.number), link.system) or _new(tx)
    if customer is None:
        return
    after = customer.stated_by_erp(fields, link) if fields else customer.gone_from_erp(link)
    await _put_if_changed(after, tx)


async def take_in_from_crm(command: TakeInFromCrm, tx: CustomerTx) -> None:
    """The CRM's word on a customer: known by its link, else by the ERP's number, else none of our business."""
    link, fields = command.link, command.fields
    customer = await tx.customers.by_link(link.system, link.external_id)
    if customer is not None and is_stale(customer.link_of(link.system), link):
        return
    if customer is None and fields is not None and command.number:
        namesakes = await tx.customers.numbered(command.number)
        customer = _without_link(namesakes, link.system) or next(iter(namesakes), None)
    if customer is None:
        LOG.debug("not_in_the_erp", system=link.system, external_id=link.external_id)
        return
    after = customer.stated_by_crm(fields, link) if fields else customer.gone_from_crm(link)
    await _put_if_changed(after, tx)


async def record_link(customer_id: str, link: Link, tx: CustomerTx) -> None:
    """A system has named its record of the customer. Refused with DUPLICATE_CANDIDATE when it is another one's."""
    other = await tx.customers.by_link(link.system, link.external_id)
    if other is not None and other.record_id != customer_id:
        said = f"{link.system} {link.external_id} stands for {other.record_id} already"
        raise Refused("DUPLICATE_CANDIDATE", said)
    await _put_if_changed((await _existing(customer_id, tx)).linked_and_told(link), tx)


def _without_link(found: Sequence[Customer], system: str) -> Customer | None:
    """The oldest that no record of the system stands for."""
    return next((customer for customer in found if customer.link_of(system) is None), None)


def _new(tx: CustomerTx) -> Customer:
    return Customer(
        tenant=tx.context.tenant,
        record_id=tx.new_id("cus"),
        create_time=tx.now,
        update_time=tx.now,
        correlation_id=tx.context.correlation_id,
        traceparent=tx.context.traceparent,
    )


async def _put_if_changed(after: Customer, tx: CustomerTx) -> Customer:
    """Every change worth storing tells something; a mere repetition tells nothing."""
    if not after.pending:
        return after
    caused = replace(after, correlation_id=tx.context.correlation_id, traceparent=tx.context.traceparent)
    return await tx.customers.put(caused)


async def _existing(customer_id: str, tx: CustomerTx) -> Customer:
    customer = await tx.customers.get(customer_id)
    assert customer is not None, f"{customer_id} has events and no record"
    return customer
