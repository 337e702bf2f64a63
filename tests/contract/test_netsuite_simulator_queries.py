"""SuiteQL of the simulated NetSuite account: headers, paging, printing, refusals, and what a feed may do."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.netsuite_account import (
    SUITEQL,
    NetSuite,
    account,
    code,
)


@pytest.fixture
async def netsuite() -> AsyncIterator[NetSuite]:
    async with account() as client:
        yield client


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
