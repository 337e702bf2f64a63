"""simple-salesforce, unmodified, against the simulated org; and what the org promises beside it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
import requests
from simple_salesforce.exceptions import (
    SalesforceGeneralError,
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceRefusedRequest,
    SalesforceResourceNotFound,
)

from connectors.salesforce import record_ids
from connectors.salesforce.simulator import ids
from connectors.salesforce.simulator.app import Options
from connectors.salesforce.simulator.catalog import objects
from tests.contract.salesforce_org import (
    ROOT,
    Org,
    account,
    collection,
    first_error,
    in_a_thread,
    process,
)

WIRE = ROOT.parent / "shared" / "wire" / "salesforce"

needs_wire_sheet = pytest.mark.skipif(not WIRE.is_dir(), reason="the wire sheet is not on this machine")


@pytest.fixture(scope="module")
def shared_url() -> Iterator[str]:
    with in_a_thread(Options()) as url:
        yield url


@pytest.fixture
def org() -> Iterator[Org]:
    with in_a_thread(Options()) as url:
        yield Org(url)


@pytest.fixture
def reading(shared_url: str) -> Org:
    """An org shared by the tests that leave nothing behind that another would trip over."""
    return Org(shared_url)


# One record


def test_record_reads_back_as_it_was_written(reading: Org) -> None:
    client = reading.client()
    made = client.Account.create({"Name": "  Globex ", "AnnualRevenue": 12.5, "BillingCity": "Berlin"})
    account = client.Account.get(made["id"])
    assert (account["Name"], account["AnnualRevenue"], account["NumberOfEmployees"]) == ("Globex", 12.5, None)
    assert account["BillingAddress"]["city"] == "Berlin"
    assert account["attributes"]["url"].endswith(f"/sobjects/Account/{made['id']}")


def test_update_and_delete_answer_204(reading: Org) -> None:
    client = reading.client()
    made = client.Account.create({"Name": "Initech"})
    assert client.Account.update(made["id"][:15], {"phone": "1", "Name": "Initech 2"}) == 204
    assert client.Account.delete(made["id"]) == 204
    with pytest.raises(SalesforceResourceNotFound) as gone:
        client.Account.get(made["id"])
    assert first_error(gone)["errorCode"] == "ENTITY_IS_DELETED"


def test_upsert_twice_leaves_one_record(org: Org) -> None:
    client = org.client()
    assert client.Account.upsert("ERP_Key__c/C-7", {"Name": "First"}) == 201
    assert client.Account.upsert("ERP_Key__c/c-7", {"Name": "Second"}) == 200
    assert [account["Name"] for account in org.ledger("Account")] == ["Second"]


def test_key_with_a_blank_is_found(reading: Org) -> None:
    client = reading.client()
    client.Account.create({"Name": "Blank", "ERP_Key__c": "C 8/9"})
    assert client.Account.get_by_custom_id("ERP_Key__c", "C 8/9")["Name"] == "Blank"


def test_key_held_by_several_records_writes_nothing(org: Org) -> None:
    client = org.client()
    for name in ("Ada", "Grace"):
        client.Contact.create({"LastName": name, "ERP_Contact_Key__c": "twin"})
    with pytest.raises(SalesforceMoreThanOneRecord) as several:
        client.Contact.upsert("ERP_Contact_Key__c/twin", {"LastName": "Nobody"})
    assert len(several.value.content) == 2
    assert {each["LastName"] for each in client.query("SELECT LastName FROM Contact")["records"]} == {
        "Ada",
        "Grace",
    }


@pytest.mark.parametrize(
    ("sobject", "body", "code"),
    [
        ("Account", {}, "REQUIRED_FIELD_MISSING"),
        ("Account", {"Name": "x", "Nonsense": 1}, "INVALID_FIELD"),
        ("Account", {"Name": "x" * 256}, "STRING_TOO_LONG"),
        ("Account", {"Name": 7}, "JSON_PARSER_ERROR"),
        ("Account", {"Name": "x", "CreatedDate": "2026-01-01"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ("Account", {"Name": "x", "ParentId": "nonsense"}, "MALFORMED_ID"),
        ("Account", {"Name": "x", "ParentId": "001Sm000000ZZZZ"}, "INVALID_CROSS_REFERENCE_KEY"),
        ("Account", {"Name": "x", "CurrencyIsoCode": "XXX"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ("Contact", {"LastName": "x", "Email": "nonsense"}, "INVALID_EMAIL_ADDRESS"),
        ("Contact", {"LastName": "x", "Account": {"ERP_Key__c": "nowhere"}}, "INVALID_FIELD"),
        ("Order", {"AccountId": None, "Status": "Draft"}, "REQUIRED_FIELD_MISSING"),
    ],
)
def test_bad_record_is_refused_with_salesforces_code(
    reading: Org, sobject: str, body: dict[str, object], code: str
) -> None:
    with pytest.raises(SalesforceMalformedRequest) as refused:
        getattr(reading.client(), sobject).create(body)
    assert first_error(refused)["errorCode"] == code


def test_unique_key_names_the_record_that_holds_it(reading: Org) -> None:
    client = reading.client()
    holder = client.Account.create({"Name": "Holder", "ERP_Key__c": "taken"})["id"]
    with pytest.raises(SalesforceMalformedRequest) as refused:
        client.Account.create({"Name": "Other", "ERP_Key__c": "TAKEN"})
    assert first_error(refused)["errorCode"] == "DUPLICATE_VALUE"
    assert holder[:15] in first_error(refused)["message"]


def test_stale_write_is_refused(reading: Org) -> None:
    client = reading.client()
    record_id = client.Account.create({"Name": "Locked"})["id"]
    stale = {"If-Unmodified-Since": "Thu, 01 Jan 2026 00:00:00 GMT"}
    with pytest.raises(SalesforceGeneralError) as refused:
        client.Account.update(record_id, {"Name": "Too late"}, headers=stale)
    assert refused.value.status == 412


# Queries


def test_query_all_follows_every_page(org: Org) -> None:
    accounts = [{"Name": f"Account {n:04}", "ERP_Key__c": f"K-{n}"} for n in range(450)]
    org.post("/_sim/seed", {"accounts": accounts})
    client = org.client()
    client.headers["Sforce-Query-Options"] = "batchSize=200"
    found = client.query_all("SELECT Name FROM Account ORDER BY Name")
    assert found["totalSize"] == 450
    assert [each["Name"] for each in found["records"]] == [each["Name"] for each in accounts]


def test_query_reaches_parents_and_children(org: Org) -> None:
    org.seeded(orders=1)
    query = "SELECT Account.Name, (SELECT Quantity, Product2.ProductCode FROM OrderItems) FROM Order"
    order = org.client().query(query)["records"][0]
    assert order["Account"]["Name"] == "Acme"
    assert order["OrderItems"]["records"][0]["Product2"]["ProductCode"] == "ANVIL"


def test_poll_by_modstamp_misses_no_change(org: Org) -> None:
    seeded = org.seeded()
    client = org.client()
    query = "SELECT Id, SystemModstamp, LastModifiedById FROM Account WHERE SystemModstamp >= {} ORDER BY Id"
    first = client.query(query.format("2020-01-01T00:00:00.000Z"))["records"][0]
    client.Account.update(seeded["accounts"][0]["Id"], {"Phone": "1"})
    again = client.query(query.format(first["SystemModstamp"]))["records"][-1]
    assert again["SystemModstamp"] > first["SystemModstamp"]
    assert again["LastModifiedById"] != first["LastModifiedById"], (
        "our own write can be told from the salesperson's"
    )


def test_dead_locator_is_refused(reading: Org) -> None:
    with pytest.raises(SalesforceMalformedRequest) as refused:
        reading.client().query_more("01gSm0000000001AAA-2000")
    assert first_error(refused)["errorCode"] == "INVALID_QUERY_LOCATOR"


# Faults


def test_lost_reply_leaves_the_change_committed(org: Org) -> None:
    client = org.client()
    org.fault(kind="lose_reply", method="POST", path="/sobjects/Account")
    with pytest.raises(requests.ConnectionError):
        client.Account.create({"Name": "Made in silence"})
    assert [account["Name"] for account in org.ledger("Account")] == ["Made in silence"]


def test_throttle_is_403_and_not_a_dead_session(org: Org) -> None:
    client = org.client()
    org.fault(kind="throttle")
    with pytest.raises(SalesforceRefusedRequest) as refused:
        client.query("SELECT Id FROM User")
    assert first_error(refused)["errorCode"] == "REQUEST_LIMIT_EXCEEDED"


def test_spent_daily_limit_is_told_in_every_answer() -> None:
    with in_a_thread(Options(daily_calls=1)) as url:
        client = Org(url).client()
        client.query("SELECT Id FROM User")
        assert client.api_usage["api-usage"].used == 1
        with pytest.raises(SalesforceRefusedRequest):
            client.query("SELECT Id FROM User")


def test_locked_row_refuses_one_record_of_many(org: Org) -> None:
    org.post("/_sim/locks", {"sobject": "Account", "count": 1})
    made = collection(org.client(), "POST", [account("a"), account("b")])
    assert made[0]["errors"][0]["statusCode"] == "UNABLE_TO_LOCK_ROW"
    assert made[1]["success"] is True


# Metadata


def test_describe_tells_keys_parents_and_children(reading: Org) -> None:
    described = reading.client().Order.describe()
    fields = {field["name"]: field for field in described["fields"]}
    assert fields["Ordermesh_Order_Id__c"]["externalId"] is True
    assert fields["AccountId"]["referenceTo"] == ["Account"]
    assert {"OrderItems"} <= {child["relationshipName"] for child in described["childRelationships"]}


def test_limits_and_describe_global_answer(reading: Org) -> None:
    client = reading.client()
    assert client.limits()["DailyApiRequests"]["Max"] > 0
    described = client.describe()
    assert described is not None
    assert {"Account", "Order", "ERP_Invoice__c"} <= {each["name"] for each in described["sobjects"]}


def test_changed_and_deleted_ids_are_listed(org: Org) -> None:
    client = org.client()
    kept, gone = (client.Account.create({"Name": name})["id"] for name in ("kept", "gone"))
    client.Account.delete(gone)
    start, end = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1)
    assert client.Account.updated(start, end)["ids"] == [kept]
    assert [each["id"] for each in client.Account.deleted(start, end)["deletedRecords"]] == [gone]


@needs_wire_sheet
def test_published_ids_carry_our_checksum() -> None:
    pairs = json.loads((WIRE / "vectors" / "id-checksum.json").read_text())["pairs"]
    assert [ids.to_id18(pair["id15"]) for pair in pairs] == [pair["id18"] for pair in pairs]
    assert [record_ids.to_id18(pair["id15"]) for pair in pairs] == [pair["id18"] for pair in pairs]


BEYOND_THE_SHEET = {"Account": ("Rating",)}
"""Standard fields of the object reference that the sheet, a subset, leaves out."""


@needs_wire_sheet
def test_standard_fields_are_salesforces_own() -> None:
    known = json.loads((WIRE / "q2c-objects.json").read_text())
    for name, described in known["objects"].items():
        sobject = objects().get(name)
        ours = {field.name for field in sobject.fields.values() if not field.custom} if sobject else set()
        theirs = {
            *described["fields"],
            *known["systemFields"],
            "CurrencyIsoCode",
            *BEYOND_THE_SHEET.get(name, ()),
        }
        assert ours <= theirs, f"{name}: {sorted(ours - theirs)}"


# Seeding and surviving


def test_seeding_twice_changes_nothing(org: Org) -> None:
    first, modified = org.seeded(orders=2), [order["modifiedAt"] for order in org.ledger("Order")]
    assert org.seeded(orders=2) == first
    assert [order["modifiedAt"] for order in org.ledger("Order")] == modified


def test_callout_carries_the_order_as_apex_would_send_it(org: Org) -> None:
    order = org.seeded(orders=1)["orders"][0]["Id"]
    body = org.get(f"/_sim/callout/order/{order}")
    assert body["Id"] == order
    assert cast(dict[str, object], body["Account"])["ERP_Key__c"] == "C-1"
    lines = cast(dict[str, list[dict[str, object]]], body["OrderItems"])["records"]
    assert (lines[0]["Quantity"], lines[0]["UnitPrice"]) == (2.0, 12.34)


def test_records_survive_a_kill(tmp_path: Path) -> None:
    state = tmp_path / "org.db"
    with process(state) as url:
        seeded = Org(url).seeded(orders=1)
    with process(state) as url:
        org = Org(url)
        assert org.seeded(orders=1) == seeded
        assert org.client().Order.update(seeded["orders"][0]["Id"], {"ERP_Status__c": "POSTED"}) == 204
