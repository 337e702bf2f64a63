"""What other systems say of customers, taken in. Open this file to learn by what a customer is known."""

from collections.abc import Sequence

import structlog

from libs.common.aggregate import Link, Shown, is_stale
from libs.common.conflicts import hear, owner_stated, remember_told
from libs.common.errors import Refused
from services.customer.commands.candidates import match
from services.customer.commands.ports import CustomerTx, TakeInFromCrm, TakeInFromErp
from services.customer.commands.updates import put_if_changed
from services.customer.domain import Customer

LOG = structlog.get_logger(__name__)


async def take_in_from_erp(command: TakeInFromErp, tx: CustomerTx) -> None:
    """The ERP's word on a customer: known by its link, its number or its likeness, else new.

    Refused with DUPLICATE_CANDIDATE when it may be one that other systems know.
    """
    link, fields = command.link, command.fields
    customer = await tx.customers.by_link(link.system, link.external_id)
    if customer is not None and (customer.also_stands(link) or is_stale(customer.link_of(link.system), link)):
        await _forget_further(customer, link, tx, gone=fields is None)
        return
    if customer is None and fields is not None:
        namesakes = await _numbered(fields.number, link, tx)
        customer = _without_link(namesakes, link.system) or await match(command, tx) or _new(tx)
    if customer is None:
        return
    after = customer.stated_by_erp(fields, link) if fields else customer.gone_from_erp(link)
    await put_if_changed(customer, await owner_stated(customer, after, tx.customers), tx)


async def take_in_from_crm(command: TakeInFromCrm, tx: CustomerTx) -> None:
    """The CRM's word on a customer: by its link, the ERP's number, without one by its likeness, else none of ours.

    Refused with DUPLICATE_CANDIDATE when it may be one of ours, or another account stands for it already.
    """
    link, fields = command.link, command.fields
    customer = await tx.customers.by_link(link.system, link.external_id)
    if customer is not None and (customer.also_stands(link) or is_stale(customer.link_of(link.system), link)):
        await _forget_further(customer, link, tx, gone=fields is None)
        return
    found_alike = customer is None and not command.number
    if customer is None and fields is not None and command.number:
        namesakes = await _numbered(command.number, link, tx)
        customer = _without_link(namesakes, link.system) or next(iter(namesakes), None)
    elif customer is None:
        customer = await match(command, tx)
    if customer is None:
        LOG.debug("not_in_the_erp", system=link.system, external_id=link.external_id)
        return
    after = customer.stated_by_crm(fields, link) if fields else customer.gone_from_crm(link)
    heard, tell = await hear(after, link.system, command.others, tx.customers, "customer")
    await put_if_changed(customer, heard.kept() if tell or found_alike else heard, tx)


async def _forget_further(customer: Customer, link: Link, tx: CustomerTx, *, gone: bool) -> None:
    """A further record of a system tells nothing but its end."""
    if gone and customer.also_stands(link):
        await put_if_changed(customer, customer.without_further(link), tx)


async def record_link(customer_id: str, link: Link, tx: CustomerTx, *, knows: Sequence[Shown] = ()) -> None:
    """A system has named its record of the customer, and knows what it was told.

    Refused with DUPLICATE_CANDIDATE when it is another one's.
    """
    other = await tx.customers.by_link(link.system, link.external_id)
    customer = await _existing(customer_id, tx)
    if other is not None and other.record_id not in (customer_id, customer.merged_into):
        said = f"{link.system} {link.external_id} stands for {other.record_id} already"
        raise Refused("DUPLICATE_CANDIDATE", said)
    if customer.merged_into:
        survivor = await _existing(customer.merged_into, tx)
        if survivor.also_stands(link):
            return
        await put_if_changed(survivor, survivor.linked_by_steward(link), tx)
        return
    await put_if_changed(customer, remember_told(customer.linked_and_told(link), knows), tx)


async def _numbered(number: str, link: Link, tx: CustomerTx) -> Sequence[Customer]:
    """Customers with the number that no steward has merged, or told apart from the outside record."""
    found = await tx.customers.numbered(number)
    return [each for each in found if not each.merged_into and not each.is_apart_from(link)]


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


async def _existing(customer_id: str, tx: CustomerTx) -> Customer:
    customer = await tx.customers.get(customer_id)
    assert customer is not None, f"{customer_id} has events and no record"
    return customer
