"""The use cases of invoices, from end to end in memory."""

from dataclasses import dataclass, field, replace

import pytest

from libs.common.aggregate import Link
from libs.common.errors import NotDone, Refused
from services.invoice import commands
from services.invoice.commands import TakeInInvoice, TakeInPayment
from services.invoice.domain import Invoice, State
from tests.unit.services.invoice.test_domain import DOCUMENT, LINK, a_payment, due, usd
from tests.unit.services.memory import Memory, MemoryTx, at_minute


@dataclass
class Tx(MemoryTx):
    invoices: Memory[Invoice] = field(default_factory=Memory)


async def a_tx_with_an_invoice() -> Tx:
    tx = Tx()
    await commands.take_in_invoice(TakeInInvoice(LINK, DOCUMENT), tx)
    return tx


def a_payment_change(number: int, amount: int, invoice: str = "55") -> TakeInPayment:
    return TakeInPayment("netsuite", invoice, a_payment(number, amount))


async def test_the_erp_s_word_on_an_unknown_invoice_issues_it() -> None:
    tx = await a_tx_with_an_invoice()
    invoice = tx.invoices.only
    assert (invoice.record_id, invoice.erp, invoice.number) == ("inv_1", "netsuite", "INV-1")
    assert tx.invoices.told == ["InvoiceIssued"]


async def test_the_erp_s_word_repeated_or_older_is_nothing_new() -> None:
    tx = await a_tx_with_an_invoice()
    await commands.take_in_invoice(TakeInInvoice(LINK, DOCUMENT), tx)
    newer, older = at_minute(9, external_id="55"), at_minute(4, external_id="55")
    await commands.take_in_invoice(TakeInInvoice(newer, due(50)), tx)
    await commands.take_in_invoice(TakeInInvoice(older, due(20)), tx)
    await commands.take_in_invoice(TakeInInvoice(older, None), tx)
    assert tx.invoices.only.amount_due == usd(50)
    assert tx.invoices.told == ["InvoiceIssued", "InvoiceChanged"]


async def test_an_invoice_gone_from_the_erp_is_void_and_one_never_known_is_nobody_s_business() -> None:
    tx = await a_tx_with_an_invoice()
    await commands.take_in_invoice(TakeInInvoice(at_minute(1, external_id="55"), None), tx)
    await commands.take_in_invoice(TakeInInvoice(at_minute(1, external_id="56"), None), tx)
    assert tx.invoices.only.state is State.VOID
    assert tx.invoices.told == ["InvoiceIssued", "InvoiceVoided"]


async def test_a_payment_comes_to_its_invoice() -> None:
    tx = await a_tx_with_an_invoice()
    await commands.take_in_payment(a_payment_change(1, 60), tx)
    await commands.take_in_payment(a_payment_change(1, 60), tx)
    await commands.take_in_payment(a_payment_change(2, 50), tx)
    assert tx.invoices.only.state is State.PAID
    assert tx.invoices.told == ["InvoiceIssued", "InvoiceChanged", "InvoicePaid"]


async def test_a_payment_before_its_invoice_is_not_done_yet() -> None:
    tx = Tx()
    with pytest.raises(NotDone) as early:
        await commands.take_in_payment(a_payment_change(1, 60), tx)
    assert early.value.reason == "REFERENCE_UNKNOWN"
    tx = await a_tx_with_an_invoice()
    of_another_erp = replace(a_payment_change(1, 60), system="sap")
    with pytest.raises(NotDone):
        await commands.take_in_payment(of_another_erp, tx)


async def test_a_link_that_stands_for_another_invoice_is_refused() -> None:
    tx = await a_tx_with_an_invoice()
    await commands.take_in_invoice(TakeInInvoice(at_minute(0, external_id="56"), DOCUMENT), tx)
    await commands.record_link("inv_1", Link("salesforce", "a01"), tx)
    with pytest.raises(Refused, match="DUPLICATE_CANDIDATE"):
        await commands.record_link("inv_2", Link("salesforce", "a01"), tx)
    assert tx.invoices.told.count("InvoiceLinked") == 1
