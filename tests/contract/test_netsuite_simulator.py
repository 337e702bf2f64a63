"""The simulated NetSuite account keeps the promises of the record service, over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import cast

import pytest

from connectors.netsuite.simulator.account import Preferences
from connectors.netsuite.simulator.app import build
from tests.contract.netsuite_account import (
    RECORD,
    STRICT,
    NetSuite,
    account,
    code,
    path,
)


@pytest.fixture
async def netsuite() -> AsyncIterator[NetSuite]:
    async with account() as client:
        yield client


# Saving


async def test_create_answers_204_with_nothing_but_a_location(netsuite: NetSuite) -> None:
    answer = await netsuite.http.post(f"{RECORD}/salesOrder", json=netsuite.order())
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["Location"].startswith(
        f"{str(netsuite.http.base_url).rstrip(chr(47))}{RECORD}/salesOrder/"
    )
    order = await netsuite.get("/salesOrder/" + answer.headers["Location"].rsplit("/", 1)[1])
    assert order["orderStatus"] == {"id": "A", "refName": "Pending Approval"}
    assert (order["subtotal"], order["taxTotal"], order["total"]) == (50.0, 12.5, 62.5)


async def test_upsert_twice_is_one_record(netsuite: NetSuite) -> None:
    first, second = await netsuite.put("ord_1"), await netsuite.put("ord_1")
    assert (first.status_code, second.status_code) == (204, 204)
    assert first.headers["Location"] == second.headers["Location"]
    assert [doc["externalId"] for doc in await netsuite.documents("salesOrder")] == ["ord_1"]
    assert len(await netsuite.lines("ord_1")) == 1


async def test_upsert_without_replace_adds_the_lines_again(netsuite: NetSuite) -> None:
    for _ in range(2):
        await netsuite.http.put(f"{RECORD}/salesOrder/eid:ord_1", json=netsuite.order())
    assert len(await netsuite.lines("ord_1")) == 2


async def test_racing_upserts_of_one_key_make_one_record(netsuite: NetSuite) -> None:
    answers = await asyncio.gather(*(netsuite.put("ord_1") for _ in range(5)))
    assert {answer.status_code for answer in answers} == {204}
    assert len(await netsuite.documents("salesOrder")) == 1


async def test_put_takes_external_ids_only(netsuite: NetSuite) -> None:
    await netsuite.put("ord_1")
    answer = await netsuite.http.put(f"{RECORD}/salesOrder/1501", json=netsuite.order())
    assert (answer.status_code, code(answer)) == (400, "INVALID_REQUEST")


async def test_post_with_a_taken_external_id_is_refused(netsuite: NetSuite) -> None:
    await netsuite.put("ord_1")
    answer = await netsuite.http.post(f"{RECORD}/salesOrder", json=netsuite.order(externalId="ord_1"))
    assert (answer.status_code, code(answer)) == (400, "USER_ERROR")
    assert "already exists" in answer.text


async def test_unknown_names_are_dropped_with_a_warning_or_refused_when_asked(netsuite: NetSuite) -> None:
    misspelt = netsuite.order(otherRefNumber="PO-1")
    warned = await netsuite.put("ord_1", misspelt)
    assert warned.status_code == 204
    assert "otherRefNumber" in warned.headers["X-NetSuite-Warnings"]
    refused = await netsuite.put("ord_2", misspelt, **STRICT)
    assert (refused.status_code, code(refused), path(refused)) == (400, "INVALID_CONTENT", "otherRefNumber")
    assert len(await netsuite.documents("salesOrder")) == 1


async def test_field_names_are_read_in_any_case(netsuite: NetSuite) -> None:
    await netsuite.put("ord_1", netsuite.order(OTHERREFNUM="PO-1"), **STRICT)
    assert (await netsuite.get("/salesOrder/eid:ord_1"))["otherRefNum"] == "PO-1"


async def test_line_numbers_have_gaps_and_unnamed_lines_stay(netsuite: NetSuite) -> None:
    await netsuite.put("ord_1", netsuite.order(netsuite.line("SKU-1", 1), netsuite.line("HELP", 1)))
    assert [line["line"] for line in await netsuite.lines("ord_1")] == [1, 4]
    change = {"item": {"items": [{"line": 4, "quantity": 3}, netsuite.line("SKU-2", 1)]}}
    answer = await netsuite.http.patch(f"{RECORD}/salesOrder/eid:ord_1", json=change)
    assert answer.status_code == 204
    assert [(line["line"], line["quantity"]) for line in await netsuite.lines("ord_1")] == [
        (1, 1),
        (4, 3),
        (7, 1),
    ]


async def test_patch_with_replace_leaves_the_sent_lines_only(netsuite: NetSuite) -> None:
    await netsuite.put("ord_1", netsuite.order(netsuite.line("SKU-1", 1), netsuite.line("HELP", 1)))
    change = {"item": {"items": [netsuite.line("SKU-2", 2)]}}
    await netsuite.http.patch(f"{RECORD}/salesOrder/eid:ord_1?replace=item", json=change)
    assert [(line["line"], line["quantity"]) for line in await netsuite.lines("ord_1")] == [(7, 2)]


async def test_header_changes_and_null_clears(netsuite: NetSuite) -> None:
    await netsuite.put("ord_1", netsuite.order(memo="first"))
    await netsuite.http.patch(
        f"{RECORD}/salesOrder/eid:ord_1", json={"memo": None, "orderStatus": {"id": "B"}}
    )
    order = await netsuite.get("/salesOrder/eid:ord_1")
    assert "memo" not in order
    assert order["status"] == {"id": "B", "refName": "Pending Fulfillment"}


async def test_closing_every_line_closes_the_order(netsuite: NetSuite) -> None:
    await netsuite.put("ord_1", netsuite.order(netsuite.line("SKU-1", 1), netsuite.line("SKU-2", 1)))
    close = {"item": {"items": [{"line": 1, "isclosed": True}, {"line": 4, "isclosed": True}]}}
    await netsuite.http.patch(f"{RECORD}/salesOrder/eid:ord_1", json=close)
    assert await netsuite.status("ord_1") == "H"


async def test_money_keeps_every_digit(netsuite: NetSuite) -> None:
    body = json.dumps(netsuite.order(netsuite.line("SKU-1", 3, rate="RATE"))).replace(
        '"RATE"', "0.10000000000000000001"
    )
    answer = await netsuite.http.put(
        f"{RECORD}/salesOrder/eid:ord_1", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 204
    answer = await netsuite.http.get(f"{RECORD}/salesOrder/eid:ord_1?expandSubResources=true")
    assert '"rate":0.10000000000000000001,' in answer.text
    assert '"total":0.30,' in answer.text


# Refusals


@pytest.mark.parametrize(
    ("change", "expected_code", "expected_path"),
    [
        ({"entity": {"id": "9999"}}, "INVALID_CONTENT", "entity"),
        ({"entity": {"externalId": "CUST-GONE"}}, "INVALID_CONTENT", "entity"),
        ({"currency": {"id": "9999"}}, "INVALID_CONTENT", "currency"),
        ({"currency": {"externalId": "USD"}}, "INVALID_CONTENT", "currency"),
        ({"orderStatus": "F"}, "INVALID_CONTENT", "orderStatus"),
        ({"item": {"items": []}}, "USER_ERROR", "item"),
        ({"item": {"items": [{"item": {"id": "9999"}}]}}, "INVALID_CONTENT", "item.items[0].item"),
        ({"item": {"items": [{"quantity": 1}]}}, "USER_ERROR", "item.items[0].item"),
        ({"tranDate": "03/01/2026"}, "INVALID_CONTENT", "tranDate"),
    ],
)
async def test_bad_headers_are_refused_at_their_path(
    netsuite: NetSuite, change: dict[str, object], expected_code: str, expected_path: str
) -> None:
    answer = await netsuite.put("ord_1", netsuite.order() | change)
    assert (answer.status_code, code(answer), path(answer)) == (400, expected_code, expected_path)
    assert answer.headers["Content-Type"].startswith("application/vnd.oracle.resource+json; type=error")
    assert await netsuite.documents("salesOrder") == []


@pytest.mark.parametrize(
    ("more", "expected_path"),
    [
        ({"quantity": 0}, "item.items[1].quantity"),
        ({"taxCode": {"externalId": "S99"}}, "item.items[1].taxCode"),
        ({"taxCode": {"id": "9999"}}, "item.items[1].taxCode"),
        ({"units": "BOX"}, "item.items[1].units"),
    ],
)
async def test_bad_lines_are_refused_at_their_path(
    netsuite: NetSuite, more: dict[str, object], expected_path: str
) -> None:
    answer = await netsuite.put(
        "ord_1", netsuite.order(netsuite.line("SKU-1", 1), netsuite.line("SKU-1", 1) | more)
    )
    assert (answer.status_code, path(answer)) == (400, expected_path)


async def test_a_blocking_account_refuses_orders_over_the_credit_limit() -> None:
    async with account(build(preferences=Preferences(credit_check="block"))) as netsuite:
        assert (await netsuite.put("ord_1", netsuite.order(netsuite.line("HELP", 12)))).status_code == 204
        refused = await netsuite.put("ord_2", netsuite.order(netsuite.line("HELP", 1)))
        assert (refused.status_code, code(refused)) == (400, "USER_ERROR")


async def test_what_is_not_there_is_404_and_what_has_followers_cannot_be_deleted(netsuite: NetSuite) -> None:
    missing = await netsuite.http.get(f"{RECORD}/salesOrder/eid:nobody")
    assert (missing.status_code, code(missing)) == (404, "NONEXISTENT_ID")
    await netsuite.put("ord_1")
    await netsuite.put("ord_2")
    await netsuite.advance("shipped", "ord_2")
    assert (await netsuite.http.delete(f"{RECORD}/salesOrder/eid:ord_1")).status_code == 204
    assert (await netsuite.http.delete(f"{RECORD}/salesOrder/eid:ord_2")).status_code == 400
    assert [doc["externalId"] for doc in await netsuite.documents("salesOrder")] == ["ord_2"]


# Reading


async def test_list_gives_ids_and_links_only_in_pages(netsuite: NetSuite) -> None:
    for number in range(5):
        await netsuite.put(f"ord_{number}")
    page = await netsuite.get("/salesOrder", limit="2", offset="2")
    items = cast(list[dict[str, object]], page["items"])
    assert [item.keys() for item in items] == [{"links", "id"}] * 2
    assert (page["count"], page["offset"], page["hasMore"], page["totalResults"]) == (2, 2, True, 5)
    crooked = await netsuite.http.get(f"{RECORD}/salesOrder?limit=2&offset=3")
    assert crooked.status_code == 400


async def test_sublists_are_links_unless_expanded(netsuite: NetSuite) -> None:
    await netsuite.put("ord_1")
    order = await netsuite.get("/salesOrder/eid:ord_1", fields="item,total")
    assert order.keys() == {"links", "id", "item", "total"}
    assert cast(dict[str, object], order["item"]).keys() == {"links"}
    line = await netsuite.get("/salesOrder/eid:ord_1/item/1")
    assert line["quantity"] == 4


async def test_stock_and_credit_follow_the_order(netsuite: NetSuite) -> None:
    async def figures() -> tuple[object, object, object, object]:
        item = await netsuite.get("/inventoryItem/" + netsuite.ids["items"]["SKU-1"])
        customer = await netsuite.get("/customer/eid:CUST-77")
        return (
            item["quantityAvailable"],
            item["quantityOnHand"],
            customer["consolUnbilledOrders"],
            customer["balance"],
        )

    assert await figures() == ("100", "100", 0, 0)
    await netsuite.put("ord_1")
    assert await figures() == ("96", "100", 62.5, 0)
    await netsuite.advance("shipped", "ord_1")
    assert await figures() == ("96", "96", 62.5, 0)
    await netsuite.advance("invoiced", "ord_1")
    assert await figures() == ("96", "96", 0, 62.5)
    await netsuite.advance("paid", "ord_1")
    assert await figures() == ("96", "96", 0, 0)
