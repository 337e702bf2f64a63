"""Rows and domain: how customers are kept. Open this file to write a query or migration."""

from collections.abc import Callable, Mapping, Sequence

import sqlalchemy as sa
from pydantic import TypeAdapter

from libs.common.context import CallContext
from libs.common.durable.lookup import find, hold
from libs.common.durable.tables import record_table
from libs.common.durable.tx import Group, Kind, Records, Tx
from services.customer.domain import Customer

METADATA = sa.MetaData()
CUSTOMERS = record_table("customers", METADATA, "state", "number")


def customer_kind(
    render_event: Callable[[str, Customer], tuple[str, bytes]],
    targets: Callable[[str, Customer], Sequence[str]],
) -> Kind[Customer]:
    """How customers are stored, told of and audited."""
    return Kind(
        table=CUSTOMERS,
        collection="customers",
        codec=TypeAdapter(Customer),
        columns=_columns,
        render_event=render_event,
        targets=targets,
        redacted=frozenset({"tax_id", "email", "phone", "credit_limit", "credit_used", "bill_to", "ship_to"}),
        tells_cause=False,
    )


def _columns(customer: Customer) -> Mapping[str, str]:
    return {"state": customer.state.name, "number": customer.number}


class CustomerTx(Tx):
    """One command's transaction in the customer service."""

    def __init__(self, group: Group, context: CallContext, rule: str, kind: Kind[Customer]) -> None:
        super().__init__(group, context, rule)
        self.customers = TxCustomers(self, kind)


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
