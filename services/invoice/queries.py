"""What can be asked about invoices. Reads bypass the rules and never lock. `InvoiceReads` is the port."""

from collections.abc import Sequence
from typing import Protocol

from libs.common.errors import Refused
from libs.common.filtering import Filterable, Term
from libs.common.listing import Page
from services.invoice.domain import Invoice, State

FILTER = {
    "state": Filterable.states([state.name for state in State]),
    "orderId": Filterable("order_id"),
    "number": Filterable("number"),
    "updateTime": Filterable.time("update_time"),
}
"""Fields a list may be filtered by."""


class InvoiceReads(Protocol):
    """Invoices of one tenant, outside any transaction."""

    async def get(self, tenant: str, record_id: str) -> Invoice | None: ...

    async def page(
        self, tenant: str, terms: Sequence[Term], before: str, limit: int
    ) -> Sequence[Invoice]: ...


async def get_invoice(reads: InvoiceReads, tenant: str, invoice_id: str) -> Invoice:
    """Refused with NOT_FOUND, for another tenant's as well."""
    invoice = await reads.get(tenant, invoice_id)
    if invoice is None:
        raise Refused("NOT_FOUND")
    return invoice


async def list_invoices(reads: InvoiceReads, tenant: str, page: Page) -> tuple[Sequence[Invoice], str]:
    """One page, newest first, and the token of the next; empty on the last."""
    found = await reads.page(tenant, page.terms, page.after, page.size + 1)
    shown = found[: page.size]
    return shown, page.token(shown[-1].record_id) if len(found) > page.size else ""
