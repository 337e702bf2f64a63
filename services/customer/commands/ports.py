"""What a customer's commands need of their transaction, and what systems say. Open this file to write a test double."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from libs.common.address import Address
from libs.common.aggregate import Link
from libs.common.command import CommandTx
from libs.common.conflicts import Contested
from services.customer import domain
from services.customer.domain import Claimant, Customer, Keys


@dataclass(frozen=True, slots=True)
class TakeInFromErp:
    """The ERP's word on one customer. `fields` is None when the record is gone there."""

    link: Link
    fields: domain.ErpFields | None

    @property
    def claimant(self) -> Claimant | None:
        """What tells it apart from other customers. Its number is no other ERP's."""
        if self.fields is None:
            return None
        known = self.fields
        return Claimant(known.name, known.tax_id, known.duns, known.bill_to or known.ship_to)


@dataclass(frozen=True, slots=True)
class TakeInFromCrm:
    """The CRM's word on one customer. `fields` is None when the record is gone there."""

    link: Link
    number: str
    """The ERP's number, as far as the CRM knows it. Empty otherwise."""
    fields: domain.CrmFields | None
    others: Mapping[str, object] = field(default_factory=dict)
    """What it shows in fields that it does not own, by the contract's names."""

    @property
    def claimant(self) -> Claimant | None:
        """What tells it apart from other customers."""
        if self.fields is None:
            return None
        name, tax_id, duns = (str(self.others.get(field) or "") for field in ("name", "tax_id", "duns"))
        place = self.others.get("bill_to") or self.others.get("ship_to")
        return Claimant(name, tax_id, duns, place if isinstance(place, Address) else None, self.number)


TakeIn = TakeInFromErp | TakeInFromCrm


class Customers(Contested[Customer], Protocol):
    """The customers of the caller's tenant."""

    async def get(self, record_id: str) -> Customer | None: ...

    async def by_link(self, system: str, external_id: str) -> Customer | None: ...

    async def numbered(self, number: str) -> Sequence[Customer]: ...

    async def alike(self, keys: Keys, system: str) -> Sequence[Customer]:
        """Customers that share a key and have no record in the system, where one is named."""

    def role_of(self, system: str) -> str:
        """`erp`, `crm` or `mesh`."""

    async def move_links(self, links: Sequence[Link], record_id: str) -> None:
        """The outside records stand for that customer from now on, whoever they stood for."""

    async def put(self, record: Customer) -> Customer: ...


class CustomerTx(CommandTx, Protocol):
    """One command's transaction."""

    @property
    def customers(self) -> Customers: ...

    def speak_for(self, system: str) -> None:
        """What is stored from here on is that system's word."""

    async def waiting(self, delivery_id: int) -> TakeIn:
        """What a change says that waits with DUPLICATE_CANDIDATE. Refused with NOT_FOUND, STATE_FORBIDS."""

    async def take_in_as_decided(self, delivery_id: int, decision: str, reason: str) -> Mapping[str, object]:
        """Makes a change due that `waiting` has found; the item."""
