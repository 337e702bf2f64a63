"""Rows and domain: how products are kept. Open this file to write a query or migration."""

from collections.abc import Callable, Mapping, Sequence

import sqlalchemy as sa
from pydantic import TypeAdapter

from libs.common.context import CallContext
from libs.common.durable.lookup import find
from libs.common.durable.tables import record_table
from libs.common.durable.tx import Group, Kind, Records, Tx
from libs.common.ownership import Ownership
from services.product.domain import Product

METADATA = sa.MetaData()
PRODUCTS = record_table("products", METADATA, "state", "sku")


def product_kind(
    render_event: Callable[[str, Product], tuple[str, bytes]],
    targets: Callable[[str, Product], Sequence[str]],
    ownership: Ownership,
    source_of: Callable[[str], str],
) -> Kind[Product]:
    """How products are stored, told of and audited."""
    return Kind(
        table=PRODUCTS,
        collection="products",
        codec=TypeAdapter(Product),
        columns=_columns,
        render_event=render_event,
        targets=targets,
        ownership=ownership,
        source_of=source_of,
        answers=frozenset({"ProductKept"}),
        tells_cause=False,
    )


def _columns(product: Product) -> Mapping[str, str]:
    return {"state": product.state.name, "sku": product.sku}


class ProductTx(Tx):
    """One command's transaction in the product service."""

    def __init__(self, group: Group, context: CallContext, rule: str, kind: Kind[Product]) -> None:
        super().__init__(group, context, rule, kind)
        self._kind = kind

    @property
    def products(self) -> "TxProducts":
        return TxProducts(self, self._kind)


class TxProducts(Records[Product]):
    """Products within one transaction."""

    async def by_sku(self, sku: str) -> Product | None:
        """The product with that SKU; the database refuses a second one at the commit, which then runs again."""
        found = await find(self._tx, self._kind, "sku = $2", sku, lambda product: product.sku == sku)
        return found[0] if found else None
