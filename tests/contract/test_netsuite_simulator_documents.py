"""Orders of the simulated NetSuite account become shipments, invoices and payments."""

from collections.abc import AsyncIterator
from typing import cast

import pytest

from tests.contract.netsuite_account import (
    MASTER_DATA,
    RECORD,
    NetSuite,
    account,
    code,
)


@pytest.fixture
async def netsuite() -> AsyncIterator[NetSuite]:
    async with account() as client:
        yield client


# Following documents


async def test_transforms_ship_and_bill_what_the_body_chooses(netsuite: NetSuite) -> None:
    lines = (netsuite.line("SKU-1", 4), netsuite.line("SKU-2", 2))
    await netsuite.put("ord_1", netsuite.order(*lines, orderStatus="B"))
    chosen = {"item": {"items": [{"orderLine": 1, "quantity": 1}, {"orderLine": 4, "itemreceive": False}]}}
    shipped = await netsuite.http.post(
        f"{RECORD}/salesOrder/eid:ord_1/!transform/itemFulfillment", json=chosen
    )
    assert shipped.status_code == 204
    assert "/itemFulfillment/" in shipped.headers["Location"]
    assert await netsuite.status("ord_1") == "D"
    billed = await netsuite.http.post(f"{RECORD}/salesOrder/eid:ord_1/!transform/invoice", json={})
    invoice = await netsuite.get("/invoice/" + billed.headers["Location"].rsplit("/", 1)[1])
    assert (invoice["total"], invoice["amountRemaining"]) == (12.5, 12.5)
    assert await netsuite.status("ord_1") == "E"


async def test_an_unapproved_order_cannot_be_shipped(netsuite: NetSuite) -> None:
    await netsuite.put("ord_1")
    answer = await netsuite.http.post(f"{RECORD}/salesOrder/eid:ord_1/!transform/itemFulfillment", json={})
    assert (answer.status_code, code(answer)) == (400, "USER_ERROR")


async def test_goods_being_picked_have_not_left(netsuite: NetSuite) -> None:
    await netsuite.put("ord_1", netsuite.order(orderStatus="B"))
    picked = await netsuite.http.post(
        f"{RECORD}/salesOrder/eid:ord_1/!transform/itemFulfillment", json={"shipStatus": "A"}
    )
    assert await netsuite.status("ord_1") == "B"
    await netsuite.http.patch(picked.headers["Location"], json={"shipStatus": {"id": "C"}})
    assert await netsuite.status("ord_1") == "F"


async def test_a_payment_settles_the_invoice_and_not_more(netsuite: NetSuite) -> None:
    await netsuite.put("ord_1")
    await netsuite.advance("invoiced", "ord_1")
    invoice = (await netsuite.documents("invoice"))[0]["id"]
    payment = {
        "customer": {"externalId": "CUST-77"},
        "apply": {"items": [{"doc": {"id": invoice}, "amount": 60}]},
    }
    assert (await netsuite.http.post(f"{RECORD}/customerPayment", json=payment)).status_code == 204
    body = await netsuite.get(f"/invoice/{invoice}", simpleEnumFormat="true")
    assert (body["status"], body["amountRemaining"]) == ("A", 2.5)
    assert (await netsuite.http.post(f"{RECORD}/customerPayment", json=payment)).status_code == 400


async def test_advance_takes_an_order_through_every_status_and_repeats_change_nothing(
    netsuite: NetSuite,
) -> None:
    await netsuite.put("ord_1")
    seen = []
    for to in ("approved", "partly_shipped", "shipped", "invoiced", "paid"):
        assert (await netsuite.advance(to, "ord_1"))["advanced"] == 1
        seen.append(await netsuite.status("ord_1"))
        assert (await netsuite.advance(to, "ord_1"))["advanced"] == 0
    assert seen == ["B", "D", "F", "G", "G"]
    assert (await netsuite.documents("invoice"))[0]["status"] == "B"
    counts = cast(dict[str, int], (await netsuite.ledger())["counts"])
    assert (counts["itemFulfillment"], counts["invoice"], counts["customerPayment"]) == (2, 1, 1)


async def test_advance_all_leaves_cancelled_and_closed_orders_alone(netsuite: NetSuite) -> None:
    for key in ("ord_1", "ord_2", "ord_3"):
        await netsuite.put(key)
    await netsuite.advance("cancelled", "ord_1")
    await netsuite.advance("closed", "ord_2")
    answer = await netsuite.http.post("/_sim/advance", json={"to": "paid", "all": True})
    assert answer.json()["advanced"] == 1
    assert [await netsuite.status(key) for key in ("ord_1", "ord_2", "ord_3")] == ["C", "H", "G"]


async def test_seeding_again_adds_nothing(netsuite: NetSuite) -> None:
    again = (await netsuite.http.post("/_sim/seed", json=MASTER_DATA)).json()
    assert again == netsuite.ids
    assert cast(dict[str, int], (await netsuite.ledger())["counts"])["customer"] == 2
