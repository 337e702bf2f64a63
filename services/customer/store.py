"""Rows and domain: how customers are kept. Open this file to write a query or migration."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import sqlalchemy as sa
from ordermesh.connector.v1 import change_pb2
from pydantic import TypeAdapter

from libs.common.aggregate import Link
from libs.common.context import CallContext
from libs.common.durable.lookup import find, find_sharing, hold
from libs.common.durable.operations.asides import change_that_waits, take_in_as_decided
from libs.common.durable.rows import Row
from libs.common.durable.tables import record_table
from libs.common.durable.tx import Group, Kind, Records, Tx
from libs.common.ownership import Ownership
from services.customer.commands import TakeIn
from services.customer.domain import Customer, Keys

METADATA = sa.MetaData()
MATCH_COLUMNS = ("match_tax_id", "match_duns", "match_name", "match_place")
"""What likely duplicates share; PostgreSQL fills them from the record, by the rules of `Keys`."""
CUSTOMERS = record_table("customers", METADATA, "state", "number", *MATCH_COLUMNS)


def customer_kind(
    render_event: Callable[[str, Customer], tuple[str, bytes]],
    targets: Callable[[str, Customer], Sequence[str]],
    ownership: Ownership,
    source_of: Callable[[str], str],
) -> Kind[Customer]:
    """How customers are stored, told of and audited."""
    return Kind(
        table=CUSTOMERS,
        collection="customers",
        codec=TypeAdapter(Customer),
        columns=_columns,
        render_event=render_event,
        targets=targets,
        ownership=ownership,
        source_of=source_of,
        answers=frozenset({"CustomerKept"}),
        redacted=frozenset({"tax_id", "email", "phone", "credit_limit", "credit_used", "bill_to", "ship_to"}),
        tells_cause=False,
    )


def _columns(customer: Customer) -> Mapping[str, str]:
    return {"state": customer.state.name, "number": customer.number}


MOVE_LINKS = """
UPDATE link SET record_id = $4 FROM unnest($2::text[], $3::text[]) AS moved (system, external_id)
WHERE link.tenant = $1 AND link.kind = 'customers' AND link.system = moved.system
  AND link.external_id = moved.external_id
"""
ParseChange = Callable[[change_pb2.ExternalChange], TakeIn]
"""What a system's word on a customer says."""


class CustomerTx(Tx):
    """One command's transaction in the customer service."""

    def __init__(
        self, group: Group, context: CallContext, rule: str, kind: Kind[Customer], parse_change: ParseChange
    ) -> None:
        super().__init__(group, context, rule, kind)
        self._kind = kind
        self._parse_change = parse_change
        self._waiting: dict[int, Row] = {}

    @property
    def customers(self) -> "TxCustomers":
        return TxCustomers(self, self._kind)

    def speak_for(self, system: str) -> None:
        """What is stored from here on is that system's word; the actor stays."""
        self.context = replace(self.context, system=system)

    async def waiting(self, delivery_id: int) -> TakeIn:
        """What a change says that waits with DUPLICATE_CANDIDATE. Refused with NOT_FOUND, STATE_FORBIDS."""
        row, change = await change_that_waits(
            self, delivery_id, change_pb2.KIND_CUSTOMER, "DUPLICATE_CANDIDATE"
        )
        self._waiting[delivery_id] = row
        return self._parse_change(change)

    async def take_in_as_decided(self, delivery_id: int, decision: str, reason: str) -> Row:
        """Makes a change due that `waiting` has found; its row."""
        return await take_in_as_decided(self, self._waiting[delivery_id], decision, reason)


class TxCustomers(Records[Customer]):
    """Customers within one transaction."""

    async def numbered(self, number: str) -> Sequence[Customer]:
        """Customers with that number, oldest first.

        Until the commit no other feed of the tenant gets an answer, so two cannot both register a number.
        """
        await hold(self._tx, "customers")
        return await find(
            self._tx, self._kind, "number = $2", number, lambda customer: customer.number == number
        )

    def role_of(self, system: str) -> str:
        """`erp`, `crm` or `mesh`."""
        return self._kind.source_of(system)

    async def move_links(self, links: Sequence[Link], record_id: str) -> None:
        """The outside records stand for that customer from now on, whoever they stood for."""
        await self._tx.driver.execute(
            MOVE_LINKS,
            self._tx.context.tenant,
            [link.system for link in links],
            [link.external_id for link in links],
            record_id,
        )

    async def alike(self, keys: Keys, system: str) -> Sequence[Customer]:
        """Customers that share a key, without a link into the system; of each key a bounded number, the oldest.

        An empty system has no links.

        Until the commit no other feed of the tenant gets an answer, so two cannot both register a company.
        """
        await hold(self._tx, "customers")
        values = dict(zip(MATCH_COLUMNS, (keys.tax_id, keys.duns, keys.name, keys.place), strict=True))
        return await find_sharing(
            self._tx, self._kind, values, system, lambda customer: keys.meet(Keys.of_customer(customer))
        )
