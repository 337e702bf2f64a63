"""SuiteQL over a handful of records, without HTTP."""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from connectors.kit.simulator import Store
from connectors.netsuite.simulator.account import Account, Preferences
from connectors.netsuite.simulator.errors import NetSuiteError
from connectors.netsuite.simulator.suiteql.engine import run
from connectors.netsuite.simulator.suiteql.parser import parse

NEW_YORK = Preferences(time_zone=ZoneInfo("America/New_York"))


class Watch:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def account(watch: Watch) -> Account:
    opened = Account(Store(clock=watch), NEW_YORK)
    opened.open()
    with opened.store.change() as change:
        for number, name in enumerate(["O'Neill", "Änne", "Zoë"], start=101):
            body = {"entityId": f"C{number}", "companyName": name, "currency": "1"}
            change.add(
                "customer", str(number), body | ({"creditLimit": Decimal(100)} if number == 102 else {})
            )
    return opened


def ask(account: Account, text: str, *params: str) -> list[dict[str, str]]:
    return run(account, parse(text), params)


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ("id = ?", ["102"]),
        ("id = '102'", ["102"]),
        ("? = id", ["102"]),
        ("id IN (?, 103)", ["102", "103"]),
        ("id NOT IN (?, 103)", ["101"]),
        ("id BETWEEN ? AND 103", ["102", "103"]),
        ("id > ? OR companyname = 'O''Neill'", ["101", "103"]),
        ("NOT (id > ? OR id = 101)", ["102"]),
        ("creditlimit IS NULL AND id <> ?", ["101", "103"]),
        ("creditlimit IS NOT NULL AND id = ?", ["102"]),
        ("creditlimit < 200.5 AND id = ?", ["102"]),
        ("NVL(creditlimit, 0) = 0 AND id <> ?", ["101", "103"]),
        ("companyname LIKE '%n%' AND id <= ?", ["102"]),
        ("LOWER(companyname) LIKE 'o_neill' AND id < ?", ["101"]),
    ],
)
def test_conditions(account: Account, where: str, ids: list[str]) -> None:
    assert [
        row["id"] for row in ask(account, f"SELECT id FROM customer WHERE {where} ORDER BY id", "102")
    ] == ids


def test_a_number_column_sorts_by_value_and_an_output_name_can_be_sorted_by(account: Account) -> None:
    with account.store.change() as change:
        change.add("customer", "1000", {"companyName": "Big", "currency": "1", "entityId": "C1000"})
    rows = ask(account, "SELECT id AS number_ FROM customer c ORDER BY number_ DESC")
    assert [row["number_"] for row in rows] == ["1000", "103", "102", "101"]


def test_a_left_join_keeps_what_has_no_partner(account: Account) -> None:
    with account.store.change() as change:
        change.edit("customer", "101").body["addressBook"] = [
            {"id": 1, "defaultBilling": True, "addressBookAddress": {"city": "Bergen"}}
        ]
    text = """
        SELECT c.id, a.city FROM customer c {} JOIN customeraddressbookentityaddress a
        ON a.nkey = c.defaultbillingaddress ORDER BY c.id
    """
    assert ask(account, text.format("LEFT")) == [
        {"id": "101", "city": "Bergen"},
        {"id": "102"},
        {"id": "103"},
    ]
    assert ask(account, text.format("INNER")) == [{"id": "101", "city": "Bergen"}]
    unmatched = ask(account, text.format("LEFT").replace("ORDER BY", "WHERE a.nkey IS NULL ORDER BY"))
    assert [row["id"] for row in unmatched] == ["102", "103"]


def test_times_are_the_accounts_wall_clock_even_while_it_is_set_back(account: Account, watch: Watch) -> None:
    text = """
        SELECT id, TO_CHAR(lastmodifieddate, 'YYYY-MM-DD HH24:MI:SS') lm FROM customer
        WHERE lastmodifieddate >= TO_TIMESTAMP(?, 'YYYY-MM-DD HH24:MI:SS') ORDER BY lastmodifieddate, id
    """
    watch.now = datetime(2026, 11, 1, 5, 59, tzinfo=UTC)  # 01:59 in New York, an hour before clocks go back
    with account.store.change() as change:
        change.edit("customer", "101").body["phone"] = "1"
    watch.now = datetime(2026, 11, 1, 6, 1, tzinfo=UTC)  # 01:01, for the second time
    with account.store.change() as change:
        change.edit("customer", "102").body["phone"] = "1"
    told = [(row["id"], row["lm"]) for row in ask(account, text, "2026-11-01 01:00:00")]
    assert told == [("102", "2026-11-01 01:01:00"), ("101", "2026-11-01 01:59:00")]
    assert ask(account, "SELECT TO_CHAR(SYSDATE, 'HH24:MI') t FROM dual") == [{"t": "01:01"}]


def test_count_counts_all_rows(account: Account) -> None:
    assert ask(account, "SELECT COUNT(*) AS count FROM customer WHERE id > ?", "101") == [{"count": "2"}]


@pytest.mark.parametrize(
    "text", ["", "SELECT", "SELECT id", "SELECT id FROM customer WHERE", "SELECT id id2 id3 FROM x"]
)
def test_half_a_query_is_refused(text: str) -> None:
    with pytest.raises(NetSuiteError):
        parse(text)
