"""What callers change of a customer, and how a changed one is put back. Open this file to follow an update."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from libs.common.aggregate import revised
from libs.common.conflicts import Claimed, claim
from libs.common.errors import Refused
from services.customer import domain
from services.customer.commands.ports import CustomerTx
from services.customer.domain import Customer


@dataclass(frozen=True, slots=True)
class UpdateCustomer:
    """New values of the fields `named`; `others`: of those that the CRM does not own. An empty etag skips the check."""

    customer_id: str
    named: frozenset[str]
    fields: domain.CrmFields
    others: Mapping[str, object]
    etag: str


async def update_customer(command: UpdateCustomer, tx: CustomerTx) -> Claimed[Customer]:
    """Changes what the CRM owns.

    Refused with OWNERSHIP_VIOLATION, NOT_SUPPORTED, NOT_FOUND, ETAG_MISMATCH, STATE_FORBIDS for a merged customer.
    """
    customer = await tx.customers.get(command.customer_id)
    if customer is None:
        raise Refused("NOT_FOUND")
    if customer.merged_into:
        raise Refused("STATE_FORBIDS", f"the customer was merged into {customer.merged_into}")
    if command.etag and command.etag not in (customer.etag, "*"):
        raise Refused("ETAG_MISMATCH", f"the customer is at version {customer.etag}")
    after = customer.updated(command.fields)
    by = tx.context.system
    claimed = await claim(after, command.named, command.others, by, tx.customers, "customer")
    stated = sorted(name for name in claimed.taken if tx.customers.ownership.fields[name].owner == "erp")
    if stated:
        raise Refused.field("NOT_SUPPORTED", f"customer.{stated[0]}", "the ERP states it through its feed")
    return replace(claimed, record=await put_if_changed(customer, claimed.record, tx))


async def put_if_changed(before: Customer, after: Customer, tx: CustomerTx) -> Customer:
    """A mere repetition is not stored and tells nothing."""
    if not after.is_worth_storing(before):
        return before
    caused = revised(after, correlation_id=tx.context.correlation_id, traceparent=tx.context.traceparent)
    return await tx.customers.put(caused)
