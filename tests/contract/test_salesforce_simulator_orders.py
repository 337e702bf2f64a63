"""The rules of the simulated org: the life of an order, prices, and many records in one call."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
from simple_salesforce.exceptions import SalesforceMalformedRequest

from connectors.salesforce.simulator.app import Options
from tests.contract.salesforce_org import Org, account, collection, in_a_thread, refusal


@pytest.fixture
def org() -> Iterator[Org]:
    with in_a_thread(Options()) as url:
        yield Org(url)


# The life of an order


def test_order_is_born_a_draft_and_activated_alone(org: Org) -> None:
    seeded = org.seeded(orders=1)
    client, order = org.client(), seeded["orders"][0]["Id"]
    head = {"AccountId": seeded["accounts"][0]["Id"], "EffectiveDate": "2026-03-04"}
    assert refusal(lambda: client.Order.create({**head, "Status": "Activated"})) == "FAILED_ACTIVATION"
    empty = client.Order.create({**head, "Status": "Draft"})["id"]
    assert refusal(lambda: client.Order.update(empty, {"Status": "Activated"})) == "FAILED_ACTIVATION"
    both = {"Status": "Activated", "PoNumber": "x"}
    assert refusal(lambda: client.Order.update(order, both)) == "FAILED_ACTIVATION"
    assert client.Order.update(order, {"Status": "Activated"}) == 204


def test_activated_order_is_open_only_for_custom_fields(org: Org) -> None:
    seeded = org.seeded(orders=1)
    client, order = org.client(), seeded["orders"][0]["Id"]
    line = client.query("SELECT Id, PricebookEntryId FROM OrderItem")["records"][0]
    other = client.Account.create({"Name": "Other"})["id"]
    client.Order.update(order, {"Status": "Activated"})
    added = {"OrderId": order, "PricebookEntryId": line["PricebookEntryId"], "Quantity": 1, "UnitPrice": 1}
    assert refusal(lambda: client.OrderItem.create(added)) == "ENTITY_IS_LOCKED"
    assert refusal(lambda: client.OrderItem.delete(line["Id"])) == "ENTITY_IS_LOCKED"
    assert refusal(lambda: client.Order.delete(order)) == "ENTITY_IS_LOCKED"
    assert refusal(lambda: client.Order.update(order, {"AccountId": other})) == "FIELD_INTEGRITY_EXCEPTION"
    assert refusal(lambda: client.Order.update(order, {"PoNumber": "x"})) == "INSUFFICIENT_ACCESS_OR_READONLY"
    assert client.Order.update(order, {"ERP_Status__c": "POSTED", "Ordermesh_Order_Id__c": "ord_1"}) == 204


def test_ledger_keeps_every_erp_status_in_order(org: Org) -> None:
    order = org.seeded(orders=1)["orders"][0]["Id"]
    client = org.client()
    for status in ("RECEIVED", "POSTED", "POSTED", "SHIPPED"):
        client.Order.update(order, {"ERP_Status__c": status})
    assert org.ledger("Order")[0]["history"] == ["RECEIVED", "POSTED", "SHIPPED"]


def test_late_status_with_an_older_date_changes_nothing(org: Org) -> None:
    order = org.seeded(orders=1)["orders"][0]["Id"]
    client = org.client()
    client.Order.update(order, {"ERP_Status__c": "SHIPPED", "ERP_Status_Date__c": "2026-03-04T10:00:00.002Z"})
    late = {"ERP_Status__c": "POSTED", "ERP_Status_Date__c": "2026-03-04T10:00:00.001Z"}
    assert refusal(lambda: client.Order.update(order, late)) == "FIELD_CUSTOM_VALIDATION_EXCEPTION"
    assert org.ledger("Order")[0]["history"] == ["SHIPPED"]


def test_price_needs_a_standard_price_first(org: Org) -> None:
    client = org.client()
    book = client.Pricebook2.create({"Name": "Retail", "IsActive": True})["id"]
    product = client.Product2.create({"Name": "Rope", "ProductCode": "ROPE"})["id"]
    price = {"Pricebook2Id": book, "Product2Id": product, "UnitPrice": 3}
    assert refusal(lambda: client.PricebookEntry.create(price)) == "STANDARD_PRICE_NOT_DEFINED"
    standard = client.query("SELECT Id FROM Pricebook2 WHERE IsStandard = true")["records"][0]["Id"]
    client.PricebookEntry.create({**price, "Pricebook2Id": standard})
    assert client.PricebookEntry.create(price)["success"] is True
    assert refusal(lambda: client.PricebookEntry.create(price)) == "DUPLICATE_VALUE"


def test_line_takes_its_price_from_the_orders_book(org: Org) -> None:
    seeded = org.seeded(orders=1)
    client = org.client()
    entry = client.query("SELECT Id FROM PricebookEntry")["records"][0]["Id"]
    head = {"AccountId": seeded["accounts"][0]["Id"], "EffectiveDate": "2026-03-04", "Status": "Draft"}
    bookless = client.Order.create(head)["id"]
    line = {"OrderId": bookless, "PricebookEntryId": entry, "Quantity": 1, "UnitPrice": 1}
    assert refusal(lambda: client.OrderItem.create(line)) == "FIELD_INTEGRITY_EXCEPTION"


# Many in one


def test_composite_refers_to_earlier_results(org: Org) -> None:
    client = org.client()
    answer = _composite(
        client,
        [
            _sub("PATCH", "sobjects/Account/ERP_Key__c/C-1", "account", {"Name": "Acme"}),
            _sub("POST", "sobjects/Contact", "contact", {"LastName": "Doe", "AccountId": "@{account.id}"}),
        ],
    )
    assert [each["httpStatusCode"] for each in answer] == [201, 201]
    assert client.query("SELECT Account.Name FROM Contact")["records"][0]["Account"]["Name"] == "Acme"


def test_composite_all_or_none_undoes_the_innocent(org: Org) -> None:
    wanted = [
        _sub("POST", "sobjects/Account", "good", {"Name": "Acme"}),
        _sub("POST", "sobjects/Account", "bad", {}),
    ]
    answer = _composite(org.client(), wanted, all_or_none=True)
    assert [each["body"][0]["errorCode"] for each in answer] == [
        "PROCESSING_HALTED",
        "REQUIRED_FIELD_MISSING",
    ]
    assert org.ledger("Account") == []


def test_batch_goes_on_unless_told_to_halt(org: Org) -> None:
    client = org.client()
    calls = [
        {"method": "GET", "url": "v59.0/sobjects/Nonsense"},
        {"method": "GET", "url": "v59.0/limits"},
    ]
    free = client.restful("composite/batch", method="POST", json={"batchRequests": calls})
    assert [each["statusCode"] for each in free["results"]] == [404, 200]
    halted = client.restful(
        "composite/batch", method="POST", json={"batchRequests": calls, "haltOnError": True}
    )
    assert halted["results"][1]["result"][0]["errorCode"] == "BATCH_PROCESSING_HALTED"


def test_collection_tells_each_record_its_own_fate(org: Org) -> None:
    client = org.client()
    made = collection(client, "POST", [account("a"), {"attributes": {"type": "Account"}}])
    assert [each["success"] for each in made] == [True, False]
    undone = collection(client, "POST", [account("b"), {"attributes": {"type": "Account"}}], all_or_none=True)
    assert undone[0]["errors"][0]["statusCode"] == "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    assert [account["Name"] for account in org.ledger("Account")] == ["a"]


def test_collection_upsert_refuses_a_key_named_twice(org: Org) -> None:
    client = org.client()
    records = [{**account(name), "ERP_Key__c": key} for name, key in (("a", "1"), ("b", "2"), ("c", "2"))]
    made = collection(client, "PATCH", records, path="/Account/ERP_Key__c")
    assert made[0]["created"] is True
    assert made[1]["errors"][0]["statusCode"] == "DUPLICATE_EXTERNAL_ID"


def test_tree_plants_all_or_nothing(org: Org) -> None:
    client = org.client()
    contact: dict[str, object] = {"attributes": {"type": "Contact", "referenceId": "c"}}
    account = {
        "attributes": {"type": "Account", "referenceId": "a"},
        "Name": "Acme",
        "Contacts": {"records": [contact]},
    }
    with pytest.raises(SalesforceMalformedRequest) as refused:
        client.restful("composite/tree/Account", method="POST", json={"records": [account]})
    assert cast(Any, refused.value.content)["results"][0]["referenceId"] == "c"
    assert org.ledger("Account") == []
    contact["LastName"] = "Doe"
    planted = client.restful("composite/tree/Account", method="POST", json={"records": [account]})
    assert planted["hasErrors"] is False


def _sub(method: str, path: str, reference: str, body: dict[str, object]) -> dict[str, object]:
    return {"method": method, "url": f"/services/data/v59.0/{path}", "referenceId": reference, "body": body}


def _composite(
    client: Any, wanted: list[dict[str, object]], *, all_or_none: bool = False
) -> list[dict[str, Any]]:
    body = {"allOrNone": all_or_none, "compositeRequest": wanted}
    answer = client.restful("composite", method="POST", json=body)
    return cast(list[dict[str, Any]], answer["compositeResponse"])
