"""Rows and domain: how invoices are kept. Open this file to write a query or migration."""

from collections.abc import Callable, Mapping, Sequence

import sqlalchemy as sa
from pydantic import TypeAdapter

from libs.common.context import CallContext
from libs.common.durable.tables import record_table
from libs.common.durable.tx import Group, Kind, Records, Tx
from libs.common.ownership import Ownership
from services.invoice.domain import Invoice

METADATA = sa.MetaData()
INVOICES = record_table("invoices", METADATA, "state", "order_id", "number")


def invoice_kind(
    render_event: Callable[[str, Invoice], tuple[str, bytes]],
    targets: Callable[[str, Invoice], Sequence[str]],
    ownership: Ownership,
    source_of: Callable[[str], str],
) -> Kind[Invoice]:
    """How invoices are stored, told of and audited."""
    return Kind(
        table=INVOICES,
        collection="invoices",
        codec=TypeAdapter(Invoice),
        columns=_columns,
        render_event=render_event,
        targets=targets,
        ownership=ownership,
        source_of=source_of,
        redacted=frozenset({"payments"}),
    )


def _columns(invoice: Invoice) -> Mapping[str, str]:
    return {"state": invoice.state.name, "order_id": invoice.order_id, "number": invoice.number}


class InvoiceTx(Tx):
    """One command's transaction in the invoice service."""

    def __init__(self, group: Group, context: CallContext, rule: str, kind: Kind[Invoice]) -> None:
        super().__init__(group, context, rule, kind)
        self._kind = kind

    @property
    def invoices(self) -> Records[Invoice]:
        return Records(self, self._kind)
