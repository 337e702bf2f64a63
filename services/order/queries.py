"""What can be asked about orders. Reads bypass the rules and never lock. `OrderReads` is the port."""

from collections.abc import Sequence
from typing import Protocol

from libs.common.errors import Refused
from libs.common.filtering import Filterable, Term
from libs.common.listing import Page
from services.order.domain import Order, State

FILTER = {
    "state": Filterable.states([state.name for state in State]),
    "customerId": Filterable("customer_id"),
    "sourceId": Filterable("source_id"),
    "erpNumber": Filterable("erp_number"),
    "updateTime": Filterable.time("update_time"),
}
"""Fields a list may be filtered by."""


class OrderReads(Protocol):
    """Orders of one tenant, outside any transaction."""

    async def get(self, tenant: str, record_id: str) -> Order | None: ...

    async def page(self, tenant: str, terms: Sequence[Term], before: str, limit: int) -> Sequence[Order]: ...


async def get_order(reads: OrderReads, tenant: str, order_id: str) -> Order:
    """Refused with NOT_FOUND, for another tenant's as well."""
    order = await reads.get(tenant, order_id)
    if order is None:
        raise Refused("NOT_FOUND")
    return order


async def list_orders(reads: OrderReads, tenant: str, page: Page) -> tuple[Sequence[Order], str]:
    """One page, newest first, and the token of the next; empty on the last."""
    found = await reads.page(tenant, page.terms, page.after, page.size + 1)
    shown = found[: page.size]
    return shown, page.token(shown[-1].record_id) if len(found) > page.size else ""
