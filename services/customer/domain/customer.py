"""What a customer is and may become. Open this file to learn or change a rule about customers.

    ERP: registers it, states its own fields, ACTIVE ⇄ INACTIVE    CRM: states account owner, segment, engagement

Each field has one owner, as the contract says; what becomes of another system's word stands in `conflicts.py`.
Pure: no I/O, no clock, no ids made here. A method returns a new customer that carries the facts to be told.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Self

from libs.common.address import Address
from libs.common.aggregate import Aggregate, Link, revised
from libs.common.errors import Refused
from libs.common.money import Money
from libs.common.value import value

ALSO_MAX = 50
"""Further records that stand for one customer."""
APART_MAX = 100
"""Outside records that one customer is kept apart from."""


class State(IntEnum):
    """Whether the customer may buy. The numbers are those of the contract."""

    ACTIVE = 1
    INACTIVE = 2


class CustomerEvent(StrEnum):
    """Facts, named as in the contract, which makes no difference between the two changes."""

    REGISTERED = "CustomerRegistered"
    CHANGED = "CustomerChanged"
    """Something that the ERP owns, or a link."""
    SALES_CHANGED = "CustomerSalesChanged"
    """Something that the CRM owns."""
    KEPT = "CustomerKept"
    LINKED = "CustomerLinked"
    MERGED = "CustomerMerged"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErpFields:
    """What the ERP says of a customer: all the fields it owns."""

    number: str
    name: str = ""
    legal_name: str = ""
    tax_id: str = ""
    email: str = ""
    phone: str = ""
    state: State = State.ACTIVE
    currency: str = ""
    payment_terms: str = ""
    credit_limit: Money | None = None
    credit_used: Money | None = None
    credit_hold: bool = False
    price_level: str = ""
    legal_entity: str = ""
    bill_to: Address | None = None
    ship_to: Address | None = None
    duns: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmFields:
    """What the CRM says of a customer: all the fields it owns. None leaves a value as it is."""

    account_owner: str | None = None
    segment: str | None = None
    engagement: str | None = None


@value(kw_only=True)
class Customer(Aggregate):
    """One business customer."""

    number: str = ""
    name: str = ""
    legal_name: str = ""
    tax_id: str = ""
    email: str = ""
    phone: str = ""
    state: State = State.ACTIVE
    currency: str = ""
    payment_terms: str = ""
    credit_limit: Money | None = None
    """None where the ERP sets none."""
    credit_used: Money | None = None
    credit_hold: bool = False
    price_level: str = ""
    legal_entity: str = ""
    bill_to: Address | None = None
    ship_to: Address | None = None
    account_owner: str = ""
    segment: str = ""
    engagement: str = ""
    duns: str = ""
    also: tuple[Link, ...] = ()
    """Further records of a system that has one: they stand for the customer, but their word does not count."""
    merged_into: str = ""
    """Id of the customer that it was found to be; its outside records stand for that one."""
    merged_links: tuple[Link, ...] = ()
    merged_also: tuple[Link, ...] = ()
    merged_fields: tuple[str, ...] = ()
    """Links it had, and fields that the survivor took, while it is merged."""
    apart: tuple[str, ...] = ()
    """Outside records that a steward has told apart from the customer, as `system/external id`."""

    # What the ERP says ----------------------------------------------------------------------------

    def stated_by_erp(self, fields: ErpFields, link: Link) -> Self:
        """Takes the ERP's word on its fields. Refused with DUPLICATE_CANDIDATE, see `refuse_second`."""
        self.refuse_second(link, self.number)
        if not self._is_stated_by(link, fields.number):
            return self._told(self, link)
        return revised(
            self,
            number=fields.number,
            name=fields.name,
            legal_name=fields.legal_name,
            tax_id=fields.tax_id,
            email=fields.email,
            phone=fields.phone,
            state=fields.state,
            currency=fields.currency,
            payment_terms=fields.payment_terms,
            credit_limit=fields.credit_limit,
            credit_used=fields.credit_used,
            credit_hold=fields.credit_hold,
            price_level=fields.price_level,
            legal_entity=fields.legal_entity,
            bill_to=fields.bill_to,
            ship_to=fields.ship_to,
            duns=fields.duns,
        )._told(self, link)

    def gone_from_erp(self, link: Link) -> Self:
        """The ERP has deleted it: nobody may order for it any more."""
        if not self.is_linked_to(link) or not self._is_stated_by(link, link.number):
            return self
        return revised(self, state=State.INACTIVE)._told(self, link)

    def _is_stated_by(self, link: Link, number: str) -> bool:
        """False for an ERP that is only linked: the customer bears another one's number, whose word counts."""
        known = self.link_of(link.system)
        if not self.number or self.number in (number, known.number if known else ""):
            return True
        return not any(other.number == self.number for other in self.links if other.system != link.system)

    # What the CRM says ----------------------------------------------------------------------------

    def stated_by_crm(self, fields: CrmFields, link: Link) -> Self:
        """Takes the CRM's word on its fields. Refused with DUPLICATE_CANDIDATE, see `refuse_second`."""
        self.refuse_second(link, self.number)
        return self.with_sales(fields)._told(self, link)

    def gone_from_crm(self, link: Link) -> Self:
        """The CRM has deleted its record: another one may stand for the customer from now on."""
        others = tuple(other for other in self.links if other.system != link.system)
        return revised(self, links=others)._told(self) if self.is_linked_to(link) else self

    def updated(self, fields: CrmFields) -> Self:
        """A caller speaks for the CRM."""
        return self.with_sales(fields)._told(self)

    def with_sales(self, fields: CrmFields) -> Self:
        """Other values in the fields that the CRM owns; nothing is told of it."""
        return revised(
            self,
            account_owner=self.account_owner if fields.account_owner is None else fields.account_owner,
            segment=self.segment if fields.segment is None else fields.segment,
            engagement=self.engagement if fields.engagement is None else fields.engagement,
        )

    def _sales_fields(self) -> tuple[str, str, str]:
        return self.account_owner, self.segment, self.engagement

    # Both -----------------------------------------------------------------------------------------

    def kept(self) -> Self:
        """A system's word was not taken: it is told the customer as it is."""
        return self.telling(CustomerEvent.KEPT)

    def kept_apart(self, link: Link) -> Self:
        """A steward has decided that an outside record does not stand for the customer."""
        place = place_of(link)
        if place in self.apart:
            return self
        if len(self.apart) >= APART_MAX:
            raise Refused(
                "STATE_FORBIDS", f"{APART_MAX} records are kept apart from {self.record_id} already"
            )
        return revised(self, apart=(*self.apart, place))

    def is_apart_from(self, link: Link) -> bool:
        return place_of(link) in self.apart

    def linked_by_steward(self, link: Link) -> Self:
        """A steward has decided that a record stands for the customer, the first of its system or a further one."""
        if self.link_of(link.system) is None or self.is_linked_to(link):
            return self._told(self, link)
        if len(self.also) >= ALSO_MAX:
            raise Refused("STATE_FORBIDS", f"{ALSO_MAX} further records stand for {self.record_id} already")
        return revised(self, also=(*self.also, link)).telling(CustomerEvent.LINKED)

    def also_stands(self, link: Link) -> bool:
        """True for a record whose word does not count, because another one of its system stands for the customer."""
        return any((each.system, each.external_id) == (link.system, link.external_id) for each in self.also)

    def without_further(self, link: Link) -> Self:
        """A further record is gone."""
        left = tuple(
            each for each in self.also if (each.system, each.external_id) != (link.system, link.external_id)
        )
        return revised(self, also=left).telling(CustomerEvent.LINKED)

    @property
    def all_links(self) -> tuple[Link, ...]:
        return self.links + self.also

    def linked_and_told(self, link: Link) -> Self:
        """An outside record stands for the customer; known already is nothing to tell."""
        return self._told(self, link)

    def _told(self, before: "Customer", link: Link | None = None) -> Self:
        """Tells once of what differs from before, a new link included; nothing new is nothing to tell."""
        after = self.linked(link) if link else self
        if not before.version:
            return after.telling(CustomerEvent.REGISTERED)
        if self._sales_fields() != before._sales_fields():
            return after.telling(CustomerEvent.SALES_CHANGED)
        if self != before:
            return after.telling(CustomerEvent.CHANGED)
        return after.telling(CustomerEvent.LINKED) if link and not before.is_linked_to(link) else after


def place_of(link: Link) -> str:
    """An outside record, as text."""
    return f"{link.system}/{link.external_id}"
