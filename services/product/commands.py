"""What can be done to products, one function per intention. Open this file to read a use case from end to end.

Each runs inside one commit and may run again when the commit fails, so nothing here has an effect of its own.
`ProductTx` is the port: what a command needs of its transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

from libs.common.aggregate import Link, Shown, is_stale, revised
from libs.common.command import CommandTx
from libs.common.conflicts import Claimed, Contested, claim, hear, owner_stated, remember_told
from libs.common.errors import Refused
from services.product import domain
from services.product.domain import Product

LOG = structlog.get_logger(__name__)


class Products(Contested[Product], Protocol):
    """The products of the caller's tenant."""

    async def get(self, record_id: str) -> Product | None: ...

    async def by_link(self, system: str, external_id: str) -> Product | None: ...

    async def by_sku(self, sku: str) -> Product | None: ...

    async def put(self, record: Product) -> Product: ...


class ProductTx(CommandTx, Protocol):
    """One command's transaction."""

    @property
    def products(self) -> Products: ...


@dataclass(frozen=True, slots=True)
class UpdateProduct:
    """New values of the fields `named`; `others`: of those that the CRM does not own. An empty etag skips the check."""

    product_id: str
    named: frozenset[str]
    fields: domain.CrmFields
    others: Mapping[str, object]
    etag: str


@dataclass(frozen=True, slots=True)
class TakeInFromErp:
    """The ERP's word on one product. `fields` is None when the record is gone there."""

    link: Link
    fields: domain.ErpFields | None


@dataclass(frozen=True, slots=True)
class TakeInFromCrm:
    """The CRM's word on one product. `fields` is None when the record is gone there."""

    link: Link
    sku: str
    """As far as the CRM knows it. Empty otherwise."""
    fields: domain.CrmFields | None
    others: Mapping[str, object] = field(default_factory=dict)
    """What it shows in fields that it does not own, by the contract's names."""


# Callers ---------------------------------------------------------------------------------------------------------


async def update_product(command: UpdateProduct, tx: ProductTx) -> Claimed[Product]:
    """Changes what the CRM owns. Refused with OWNERSHIP_VIOLATION, NOT_SUPPORTED, NOT_FOUND or ETAG_MISMATCH."""
    product = await tx.products.get(command.product_id)
    if product is None:
        raise Refused("NOT_FOUND")
    if command.etag and command.etag not in (product.etag, "*"):
        raise Refused("ETAG_MISMATCH", f"the product is at version {product.etag}")
    after = product.updated(command.fields)
    by = tx.context.system
    claimed = await claim(after, command.named, command.others, by, tx.products, "product")
    stated = sorted(name for name in claimed.taken if tx.products.ownership.fields[name].owner == "erp")
    if stated:
        raise Refused.field("NOT_SUPPORTED", f"product.{stated[0]}", "the ERP states it through its feed")
    return replace(claimed, record=await _put_if_changed(product, claimed.record, tx))


# What other systems say ------------------------------------------------------------------------------------------


async def take_in_from_erp(command: TakeInFromErp, tx: ProductTx) -> None:
    """The ERP's word on a product: known by its link, else by its SKU, else new.

    Refused with DUPLICATE_CANDIDATE when two records of one ERP claim a SKU.
    """
    link, fields = command.link, command.fields
    product = await tx.products.by_link(link.system, link.external_id)
    if product is not None and is_stale(product.link_of(link.system), link):
        return
    if fields is not None and (product is None or product.sku != fields.sku):
        product = await _with_sku(fields.sku, product, tx)
    if product is None:
        return
    after = product.stated_by_erp(fields, link) if fields else product.gone_from_erp(link)
    await _put_if_changed(product, await owner_stated(product, after, tx.products), tx)


async def take_in_from_crm(command: TakeInFromCrm, tx: ProductTx) -> None:
    """The CRM's word on a product: known by its link, else by its SKU, else none of our business."""
    link, fields = command.link, command.fields
    product = await tx.products.by_link(link.system, link.external_id)
    if product is not None and is_stale(product.link_of(link.system), link):
        return
    if product is None and fields is not None and command.sku:
        product = await tx.products.by_sku(command.sku)
    if product is None:
        LOG.debug("not_in_the_erp", system=link.system, external_id=link.external_id)
        return
    after = product.stated_by_crm(fields, link) if fields else product.gone_from_crm(link)
    heard, tell = await hear(after, link.system, command.others, tx.products, "product")
    await _put_if_changed(product, heard.kept() if tell else heard, tx)


async def record_link(product_id: str, link: Link, tx: ProductTx, *, knows: Sequence[Shown] = ()) -> None:
    """A system has named its record of the product, and knows what it was told.

    Refused with DUPLICATE_CANDIDATE when it is another one's.
    """
    other = await tx.products.by_link(link.system, link.external_id)
    if other is not None and other.record_id != product_id:
        said = f"{link.system} {link.external_id} stands for {other.record_id} already"
        raise Refused("DUPLICATE_CANDIDATE", said)
    product = await _existing(product_id, tx)
    await _put_if_changed(product, remember_told(product.linked_and_told(link), knows), tx)


async def _with_sku(sku: str, product: Product | None, tx: ProductTx) -> Product:
    """The product that is to have the SKU: this one, else the one that has it, else a new one."""
    namesake = await tx.products.by_sku(sku)
    if product is not None and namesake is not None:
        said = f"{product.record_id} is to have the SKU {sku}, which {namesake.record_id} has"
        raise Refused("DUPLICATE_CANDIDATE", said)
    return product or namesake or _new(tx)


def _new(tx: ProductTx) -> Product:
    return Product(
        tenant=tx.context.tenant,
        record_id=tx.new_id("prd"),
        create_time=tx.now,
        update_time=tx.now,
        correlation_id=tx.context.correlation_id,
        traceparent=tx.context.traceparent,
    )


async def _put_if_changed(before: Product, after: Product, tx: ProductTx) -> Product:
    """A mere repetition is not stored and tells nothing."""
    if not after.is_worth_storing(before):
        return before
    caused = revised(after, correlation_id=tx.context.correlation_id, traceparent=tx.context.traceparent)
    return await tx.products.put(caused)


async def _existing(product_id: str, tx: ProductTx) -> Product:
    product = await tx.products.get(product_id)
    assert product is not None, f"{product_id} has events and no record"
    return product
