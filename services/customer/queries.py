"""What can be asked about customers. Reads bypass the rules and never lock. `CustomerReads` is the port."""

from collections.abc import Sequence
from typing import Protocol

from libs.common.errors import Refused
from libs.common.filtering import Filterable, Term
from libs.common.listing import Page
from services.customer.domain import Customer, State

FILTER = {
    "state": Filterable.states([state.name for state in State]),
    "number": Filterable("number"),
    "updateTime": Filterable.time("update_time"),
}
"""Fields a list may be filtered by."""


class CustomerReads(Protocol):
    """Customers of one tenant, outside any transaction."""

    async def get(self, tenant: str, record_id: str) -> Customer | None: ...

    async def page(
        self, tenant: str, terms: Sequence[Term], before: str, limit: int
    ) -> Sequence[Customer]: ...


async def get_customer(reads: CustomerReads, tenant: str, customer_id: str) -> Customer:
    """Refused with NOT_FOUND, for another tenant's as well."""
    customer = await reads.get(tenant, customer_id)
    if customer is None:
        raise Refused("NOT_FOUND")
    return customer


async def list_customers(reads: CustomerReads, tenant: str, page: Page) -> tuple[Sequence[Customer], str]:
    """One page, newest first, and the token of the next; empty on the last."""
    found = await reads.page(tenant, page.terms, page.after, page.size + 1)
    shown = found[: page.size]
    return shown, page.token(shown[-1].record_id) if len(found) > page.size else ""
