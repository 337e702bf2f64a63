"""What can be asked about products. Reads bypass the rules and never lock. `ProductReads` is the port."""

from collections.abc import Sequence
from typing import Protocol

from libs.common.errors import Refused
from libs.common.filtering import Filterable, Term
from libs.common.listing import Page
from services.product.domain import Product, State

FILTER = {
    "state": Filterable.states([state.name for state in State]),
    "sku": Filterable("sku"),
    "updateTime": Filterable.time("update_time"),
}
"""Fields a list may be filtered by."""


class ProductReads(Protocol):
    """Products of one tenant, outside any transaction."""

    async def get(self, tenant: str, record_id: str) -> Product | None: ...

    async def page(
        self, tenant: str, terms: Sequence[Term], before: str, limit: int
    ) -> Sequence[Product]: ...


async def get_product(reads: ProductReads, tenant: str, product_id: str) -> Product:
    """Refused with NOT_FOUND, for another tenant's as well."""
    product = await reads.get(tenant, product_id)
    if product is None:
        raise Refused("NOT_FOUND")
    return product


async def list_products(reads: ProductReads, tenant: str, page: Page) -> tuple[Sequence[Product], str]:
    """One page, newest first, and the token of the next; empty on the last."""
    found = await reads.page(tenant, page.terms, page.after, page.size + 1)
    shown = found[: page.size]
    return shown, page.token(shown[-1].record_id) if len(found) > page.size else ""
