"""Two customers that are one, and back. Open this file to follow a merge to its commit."""

from dataclasses import dataclass

from libs.common.errors import Refused
from libs.common.ownership import Policy
from services.customer import domain
from services.customer.commands.ports import CustomerTx
from services.customer.commands.updates import put_if_changed
from services.customer.domain import Customer


@dataclass(frozen=True, slots=True)
class MergeCustomer:
    """Which customer goes into which."""

    customer_id: str
    survivor_id: str


@dataclass(frozen=True, slots=True)
class UnmergeCustomer:
    """Which customer comes back."""

    customer_id: str


@dataclass(frozen=True, slots=True)
class Merged:
    """Both customers afterwards."""

    customer: Customer
    survivor: Customer


async def merge_customer(command: MergeCustomer, tx: CustomerTx) -> Merged:
    """All outside records stand for the survivor from now on. Refused with NOT_FOUND, STATE_FORBIDS."""
    gone, survivor = await _known(command.customer_id, tx), await _known(command.survivor_id, tx)
    domain.check_mergeable(gone, survivor)
    proposed = [
        rule.field for rule in tx.customers.ownership.fields.values() if rule.policy is Policy.PROPOSE
    ]
    await tx.customers.withdraw(gone, proposed)
    brought = _account(gone, tx) if not _account(survivor, tx) else ""
    left, after = domain.merge(gone, survivor, brings_account=bool(brought))
    await tx.customers.move_links(gone.all_links, survivor.record_id)
    return await _put_both(left, gone, after, survivor, brought, tx)


async def unmerge_customer(command: UnmergeCustomer, tx: CustomerTx) -> Merged:
    """The customer is one of its own again, with the links it had. Refused with NOT_FOUND, STATE_FORBIDS."""
    gone = await _known(command.customer_id, tx)
    if not gone.merged_into:
        raise Refused("STATE_FORBIDS", "the customer was not merged")
    survivor = await _known(gone.merged_into, tx)
    if survivor.merged_into:
        raise Refused("STATE_FORBIDS", f"{survivor.record_id} was merged itself: take that back first")
    restored, after = domain.unmerge(gone, survivor)
    account = _account(restored, tx)
    if account:
        restored = restored.kept()
    await tx.customers.move_links(restored.all_links, restored.record_id)
    return await _put_both(restored, gone, after, survivor, account, tx)


async def _put_both(
    left: Customer, gone: Customer, after: Customer, survivor: Customer, account: str, tx: CustomerTx
) -> Merged:
    customer = await put_if_changed(gone, left, tx)
    if account:
        # What the survivor gets or loses of the CRM's fields is that CRM's word, not the steward's.
        tx.speak_for(account)
    return Merged(customer, await put_if_changed(survivor, after, tx))


def _account(customer: Customer, tx: CustomerTx) -> str:
    """The CRM whose account states the customer's sales fields; empty without one."""
    return next((link.system for link in customer.links if tx.customers.role_of(link.system) == "crm"), "")


async def _known(customer_id: str, tx: CustomerTx) -> Customer:
    customer = await tx.customers.get(customer_id)
    if customer is None:
        raise Refused("NOT_FOUND")
    return customer
