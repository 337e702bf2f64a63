"""What a customer is and may become. Open this file to learn or change a rule about customers.

    ERP: registers it, states its own fields, ACTIVE ⇄ INACTIVE        CRM: states account owner and segment

Each field has one owner, as the contract says; what another system says of it is not taken in.
Pure: no I/O, no clock, no ids made here. A method returns a new customer that carries the facts to be told.
"""

from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import Self

from libs.common.address import Address
from libs.common.aggregate import Aggregate, Link
from libs.common.errors import Refused
from libs.common.money import Money


class State(IntEnum):
    """Whether the customer may buy. The numbers are those of the contract."""

    ACTIVE = 1
    INACTIVE = 2


class CustomerEvent(StrEnum):
    """Facts, named as in the contract."""

    REGISTERED = "CustomerRegistered"
    CHANGED = "CustomerChanged"
    LINKED = "CustomerLinked"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmFields:
    """What the CRM says of a customer: all the fields it owns. None leaves a value as it is."""

    account_owner: str | None = None
    segment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
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

    # What the ERP says ----------------------------------------------------------------------------

    def stated_by_erp(self, fields: ErpFields, link: Link) -> Self:
        """Takes the ERP's word on its fields. Refused with DUPLICATE_CANDIDATE, see `_refuse_second`."""
        self._refuse_second(link)
        return replace(
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
        )._told(self, link)

    def gone_from_erp(self, link: Link) -> Self:
        """The ERP has deleted it: nobody may order for it any more."""
        return replace(self, state=State.INACTIVE)._told(self, link) if self._stands_for(link) else self

    # What the CRM says ----------------------------------------------------------------------------

    def stated_by_crm(self, fields: CrmFields, link: Link) -> Self:
        """Takes the CRM's word on its fields. Refused with DUPLICATE_CANDIDATE, see `_refuse_second`."""
        self._refuse_second(link)
        return self._with(fields)._told(self, link)

    def gone_from_crm(self, link: Link) -> Self:
        """The CRM has deleted its record: another one may stand for the customer from now on."""
        others = tuple(other for other in self.links if other.system != link.system)
        return replace(self, links=others)._told(self) if self._stands_for(link) else self

    def updated(self, fields: CrmFields) -> Self:
        """A caller speaks for the CRM."""
        return self._with(fields)._told(self)

    def _with(self, fields: CrmFields) -> Self:
        return replace(
            self,
            account_owner=self.account_owner if fields.account_owner is None else fields.account_owner,
            segment=self.segment if fields.segment is None else fields.segment,
        )

    # Both -----------------------------------------------------------------------------------------

    def linked_and_told(self, link: Link) -> Self:
        """An outside record stands for the customer; known already is nothing to tell."""
        return self._told(self, link)

    def _stands_for(self, link: Link) -> bool:
        known = self.link_of(link.system)
        return known is not None and known.external_id == link.external_id

    def _refuse_second(self, link: Link) -> None:
        """Refused with DUPLICATE_CANDIDATE when another record of the same system stands for the customer."""
        known = self.link_of(link.system)
        if known is not None and not self._stands_for(link):
            said = f"{link.system} has {known.external_id} and {link.external_id} for {self.number}"
            raise Refused("DUPLICATE_CANDIDATE", said)

    def _told(self, before: "Customer", link: Link | None = None) -> Self:
        """Tells once of what differs from before, a new link included; nothing new is nothing to tell."""
        after = self.linked(link) if link else self
        if not before.version:
            return after.telling(CustomerEvent.REGISTERED)
        if self != before:
            return after.telling(CustomerEvent.CHANGED)
        return after.telling(CustomerEvent.LINKED) if link and not before._stands_for(link) else after
