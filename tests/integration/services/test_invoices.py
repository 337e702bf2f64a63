"""Invoices: paid once, never unpaid again, and the order they bill hears of it."""

import asyncio

import pytest
from ordermesh.connector.v1 import change_pb2
from ordermesh.invoice.v1 import invoice_pb2, invoice_service_pb2_grpc
from ordermesh.invoice.v1 import invoice_service_pb2 as pb

from libs.common.context import using
from libs.common.errors import Refused
from tests.builders import CRM, ERP, a_change, erp_invoice, erp_payment, usd
from tests.integration.services.world import World

Stub = invoice_service_pb2_grpc.InvoiceServiceStub
VOID = invoice_pb2.INVOICE_STATE_VOID
PAID = invoice_pb2.INVOICE_STATE_PAID
OPEN = invoice_pb2.INVOICE_STATE_OPEN


async def calls(world: World) -> "invoice_service_pb2_grpc.InvoiceServiceAsyncStub":
    return Stub(await world.channel("invoice"))


async def listed(world: World, wanted: str = "") -> list[invoice_pb2.Invoice]:
    answer = await (await calls(world)).ListInvoices(pb.ListInvoicesRequest(filter=wanted))
    return list(answer.invoices)


async def only(world: World) -> invoice_pb2.Invoice:
    (invoice,) = await listed(world)
    return invoice


# Taking in ------------------------------------------------------------------------------------------------


async def test_a_change_taken_in_twice_is_one_invoice_and_one_event(world: World) -> None:
    world.says(erp_invoice("55"), erp_invoice("55"))
    await world.take_in("invoice")
    world.says(erp_invoice("55", minute=3))
    await world.take_in("invoice")

    invoice = await only(world)
    assert (invoice.number, invoice.erp, invoice.order_id, invoice.state) == ("INV-1", ERP, "ord_1", OPEN)
    assert (invoice.total, invoice.amount_due, invoice.net_total) == (usd("110"), usd("110"), usd("100"))
    assert await world.events("invoice") == ["InvoiceIssued"]
    assert await world.heard("invoice") == [f"connector:{CRM}", "service:order"]


async def test_an_invoice_of_somebody_else_s_order_is_not_told_to_orders(world: World) -> None:
    world.says(erp_invoice("55", order_id="PO-9"))
    await world.take_in("invoice")
    assert (await only(world)).order_id == ""
    assert await world.heard("invoice") == [f"connector:{CRM}"]


async def test_payments_add_up_and_a_repeated_one_changes_nothing(world: World) -> None:
    world.says(erp_invoice("55"), erp_payment("9", invoice="55", amount="60"))
    world.says(erp_payment("9", invoice="55", amount="60"))
    await world.take_in("invoice")
    assert (await only(world)).amount_due == usd("50")
    assert await world.events("invoice") == ["InvoiceIssued", "InvoiceChanged"]

    world.says(erp_payment("10", invoice="55", amount="50", minute=1))
    await world.take_in("invoice")
    invoice = await only(world)
    assert (invoice.state, invoice.amount_due, len(invoice.payments)) == (PAID, usd("0"), 2)
    assert await world.events("invoice") == ["InvoiceIssued", "InvoiceChanged", "InvoicePaid"]


async def test_a_payment_that_comes_before_its_invoice_is_tried_again(world: World) -> None:
    world.says(erp_payment("9", invoice="55"))
    await world.take_in("invoice")
    await world.settle()
    assert await world.states("invoice", f"intake:{ERP}") == {"RETRYING": 1}

    world.says(erp_invoice("55"))
    await world.take_in("invoice")
    world.pass_by(60)
    await world.settle("invoice")
    assert (await only(world)).state == PAID
    assert await world.states("invoice", f"intake:{ERP}") == {"DELIVERED": 1}


async def test_a_payment_of_two_invoices_is_applied_to_each(world: World) -> None:
    world.says(erp_invoice("55"), erp_invoice("56", number="INV-2"))
    world.says(erp_payment("9", invoice="55"), erp_payment("9", invoice="56", amount="10"))
    await world.take_in("invoice")
    due = {invoice.number: invoice.amount_due for invoice in await listed(world)}
    assert due == {"INV-1": usd("0"), "INV-2": usd("100")}


async def test_invoice_and_payment_feeds_at_once_lose_nothing(world: World) -> None:
    count = 10
    world.says(*(erp_invoice(str(n), number=f"INV-{n}") for n in range(count)))
    await world.take_in("invoice")
    world.says(*(erp_invoice(str(n), number=f"INV-{n}", due="70", minute=1) for n in range(count)))
    world.says(*(erp_payment(f"P{n}", invoice=str(n), amount="30") for n in reversed(range(count))))
    processes = [world.apps["invoice"], world.process("invoice")]

    await asyncio.gather(
        *(
            process.ingest.run_once(feed)
            for process, feed in zip(processes, world.feeds("invoice", ERP), strict=True)
        )
    )

    assert {invoice.amount_due.units for invoice in await listed(world)} == {70}
    assert await world.counts("invoice", "invoices", "event") == [count, 3 * count]


async def test_a_paid_invoice_stays_paid_unless_it_is_taken_back(world: World) -> None:
    world.says(erp_invoice("55", due="0", state=PAID), erp_invoice("55", due="40", minute=1))
    await world.take_in("invoice")
    assert (await only(world)).state == PAID
    world.says(erp_invoice("55", minute=2, gone=True), erp_invoice("55", minute=3))
    await world.take_in("invoice")
    invoice = await only(world)
    assert (invoice.state, invoice.amount_due) == (VOID, usd("0"))
    facts = await world.events("invoice")
    assert facts[:4] == ["InvoiceIssued", "InvoicePaid", "InvoiceChanged", "InvoiceVoided"]
    assert "InvoicePaid" not in facts[2:]


async def test_what_cannot_be_understood_is_set_aside_and_the_feed_goes_on(world: World) -> None:
    mixed, stateless = erp_invoice("56"), erp_invoice("57", state=invoice_pb2.INVOICE_STATE_UNSPECIFIED)
    mixed.invoice.lines[0].amount.currency_code = "EUR"
    world.says(mixed, stateless, erp_invoice("55"))
    world.says(a_change(change_pb2.KIND_PAYMENT, "9/55", gone=True))
    world.says(erp_payment("10", invoice="55", currency="EUR"))
    await world.take_in("invoice")
    await world.settle("invoice")

    assert (await only(world)).number == "INV-1"
    parked = await world.rows(
        "invoice", "SELECT reason FROM delivery WHERE target LIKE 'intake:%' ORDER BY 1"
    )
    reasons = [row["reason"] for row in parked]
    assert reasons == ["CURRENCY_MIXED", "CURRENCY_MIXED", "MAPPING_VALUE_UNKNOWN", "NOT_SUPPORTED"]


# Telling --------------------------------------------------------------------------------------------------


async def test_the_crm_is_told_under_our_id_with_all_payments(world: World) -> None:
    world.says(erp_invoice("55", order_id=""), erp_payment("9", invoice="55", amount="60"))
    await world.run()
    told = world.crm.told_of(change_pb2.KIND_INVOICE)
    assert {change.key for change in told} == {(await only(world)).invoice_id}
    assert [change.external_id for change in told] == ["", "sa-1"]
    assert len(told[-1].invoice.payments) == 1
    linked = await world.rows("invoice", "SELECT event_id FROM event WHERE type LIKE '%InvoiceLinked'")
    assert len(linked) == 1
    query = "SELECT target FROM delivery WHERE event_id = $1"
    assert not await world.rows("invoice", query, linked[0]["event_id"])


# Calls ----------------------------------------------------------------------------------------------------


async def test_a_list_is_filtered_by_order_number_and_state(world: World) -> None:
    world.says(erp_invoice("55"), erp_invoice("56", number="INV-2", order_id="ord_2", due="0"))
    await world.take_in("invoice")
    assert [invoice.number for invoice in await listed(world, "orderId = ord_2")] == ["INV-2"]
    assert [invoice.number for invoice in await listed(world, "state = OPEN")] == ["INV-1"]
    assert [invoice.number for invoice in await listed(world, 'number = "INV-2"')] == ["INV-2"]


async def test_nobody_sees_another_tenant_s_invoice(world: World) -> None:
    world.says(erp_invoice("55"))
    await world.take_in("invoice")
    invoice_id = (await only(world)).invoice_id
    with using(world.machine.context("globex")):
        assert not await listed(world)
        with pytest.raises(Refused, match="NOT_FOUND"):
            await (await calls(world)).GetInvoice(pb.GetInvoiceRequest(invoice_id=invoice_id))
