"""Rows and domain: how orders and the copies they need are kept. Open this file to write a query or migration."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import TypeVar, cast

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.dialects import postgresql as pg

from libs.common.context import CallContext
from libs.common.durable.operations.obsolete import close_parked
from libs.common.durable.probes import lookup_statement
from libs.common.durable.reads import Reads
from libs.common.durable.store import Store
from libs.common.durable.tables import record_table
from libs.common.durable.tx import Group, Kind, Records, Tx
from libs.common.expiring import Expiring
from libs.common.ownership import Ownership
from libs.common.together import Together
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
PARSED_MAX = 4096

_CUSTOMER = TypeAdapter(KnownCustomer)
_PRODUCT = TypeAdapter(KnownProduct)
K = TypeVar("K", KnownCustomer, KnownProduct)


def order_kind(
    render_event: Callable[[str, Order], tuple[str, bytes]],
    targets: Callable[[str, Order], Sequence[str]],
    ownership: Ownership,
    source_of: Callable[[str], str],
) -> Kind[Order]:
    """How orders are stored, told of and audited."""
    return Kind(
        table=ORDERS,
        collection="orders",
        codec=TypeAdapter(Order),
        columns=_columns,
        render_event=render_event,
        targets=targets,
        ownership=ownership,
        source_of=source_of,
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
        super().__init__(group, context, rule, kind)
        self._kind = kind
        self._copies = copies
        self.route = route
        self.backorders = backorders

    @property
    def orders(self) -> Records[Order]:
        return Records(self, self._kind)

    @property
    def references(self) -> "TxReferences":
        return TxReferences(self, self._copies)

    async def close_way(self, order: Order) -> None:
        await close_parked(self, f"orders/{order.record_id}", ["stage:%", f"connector:{order.erp}"])


Known = KnownCustomer | KnownProduct
CopyName = tuple[str, str]
"""Tenant and name."""
Copies = Expiring[CopyName, Known]
"""Shared by the transactions of a process."""


def new_copies() -> Copies:
    return Expiring(COPIES_MAX, COPIES_TIME)


class TxReferences:
    """Copies of customers and products within one transaction."""

    def __init__(self, tx: Tx, copies: Copies) -> None:
        self._tx = tx
        self._copies = copies

    async def customer(self, party: Party) -> KnownCustomer | None:
        found = await self._read([customer_name(party)], _CUSTOMER)
        return found[0] if found else None

    async def products(self, skus: Sequence[str]) -> dict[str, KnownProduct]:
        found = await self._read([product_name(sku) for sku in dict.fromkeys(skus)], _PRODUCT)
        return {product.sku: product for product in found}

    def keep_customer(self, customer: KnownCustomer, names: Sequence[str]) -> None:
        for name in names:
            self._keep(name, _CUSTOMER.dump_json(customer).decode())

    def keep_product(self, product: KnownProduct) -> None:
        self._keep(product_name(product.sku), _PRODUCT.dump_json(product).decode())

    def _keep(self, name: str, record: str) -> None:
        row = {"tenant": self._tx.context.tenant, "name": name, "record": record}
        self._tx.writes.upserts.setdefault(REFERENCE, []).append(row)

    async def _read(self, names: Sequence[str], codec: TypeAdapter[K]) -> list[K]:
        """Those that are known, from the process's copies or else the table."""
        tenant, now = self._tx.context.tenant, self._tx.now
        held: list[K] = []
        missing = []
        for name in names:
            copy = self._copies.get((tenant, name), now)
            if copy is None:
                missing.append(name)
            else:
                held.append(cast(K, copy))
        if missing:
            rows = await self._tx.driver.look(
                "SELECT name, record::text AS record FROM reference WHERE tenant = $1 AND name = ANY($2::text[])",
                tenant,
                missing,
            )
            for row in rows:
                read = codec.validate_json(row["record"])
                held.append(read)
                self._copies.put((tenant, row["name"]), read, now)
        return held


class ReferenceReads:
    """Orders and the copies they refer to, outside any transaction."""

    def __init__(self, store: Store, orders: Reads[Order]) -> None:
        self._store = store
        self._orders = orders
        self._together = Together(self._read)

    async def get(self, tenant: str, record_id: str) -> Order | None:
        return await self._orders.get(tenant, record_id)

    async def known(
        self, tenant: str, party: Party, skus: Sequence[str]
    ) -> tuple[KnownCustomer | None, dict[str, KnownProduct]]:
        """The customer and the products by SKU, as far as they are known."""
        customer, products = customer_name(party), [product_name(sku) for sku in dict.fromkeys(skus)]
        found = await self._together.get([(tenant, name) for name in (customer, *products)])
        known = [found[tenant, name] for name in products if (tenant, name) in found]
        return (
            cast(KnownCustomer | None, found.get((tenant, customer))),
            {product.sku: product for product in cast(list[KnownProduct], known)},
        )

    async def _read(self, keys: Sequence[CopyName]) -> Mapping[CopyName, Known]:
        rows = await self._store.fetch(
            lookup_statement("reference", "tenant, name, record::text AS record", ("tenant", "name")),
            [tenant for tenant, _ in keys],
            [name for _, name in keys],
        )
        return {(row["tenant"], row["name"]): _parsed(row["name"], row["record"]) for row in rows}


@lru_cache(PARSED_MAX)
def _parsed(name: str, record: str) -> Known:
    """The same text says the same; the products of orders are few, and each is in many."""
    return (_CUSTOMER if name.startswith("customer/") else _PRODUCT).validate_json(record)
