"""Rows and domain: how orders and the copies they need are kept. Open this file to write a query or migration."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.dialects import postgresql as pg

from libs.common.context import CallContext
from libs.common.durable.reads import Reads
from libs.common.durable.store import Store
from libs.common.durable.tables import record_table
from libs.common.durable.tx import Group, Kind, Records, Tx
from libs.common.expiring import Expiring
from services.order.commands import Routing
from services.order.domain import KnownCustomer, KnownProduct, Order, Party, customer_name, product_name

METADATA = sa.MetaData()
ORDERS = record_table(
    "orders", METADATA, "state", "customer_id", "source_system", "source_id", "erp_number", "correlation_id"
)
REFERENCE = sa.Table(
    "reference",
    METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("record", pg.JSONB),
)
COPIES_MAX = 50_000
COPIES_TIME = timedelta(seconds=5)
"""How long a copy read once is trusted at the door; the validate stage reads it again."""

_CUSTOMER = TypeAdapter(KnownCustomer)
_PRODUCT = TypeAdapter(KnownProduct)


def order_kind(
    render_event: Callable[[str, Order], tuple[str, bytes]], targets: Callable[[str, Order], Sequence[str]]
) -> Kind[Order]:
    """How orders are stored, told of and audited."""
    return Kind(
        table=ORDERS,
        collection="orders",
        codec=TypeAdapter(Order),
        columns=_columns,
        render_event=render_event,
        targets=targets,
        redacted=frozenset({"ship_to"}),
    )


def _columns(order: Order) -> Mapping[str, str]:
    return {
        "state": order.state.name,
        "customer_id": order.customer_id,
        "source_system": order.source_system,
        "source_id": order.source_id,
        "erp_number": order.erp_number,
        "correlation_id": order.correlation_id,
    }


class OrderTx(Tx):
    """One command's transaction in the order service."""

    def __init__(
        self,
        group: Group,
        context: CallContext,
        rule: str,
        kind: Kind[Order],
        route: Routing,
        copies: "Copies",
        *,
        backorders: bool,
    ) -> None:
        super().__init__(group, context, rule)
        self.orders = Records(self, kind)
        self.references = TxReferences(self, copies)
        self.route = route
        self.backorders = backorders


Copies = Expiring[tuple[str, str], str]
"""Tenant and name to record, JSON text; shared by the transactions of a process."""


def new_copies() -> Copies:
    return Expiring(COPIES_MAX, COPIES_TIME)


class TxReferences:
    """Copies of customers and products within one transaction."""

    def __init__(self, tx: Tx, copies: Copies) -> None:
        self._tx = tx
        self._copies = copies

    async def customer(self, party: Party) -> KnownCustomer | None:
        name = customer_name(party)
        found = await self._read([name])
        return _CUSTOMER.validate_json(found[name]) if name in found else None

    async def products(self, skus: Sequence[str]) -> dict[str, KnownProduct]:
        found = await self._read([product_name(sku) for sku in dict.fromkeys(skus)])
        products = [_PRODUCT.validate_json(record) for record in found.values()]
        return {product.sku: product for product in products}

    def keep_customer(self, customer: KnownCustomer, names: Sequence[str]) -> None:
        for name in names:
            self._keep(name, _CUSTOMER.dump_json(customer).decode())

    def keep_product(self, product: KnownProduct) -> None:
        self._keep(product_name(product.sku), _PRODUCT.dump_json(product).decode())

    def _keep(self, name: str, record: str) -> None:
        row = {"tenant": self._tx.context.tenant, "name": name, "record": record}
        self._tx.writes.upserts.setdefault(REFERENCE, []).append(row)

    async def _read(self, names: Sequence[str]) -> dict[str, str]:
        """Names that are known, from the process's copies or else the table."""
        tenant, now = self._tx.context.tenant, self._tx.now
        held = {name: self._copies.get((tenant, name), now) for name in names}
        missing = [name for name, record in held.items() if record is None]
        if missing:
            rows = await self._tx.driver.fetch(
                "SELECT name, record::text AS record FROM reference WHERE tenant = $1 AND name = ANY($2::text[])",
                tenant,
                missing,
            )
            for row in rows:
                held[row["name"]] = row["record"]
                self._copies.put((tenant, row["name"]), row["record"], now)
        return {name: record for name, record in held.items() if record is not None}


class ReferenceReads:
    """Orders and the copies they refer to, outside any transaction."""

    def __init__(self, store: Store, orders: Reads[Order]) -> None:
        self._store = store
        self._orders = orders

    async def get(self, tenant: str, record_id: str) -> Order | None:
        return await self._orders.get(tenant, record_id)

    async def known(
        self, tenant: str, party: Party, skus: Sequence[str]
    ) -> tuple[KnownCustomer | None, dict[str, KnownProduct]]:
        """The customer and the products by SKU, as far as they are known."""
        names = [customer_name(party), *(product_name(sku) for sku in dict.fromkeys(skus))]
        rows = await self._store.fetch(
            "SELECT name, record::text AS record FROM reference WHERE tenant = $1 AND name = ANY($2::text[])",
            tenant,
            names,
        )
        found = {row["name"]: row["record"] for row in rows}
        customer = found.pop(names[0], None)
        products = [_PRODUCT.validate_json(record) for record in found.values()]
        known = _CUSTOMER.validate_json(customer) if customer else None
        return known, {product.sku: product for product in products}
