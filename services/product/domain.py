"""What a product is and may become. Open this file to learn or change a rule about products.

    ERP: registers it, states its own fields, ACTIVE ⇄ INACTIVE        CRM: states the marketing text

Each field has one owner, as the contract says; what becomes of another system's word stands in `conflicts.py`.
Pure: no I/O, no clock, no ids made here. A method returns a new product that carries the facts to be told.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Self

from libs.common.aggregate import Aggregate, Link, revised
from libs.common.money import Money
from libs.common.value import value


class State(IntEnum):
    """Whether the product may be sold. The numbers are those of the contract."""

    ACTIVE = 1
    INACTIVE = 2


class ProductEvent(StrEnum):
    """Facts, named as in the contract, which makes no difference between the two changes."""

    REGISTERED = "ProductRegistered"
    CHANGED = "ProductChanged"
    """Something that orders depend on."""
    OFFER_CHANGED = "ProductOfferChanged"
    """Only names, texts, prices or stock."""
    LINKED = "ProductLinked"
    KEPT = "ProductKept"


@dataclass(frozen=True, slots=True)
class Price:
    """One list price, for one sales unit without tax."""

    price_book: str
    unit_price: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class ErpFields:
    """What the ERP says of a product: all the fields it owns."""

    sku: str
    name: str = ""
    description: str = ""
    state: State = State.ACTIVE
    unit_code: str = ""
    prices: tuple[Price, ...] = ()
    quantity_available: Decimal | None = None
    stocked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmFields:
    """What the CRM says of a product: all the fields it owns. None leaves a value as it is."""

    marketing_text: str | None = None


@value(kw_only=True)
class Product(Aggregate):
    """Something that can be ordered."""

    sku: str = ""
    name: str = ""
    description: str = ""
    state: State = State.ACTIVE
    unit_code: str = ""
    prices: tuple[Price, ...] = ()
    """In the ERP's order: the first of a currency is its base price."""
    quantity_available: Decimal | None = None
    """In the sales unit. None where no stock is kept."""
    stocked: bool = False
    marketing_text: str = ""

    # What the ERP says ----------------------------------------------------------------------------

    def stated_by_erp(self, fields: ErpFields, link: Link) -> Self:
        """Takes the ERP's word on its fields. Refused with DUPLICATE_CANDIDATE, see `refuse_second`."""
        self.refuse_second(link, self.sku)
        return revised(
            self,
            sku=fields.sku,
            name=fields.name,
            description=fields.description,
            state=fields.state,
            unit_code=fields.unit_code,
            prices=fields.prices,
            quantity_available=fields.quantity_available,
            stocked=fields.stocked,
        )._told(self, link)

    def gone_from_erp(self, link: Link) -> Self:
        """The ERP has deleted it: nobody may order it any more."""
        return revised(self, state=State.INACTIVE)._told(self, link) if self.is_linked_to(link) else self

    # What the CRM says ----------------------------------------------------------------------------

    def stated_by_crm(self, fields: CrmFields, link: Link) -> Self:
        """Takes the CRM's word on its fields. Refused with DUPLICATE_CANDIDATE, see `refuse_second`."""
        self.refuse_second(link, self.sku)
        return self._with(fields)._told(self, link)

    def gone_from_crm(self, link: Link) -> Self:
        """The CRM has deleted its record: another one may stand for the product from now on."""
        others = tuple(other for other in self.links if other.system != link.system)
        return revised(self, links=others)._told(self) if self.is_linked_to(link) else self

    def updated(self, fields: CrmFields) -> Self:
        """A caller speaks for the CRM."""
        return self._with(fields)._told(self)

    def _with(self, fields: CrmFields) -> Self:
        text = fields.marketing_text
        return revised(self, marketing_text=self.marketing_text if text is None else text)

    # Both -----------------------------------------------------------------------------------------

    def kept(self) -> Self:
        """A system's word was not taken: it is told the product as it is."""
        return self.telling(ProductEvent.KEPT)

    def linked_and_told(self, link: Link) -> Self:
        """An outside record stands for the product; known already is nothing to tell."""
        return self._told(self, link)

    def _told(self, before: "Product", link: Link | None = None) -> Self:
        """Tells once of what differs from before, a new link included; nothing new is nothing to tell."""
        after = self.linked(link) if link else self
        if not before.version:
            return after.telling(ProductEvent.REGISTERED)
        for_orders = after._known_to_orders() != before._known_to_orders()
        if self != before:
            return after.telling(ProductEvent.CHANGED if for_orders else ProductEvent.OFFER_CHANGED)
        return after.telling(ProductEvent.LINKED) if for_orders else after

    def _known_to_orders(self) -> tuple[str, State, str, frozenset[tuple[str, str]]]:
        """What the order service keeps of a product; everything else may change without it."""
        ids = frozenset((link.system, link.external_id) for link in self.links)
        return self.sku, self.state, self.unit_code, ids
