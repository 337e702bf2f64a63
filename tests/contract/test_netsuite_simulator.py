"""The simulated NetSuite account keeps the promises of SuiteTalk REST and of the simulator kit, over real sockets."""

import asyncio
import json
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from connectors.kit.simulator import Simulator, serving
from connectors.netsuite.simulator.account import Preferences
from connectors.netsuite.simulator.app import build
from connectors.netsuite.simulator.auth import Integration
from connectors.netsuite.simulator.record_types import RECORD_TYPES
from connectors.netsuite.simulator.schema import Shape

ROOT = Path(__file__).resolve().parents[2]
WIRE = ROOT.parent / "shared" / "wire" / "netsuite" / "rest"
needs_wire_sheet = pytest.mark.skipif(not WIRE.is_dir(), reason="the wire sheet is not on this machine")

RECORD = "/services/rest/record/v1"
SUITEQL = "/services/rest/query/v1/suiteql"
TOKEN = "/services/rest/auth/oauth2/v1/token"
KEY = ECKey.generate_key("P-256")
Kill = Callable[[], None]
TLS = ssl.create_default_context()
"""Made once: a client makes one of its own otherwise, which takes longer than most tests here."""
STRICT = {"X-NetSuite-PropertyNameValidation": "Error"}

MASTER_DATA = {
    "customers": [
        {
            "externalId": "CUST-77",
            "companyName": "Bergen Bruk",
            "currency": "EUR",
            "creditLimit": "1000",
            "terms": "Net 30",
            "email": "invoices@bergen.example",
            "shipTo": {
                "addressee": "Bergen Bruk",
                "addr1": "Bryggen 1",
                "city": "Bergen",
                "zip": "5003",
                "country": "NO",
            },
        },
        {"externalId": "CUST-GONE", "companyName": "Closed Ltd", "currency": "EUR", "inactive": True},
    ],
    "items": [
        {
            "itemId": "SKU-1",
            "displayName": "Widget",
            "unit": "EA",
            "prices": {"EUR": "12.50"},
            "quantityAvailable": 100,
        },
        {
            "itemId": "SKU-2",
            "displayName": "Gadget",
            "unit": "EA",
            "prices": {"EUR": "0.10"},
            "quantityAvailable": 3,
        },
        {"itemId": "HELP", "displayName": "Help", "type": "nonInventorySaleItem", "prices": {"EUR": 80}},
    ],
    "taxCodes": [{"code": "S25", "rate": "25"}],
}


class NetSuite:
    """A logged-in client of one simulated account, and the switches beside it."""

    def __init__(self, http: httpx.AsyncClient, ids: dict[str, dict[str, str]]) -> None:
        self.http = http
        self.ids = ids

    def order(self, *lines: dict[str, object], **header: object) -> dict[str, object]:
        """An order body; without lines four widgets at 12.50 with 25 % tax."""
        default = self.line("SKU-1", 4, rate=12.5, taxCode={"externalId": "S25"})
        return {"entity": {"externalId": "CUST-77"}, "item": {"items": list(lines) or [default]}, **header}

    def line(self, sku: str, quantity: float, **more: object) -> dict[str, object]:
        return {"item": {"id": self.ids["items"][sku]}, "quantity": quantity, **more}

    async def put(self, key: str, body: dict[str, object] | None = None, **headers: str) -> httpx.Response:
        url = f"{RECORD}/salesOrder/eid:{key}?replace=item"
        return await self.http.put(url, json=body or self.order(), headers=headers)

    async def get(self, path: str, **query: str) -> dict[str, object]:
        answer = await self.http.get(RECORD + path, params=query)
        assert answer.status_code == 200, answer.text
        return cast(dict[str, object], answer.json())

    async def lines(self, key: str) -> list[dict[str, object]]:
        order = await self.get(f"/salesOrder/eid:{key}", expandSubResources="true")
        return cast(list[dict[str, object]], cast(dict[str, object], order["item"])["items"])

    async def status(self, key: str) -> object:
        order = await self.get(f"/salesOrder/eid:{key}", simpleEnumFormat="true", fields="status")
        return order["status"]

    async def ask(self, query: str, *params: str, limit: int = 1000, offset: int = 0) -> httpx.Response:
        url = f"{SUITEQL}?limit={limit}&offset={offset}"
        return await self.http.post(url, json={"q": query, "params": params}, headers={"Prefer": "transient"})

    async def rows(self, query: str, *params: str) -> list[dict[str, str]]:
        answer = await self.ask(query, *params)
        assert answer.status_code == 200, answer.text
        return [{k: v for k, v in row.items() if k != "links"} for row in answer.json()["items"]]

    async def fault(self, **fault: object) -> None:
        answer = await self.http.post("/_sim/faults", json=fault)
        assert answer.status_code == 201, answer.text

    async def advance(self, to: str, *orders: str) -> dict[str, object]:
        answer = await self.http.post("/_sim/advance", json={"to": to, "orders": orders})
        assert answer.status_code == 200, answer.text
        return cast(dict[str, object], answer.json())

    async def ledger(self, **query: str) -> dict[str, object]:
        return cast(dict[str, object], (await self.http.get("/_sim/ledger", params=query)).json())

    async def documents(self, kind: str) -> list[dict[str, object]]:
        return cast(list[dict[str, object]], (await self.ledger(kind=kind))["documents"])


def assertion(url: str, *, key: ECKey | RSAKey = KEY, alg: str = "ES256", **claims: object) -> str:
    now = int(time.time())
    usual = {"iss": "client", "scope": ["rest_webservices"], "aud": url + TOKEN, "iat": now, "exp": now + 300}
    return jwt.encode({"alg": alg, "kid": "cert", "typ": "JWT"}, usual | claims, key, algorithms=[alg])


async def ask_for_token(http: httpx.AsyncClient, signed: str) -> httpx.Response:
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": signed,
    }
    return await http.post(TOKEN, data=form)


async def log_in(http: httpx.AsyncClient) -> None:
    answer = await ask_for_token(http, assertion(str(http.base_url).rstrip("/")))
    assert answer.json()["token_type"].lower() == "bearer"
    http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


@asynccontextmanager
async def account(simulator: Simulator | None = None) -> AsyncIterator[NetSuite]:
    limits = httpx.Limits(max_connections=50)
    async with (
        serving(simulator or build()) as url,
        httpx.AsyncClient(verify=TLS, base_url=url, limits=limits, timeout=10) as http,
    ):
        seeded = await http.post("/_sim/seed", json=MASTER_DATA)
        assert seeded.status_code == 200, seeded.text
        await log_in(http)
        yield NetSuite(http, seeded.json())


@pytest.fixture
async def netsuite() -> AsyncIterator[NetSuite]:
    async with account() as client:
        yield client


def code(answer: httpx.Response) -> str:
    return cast(str, answer.json()["o:errorDetails"][0]["o:errorCode"])


def path(answer: httpx.Response) -> str:
    return cast(str, answer.json()["o:errorDetails"][0]["o:errorPath"])


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


# SuiteQL

CHANGED = """
    SELECT id, TO_CHAR(lastmodifieddate, 'YYYY-MM-DD HH24:MI:SS') lm FROM transaction
    WHERE type = 'SalesOrd' AND lastmodifieddate >= TO_TIMESTAMP(?, 'YYYY-MM-DD HH24:MI:SS')
    ORDER BY lastmodifieddate, id
"""
LONG_AGO = "2020-01-01 00:00:00"


async def test_suiteql_needs_the_transient_preference(netsuite: NetSuite) -> None:
    answer = await netsuite.http.post(SUITEQL, json={"q": "SELECT id FROM customer"})
    assert answer.status_code == 400
    assert answer.json()["o:errorDetails"][0]["o:errorHeader"] == "Prefer"


async def test_suiteql_pages_and_wants_offsets_that_are_multiples_of_the_limit(netsuite: NetSuite) -> None:
    for number in range(5):
        await netsuite.put(f"ord_{number}")
    pages = [(await netsuite.ask(CHANGED, LONG_AGO, limit=2, offset=offset)).json() for offset in (0, 2, 4)]
    assert [page["count"] for page in pages] == [2, 2, 1]
    assert [page["hasMore"] for page in pages] == [True, True, False]
    assert len({row["id"] for page in pages for row in page["items"]}) == 5
    assert (await netsuite.ask(CHANGED, LONG_AGO, limit=2, offset=1)).status_code == 400


async def test_suiteql_prints_text_in_lower_case_columns_and_leaves_empty_ones_out(
    netsuite: NetSuite,
) -> None:
    await netsuite.put("ord_1")
    rows = await netsuite.rows(
        "SELECT ID, Status, memo, foreigntotal, BUILTIN.DF(entity) AS Buyer FROM transaction"
    )
    name = "C1101 Bergen Bruk"
    assert rows == [{"id": "1501", "status": "A", "foreigntotal": "62.5", "buyer": name}]


async def test_suiteql_lines_are_negative_and_follow_on_lines_are_linked(netsuite: NetSuite) -> None:
    await netsuite.put("ord_1", netsuite.order(netsuite.line("SKU-1", 4), netsuite.line("HELP", 1)))
    await netsuite.advance("partly_shipped", "ord_1")
    rows = await netsuite.rows(
        """
        SELECT ship.tranid, BUILTIN.DF(line.item) AS sku, line.quantity, box.trackingnumber
        FROM nexttransactionlinelink link
        JOIN transaction ship ON ship.id = link.nextdoc
        JOIN transactionline line ON line.transaction = link.nextdoc AND line.id = link.nextline
        LEFT JOIN trackingnumbermap box ON box.transaction = ship.id
        WHERE link.linktype = 'ShipRcpt' AND link.previousdoc IN (?, ?)
        """,
        "1501",
        "9999",
    )
    assert rows == [
        {"tranid": "IF1001", "sku": "SKU-1", "quantity": "-2", "trackingnumber": "1Z999AA10000000001"}
    ]


async def test_suiteql_tells_the_accounts_time_and_not_utc(netsuite: NetSuite) -> None:
    clock = "SELECT TO_CHAR(SYSDATE, 'YYYY-MM-DD HH24:MI') now FROM dual"
    local = (await netsuite.rows(clock))[0]["now"]
    served = (await netsuite.http.get("/services/rest/system/v1/serverTime")).json()["serverTime"]
    assert local != served[:16].replace("T", " ")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT foo FROM customer",
        "SELECT id FROM nowhere",
        "SELECT id FROM customer WHERE id = ?",
        "SELECT id FROM customer GROUP BY id",
        "SELECT SOUNDEX(companyname) FROM customer",
        "DELETE FROM customer",
        "SELECT id FROM transaction WHERE lastmodifieddate >= '2026-01-01'",
    ],
)
async def test_suiteql_refuses_what_it_does_not_understand(netsuite: NetSuite, query: str) -> None:
    await netsuite.put("ord_1")
    answer = await netsuite.ask(query)
    assert (answer.status_code, code(answer)) == (400, "USER_ERROR")
    assert answer.json()["title"] == "Invalid search query."


async def test_a_feed_can_repeat_a_row_and_tell_one_late(netsuite: NetSuite) -> None:
    for number in range(3):
        await netsuite.put(f"ord_{number}")
    everything = [row["id"] for row in await netsuite.rows(CHANGED, LONG_AGO)]
    await netsuite.fault(kind="duplicate")
    assert [row["id"] for row in await netsuite.rows(CHANGED, LONG_AGO)] == [everything[0], *everything]
    await netsuite.fault(kind="out_of_order")
    assert [row["id"] for row in await netsuite.rows(CHANGED, LONG_AGO)] == [everything[0], everything[2]]
    assert [row["id"] for row in await netsuite.rows(CHANGED, LONG_AGO)] == everything


# Who may call


async def test_without_a_token_nothing_is_answered(netsuite: NetSuite) -> None:
    del netsuite.http.headers["Authorization"]
    answer = await netsuite.http.get(f"{RECORD}/salesOrder")
    assert (answer.status_code, code(answer)) == (401, "INVALID_LOGIN")


async def test_an_account_with_a_key_trusts_that_key_only() -> None:
    integration = Integration(client_id="client", certificate_id="cert", public_key=KEY)
    async with (
        serving(build(integration=integration)) as url,
        httpx.AsyncClient(verify=TLS, base_url=url) as http,
    ):
        assert (await ask_for_token(http, assertion(url))).status_code == 200
        bad = [
            assertion(url, key=ECKey.generate_key("P-256")),
            assertion(url, iss="somebody"),
            assertion(url, exp=int(time.time()) + 7200),
            assertion(url, exp=int(time.time()) - 120),
            assertion(url, aud="https://elsewhere.example/token"),
            assertion(url, scope=["restlets"]),
            "no.jwt.atall",
        ]
        answers = [await ask_for_token(http, signed) for signed in bad]
        assert [(answer.status_code, answer.json()["error"]) for answer in answers] == [
            (400, "invalid_grant")
        ] * 7


@pytest.mark.parametrize(("alg", "status"), [("PS256", 200), ("RS256", 400)])
async def test_rsa_assertions_must_be_pss(alg: str, status: int) -> None:
    key = RSAKey.generate_key(2048)
    async with serving(build()) as url, httpx.AsyncClient(verify=TLS, base_url=url) as http:
        assert (await ask_for_token(http, assertion(url, key=key, alg=alg))).status_code == status


async def test_tokens_expire() -> None:
    async with account(build(integration=Integration(token_seconds=-1))) as netsuite:
        assert (await netsuite.http.get(f"{RECORD}/customer")).status_code == 401


# Faults


async def test_a_lost_reply_has_committed(netsuite: NetSuite) -> None:
    await netsuite.fault(kind="lose_reply", method="PUT")
    with pytest.raises(httpx.RemoteProtocolError):
        await netsuite.put("ord_1")
    assert len(await netsuite.documents("salesOrder")) == 1
    assert (await netsuite.put("ord_1")).status_code == 204
    assert len(await netsuite.documents("salesOrder")) == 1


async def test_a_reset_touches_nothing(netsuite: NetSuite) -> None:
    await netsuite.fault(kind="reset", path="/salesOrder/")
    with pytest.raises(httpx.ReadError):
        await netsuite.put("ord_1")
    assert await netsuite.documents("salesOrder") == []


async def test_unavailable_comes_before_or_after_the_commit(netsuite: NetSuite) -> None:
    await netsuite.fault(kind="unavailable")
    await netsuite.fault(kind="unavailable_after", after=1)
    assert (await netsuite.put("ord_1")).status_code == 503
    assert await netsuite.documents("salesOrder") == []
    assert (await netsuite.put("ord_1")).status_code == 204
    assert (await netsuite.put("ord_2")).status_code == 503
    assert len(await netsuite.documents("salesOrder")) == 2


async def test_throttling_is_worded_as_oracle_words_it(netsuite: NetSuite) -> None:
    await netsuite.fault(kind="throttle", retryAfter="Wed, 21 Oct 2026 07:28:00 GMT")
    await netsuite.fault(kind="throttle")
    first, second = await netsuite.put("ord_1"), await netsuite.put("ord_1")
    assert (first.status_code, code(first)) == (429, "CONCURRENCY_LIMIT_EXCEEDED")
    assert first.headers["Retry-After"] == "Wed, 21 Oct 2026 07:28:00 GMT"
    assert "Retry-After" not in second.headers
    assert (await netsuite.put("ord_1")).status_code == 204


async def test_an_expired_token_stays_expired(netsuite: NetSuite) -> None:
    await netsuite.fault(kind="expired_token")
    assert (await netsuite.put("ord_1")).status_code == 401
    assert (await netsuite.put("ord_1")).status_code == 401
    await log_in(netsuite.http)
    assert (await netsuite.put("ord_1")).status_code == 204


async def test_a_slow_answer_has_committed_when_the_caller_gave_up(netsuite: NetSuite) -> None:
    await netsuite.fault(kind="slow", seconds=0.05)
    with pytest.raises(httpx.ReadTimeout):
        await netsuite.http.put(f"{RECORD}/salesOrder/eid:ord_1", json=netsuite.order(), timeout=0.02)
    async with asyncio.timeout(5):
        while not await netsuite.documents("salesOrder"):
            pass


async def test_the_sixth_parallel_request_is_refused(netsuite: NetSuite) -> None:
    await netsuite.fault(kind="slow", seconds=0.2, count=0)
    answers = await asyncio.gather(*(netsuite.put(f"ord_{number}") for number in range(6)))
    assert sorted(answer.status_code for answer in answers) == [204, 204, 204, 204, 204, 429]
    ledger = await netsuite.ledger()
    assert ledger["concurrencyMax"] == 6


async def test_faults_are_listed_with_their_hits_and_cleared(netsuite: NetSuite) -> None:
    await netsuite.fault(kind="throttle", count=2, after=1, method="put")
    for number in range(3):
        await netsuite.put(f"ord_{number}")
    listed = (await netsuite.http.get("/_sim/faults")).json()["faults"]
    assert [(fault["kind"], fault["seen"], fault["hits"]) for fault in listed] == [("throttle", 3, 2)]
    assert (await netsuite.http.delete("/_sim/faults")).json() == {"cleared": 1}
    assert (await netsuite.http.get("/_sim/faults")).json() == {"faults": []}


async def test_drawn_faults_repeat_with_their_seed(netsuite: NetSuite) -> None:
    runs = []
    for _ in range(2):
        await netsuite.fault(kind="throttle", probability="0.5", seed=7, method="PUT")
        runs.append([(await netsuite.put(f"ord_{number}")).status_code for number in range(12)])
        await netsuite.http.delete("/_sim/faults")
    assert runs[0] == runs[1]
    assert {204, 429} == set(runs[0])


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "explode"},
        {"kind": "slow", "retryafter": "1"},
        {"kind": "slow", "seconds": -1},
        {"kind": "throttle", "probability": "2"},
        {"kind": "throttle", "path": "("},
        {"kind": "throttle", "retryAfter": "1\r\nX: y"},
        ["throttle"],
    ],
)
async def test_a_misspelt_fault_is_refused(netsuite: NetSuite, fault: object) -> None:
    answer = await netsuite.http.post("/_sim/faults", json=fault)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


# The process


async def test_documents_ids_and_tokens_survive_kill_9(tmp_path: Path) -> None:
    async with (
        process(tmp_path / "state.db") as (url, kill),
        httpx.AsyncClient(verify=TLS, base_url=url) as http,
    ):
        seeded = (await http.post("/_sim/seed", json=MASTER_DATA)).json()
        await log_in(http)
        token = http.headers["Authorization"]
        first = NetSuite(http, seeded)
        assert (await first.put("ord_1")).status_code == 204
        kill()
    async with (
        process(tmp_path / "state.db") as (url, _),
        httpx.AsyncClient(verify=TLS, base_url=url) as http,
    ):
        http.headers["Authorization"] = token
        netsuite = NetSuite(http, seeded)
        assert [doc["externalId"] for doc in await netsuite.documents("salesOrder")] == ["ord_1"]
        again, other = await netsuite.put("ord_1"), await netsuite.put("ord_2")
        assert again.headers["Location"].endswith("/1501")
        assert other.headers["Location"].endswith("/1502")


@asynccontextmanager
async def process(state: Path) -> AsyncIterator[tuple[str, Kill]]:
    """The simulator as `ordermesh up` starts it."""
    command = [sys.executable, "-m", "connectors.netsuite.simulator", "--port", "0", "--state", str(state)]
    child = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    try:
        line = (await child.stdout.readline()).decode()
        yield line.removeprefix("listening on ").strip(), child.kill
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


# Against the wire sheet


@needs_wire_sheet
@pytest.mark.parametrize(
    ("record", "file", "section", "sublist"),
    [
        ("salesOrder", "salesOrder.fields.json", "header", None),
        ("salesOrder", "salesOrder.fields.json", "item (line)", "item"),
        ("customer", "customer.fields.json", "header", None),
    ],
)
def test_field_names_are_the_published_ones(
    record: str, file: str, section: str, sublist: str | None
) -> None:
    published = json.loads((WIRE / file).read_text())
    names = {name.split("(")[0] for name in published[section]}
    for key in published["enums" if sublist is None else "item enums"]:
        names |= {part.split(".")[0].split(" ")[0] for part in key.split(" / ")}
    shape = RECORD_TYPES[record].shape if sublist is None else _sublist(RECORD_TYPES[record].shape, sublist)
    assert {field.name for field in shape} <= names


@needs_wire_sheet
def test_address_fields_are_the_published_ones() -> None:
    published = json.loads((WIRE / "salesOrder.fields.json").read_text())["address subrecord"]
    address = RECORD_TYPES["salesOrder"].shape.field("shippingAddress")
    assert address is not None
    assert address.shape is not None
    assert {field.name for field in address.shape} <= set(published)


@needs_wire_sheet
def test_status_letters_are_the_published_ones() -> None:
    published = json.loads((WIRE / "statuses.json").read_text())
    sections = {"salesOrder": "salesOrder", "invoice": "invoice (CustInvc)"}
    sections |= {
        "itemFulfillment": "itemFulfillment (ItemShip)",
        "customerPayment": "customerPayment (CustPymt)",
    }
    for record, section in sections.items():
        status = RECORD_TYPES[record].shape.field("status")
        assert status is not None
        assert status.choices == published[section]


def _sublist(shape: Shape, name: str) -> Shape:
    field = shape.field(name)
    assert field is not None
    assert field.shape is not None
    return field.shape
