"""SOQL: which records a query finds, in which order, and what it refuses."""

from collections.abc import Iterator

import pytest

from connectors.kit.simulator import JsonObject, Store
from connectors.salesforce.simulator import records, soql
from connectors.salesforce.simulator.catalog import SObject, find_object
from connectors.salesforce.simulator.errors import SalesforceError
from connectors.salesforce.simulator.fixtures import furnish
from connectors.salesforce.simulator.locks import Locks
from connectors.salesforce.simulator.org import Org, Session, Transaction

BASE = "/services/data/v59.0/"


@pytest.fixture
def tx() -> Iterator[Transaction]:
    """Four accounts and two contacts, in a transaction that is still open."""
    org = Org(Store(), Locks())
    users = furnish(org)
    with org.transaction(Session(users.sales)) as transaction:
        for name, site, staff in (
            ("Acme", "A", 10),
            ("Globex", None, 20),
            ("acme two", "B", None),
            ("100%", "C", 5),
        ):
            body: JsonObject = {
                "Name": name,
                "Site": site,
                "NumberOfEmployees": staff,
                "ERP_Key__c": f"K-{name}",
            }
            records.create(transaction, _object("Account"), body)
        for last_name in ("Doe", "Roe"):
            parent: JsonObject = {"ERP_Key__c": "K-Acme"}
            records.create(transaction, _object("Contact"), {"LastName": last_name, "Account": parent})
        yield transaction


def _object(name: str) -> SObject:
    sobject = find_object(name)
    assert sobject is not None
    return sobject


def names(tx: Transaction, where: str) -> list[object]:
    found = soql.run(tx, soql.parse(f"SELECT Name FROM Account WHERE {where}"), BASE)
    return [record["Name"] for record in found.records]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("Name = 'ACME'", ["Acme"]),
        ("Name != 'Acme' AND Site != null", ["acme two", "100%"]),
        ("Site = null", ["Globex"]),
        ("Site != 'A'", ["Globex", "acme two", "100%"]),
        ("Name LIKE 'acme%'", ["Acme", "acme two"]),
        ("Name LIKE '_cme'", ["Acme"]),
        (r"Name LIKE '100\%'", ["100%"]),
        ("NumberOfEmployees >= 10", ["Acme", "Globex"]),
        ("NumberOfEmployees < 20 AND NumberOfEmployees > 5", ["Acme"]),
        ("Name IN ('Globex', 'nobody')", ["Globex"]),
        ("Site NOT IN ('A', 'B')", ["Globex", "100%"]),
        ("NOT Name LIKE '%acme%'", ["Globex", "100%"]),
        ("(Site = 'A' OR Site = 'B') AND NumberOfEmployees = null", ["acme two"]),
        ("ERP_Key__c = 'k-globex'", ["Globex"]),
        ("ERP_Key__c IN ('K-Acme', 'K-100%') AND NumberOfEmployees < 10", ["100%"]),
        ("Id IN (SELECT AccountId FROM Contact WHERE LastName = 'Doe')", ["Acme"]),
        ("CreatedDate = TODAY", ["Acme", "Globex", "acme two", "100%"]),
        ("CreatedDate < LAST_N_DAYS:1", []),
        ("SystemModstamp >= 2020-01-01T00:00:00Z AND Site = 'C'", ["100%"]),
        ("SystemModstamp > 2999-01-01T00:00:00.000+02:00", []),
        ("Account.Name = 'Globex'", ["Globex"]),
    ],
)
def test_condition_finds(tx: Transaction, where: str, found: list[str]) -> None:
    assert names(tx, where) == found


@pytest.mark.parametrize(
    ("order_by", "found"),
    [
        ("ORDER BY NumberOfEmployees", ["acme two", "100%", "Acme", "Globex"]),
        ("ORDER BY NumberOfEmployees DESC NULLS LAST", ["Globex", "Acme", "100%", "acme two"]),
        ("ORDER BY Name LIMIT 2 OFFSET 1", ["Acme", "acme two"]),
    ],
)
def test_order_and_page(tx: Transaction, order_by: str, found: list[str]) -> None:
    rows = soql.run(tx, soql.parse(f"SELECT Name FROM Account {order_by}"), BASE)
    assert [record["Name"] for record in rows.records] == found


def test_parent_fields_are_nested_and_a_missing_parent_is_null(tx: Transaction) -> None:
    records.create(tx, _object("Contact"), {"LastName": "Alone"})
    query = "SELECT LastName, Account.Name, Account.Owner.Name FROM Contact ORDER BY LastName"
    alone, doe, _ = soql.run(tx, soql.parse(query), BASE).records
    assert alone["Account"] is None
    account = doe["Account"]
    assert isinstance(account, dict)
    assert (account["Name"], account["Owner"]["Name"]) == ("Acme", "Sales")


def test_children_are_a_result_of_their_own(tx: Transaction) -> None:
    query = "SELECT Name, (SELECT LastName FROM Contacts ORDER BY LastName DESC LIMIT 1) FROM Account ORDER BY Name"
    _, acme, without, _ = soql.run(tx, soql.parse(query), BASE).records
    contacts = acme["Contacts"]
    assert isinstance(contacts, dict)
    assert [each["LastName"] for each in contacts["records"]] == ["Roe"]
    assert without["Contacts"] is None


def test_count_has_a_total_and_no_records(tx: Transaction) -> None:
    rows = soql.run(tx, soql.parse("SELECT COUNT() FROM Account WHERE Site != null"), BASE)
    assert (rows.total, rows.records) == (3, [])


def test_groups_find_what_is_there_twice(tx: Transaction) -> None:
    query = (
        "SELECT AccountId, COUNT(Id) n, MAX(LastName) FROM Contact GROUP BY AccountId HAVING COUNT(Id) > 1"
    )
    (row,) = soql.run(tx, soql.parse(query), BASE).records
    assert (row["n"], row["expr0"]) == (2, "Roe")


def test_deleted_records_are_only_seen_when_asked_for(tx: Transaction) -> None:
    query = soql.parse("SELECT Id FROM Contact")
    first = soql.run(tx, query, BASE).records[0]
    records.delete(tx, _object("Contact"), str(first["Id"]))
    assert len(soql.run(tx, query, BASE).records) == 1
    assert len(soql.run(tx, query, BASE, deleted_too=True).records) == 2


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("SELECT Name FROM Nonsense", "INVALID_TYPE"),
        ("SELECT Nonsense FROM Account", "INVALID_FIELD"),
        ("SELECT Nonsense.Name FROM Account", "INVALID_FIELD"),
        ("SELECT Name FROM Account WHERE Nonsense = 1", "INVALID_FIELD"),
        ("SELECT Name FROM Account WHERE SystemModstamp > '2026-01-01'", "INVALID_FIELD"),
        ("SELECT Name FROM Account WHERE NumberOfEmployees = '7'", "INVALID_FIELD"),
        ("SELECT Name FROM Account WHERE Site = 'A' AND Site = 'B' OR Site = 'C'", "MALFORMED_QUERY"),
        ("SELECT Name FROM Account LIMIT x", "MALFORMED_QUERY"),
        ("SELECT Name FROM Account extra words", "MALFORMED_QUERY"),
        ("SELECT Name Account", "MALFORMED_QUERY"),
        ("SELECT Name, COUNT(Id) FROM Account", "MALFORMED_QUERY"),
        ("SELECT FIELDS(ALL) FROM Account", "MALFORMED_QUERY"),
        ("SELECT Name FROM Account OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE"),
        ("SELECT Name FROM Account WHERE Name = 'open", "MALFORMED_QUERY"),
    ],
)
def test_query_is_refused(tx: Transaction, query: str, code: str) -> None:
    with pytest.raises(SalesforceError) as refused:
        soql.run(tx, soql.parse(query), BASE)
    assert refused.value.code == code
