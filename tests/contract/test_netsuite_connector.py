"""Writing through the NetSuite connector: one key, one document, and failures sorted by what is known."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from ordermesh.common.v1 import address_pb2
from ordermesh.connector.v1 import change_pb2
from ordermesh.customer.v1 import customer_pb2

from libs.common.errors import NotDone, OrdermeshError, OutcomeUnknown, Refused
from tests.contract.netsuite_connection import (
    CUSTOMER,
    ORDER,
    Account,
    an_order,
    connected,
)


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    async with connected() as found:
        yield found


# Writing


async def test_an_order_is_posted_with_every_figure(account: Account) -> None:
    receipt = await account.post("ord_1")
    assert (receipt.number, receipt.mapping) == ("SO1001", "netsuite.sales_order@1")
    assert receipt.exchange.operation == "PUT /services/rest/record/v1/salesOrder/eid:ord_1"
    [order] = await account.orders()
    assert (order["id"], order["externalId"], order["total"], order["reference"]) == (
        receipt.external_id,
        "ord_1",
        "87.50",
        "PO-ord_1",
    )


async def test_one_key_is_one_document_with_its_lines_once(account: Account) -> None:
    receipts = [await account.post("ord_1") for _ in range(3)]
    assert len({receipt.external_id for receipt in receipts}) == 1
    assert [order["total"] for order in await account.orders()] == ["87.50"]


async def test_racing_posts_of_one_key_make_one_document(account: Account) -> None:
    await asyncio.gather(*(account.post("ord_1") for _ in range(5)))
    assert len(await account.orders()) == 1


async def test_lost_answers_are_in_doubt_and_found_by_key(account: Account) -> None:
    await account.fault(kind="lose_reply", method="PUT", count=0)
    with pytest.raises(OutcomeUnknown):
        await account.post("ord_1")
    await account.clear_faults()
    found = await account.connector.find_by_key(ORDER, "ord_1")
    assert found is not None
    assert found.number == "SO1001"
    assert (await account.post("ord_1")).external_id == found.external_id
    assert len(await account.orders()) == 1


async def test_a_key_that_was_never_used_is_surely_not_there(account: Account) -> None:
    assert await account.connector.find_by_key(ORDER, "ord_never") is None


@pytest.mark.parametrize(
    ("fault", "outcome", "reason"),
    [
        ({"kind": "throttle", "retryAfter": "7"}, NotDone, "SYSTEM_THROTTLED"),
        ({"kind": "unavailable"}, OutcomeUnknown, "OUTCOME_UNKNOWN"),
        ({"kind": "unavailable_after"}, OutcomeUnknown, "OUTCOME_UNKNOWN"),
        ({"kind": "reset", "count": 0}, OutcomeUnknown, "OUTCOME_UNKNOWN"),
        ({"kind": "expired_token", "count": 0}, NotDone, "SYSTEM_CREDENTIALS"),
    ],
)
async def test_a_failed_write_tells_what_is_known(
    account: Account, fault: dict[str, object], outcome: type[OrdermeshError], reason: str
) -> None:
    await account.fault(method="PUT", **fault)
    with pytest.raises(outcome) as raised:
        await account.post("ord_1")
    assert raised.value.reason == reason
    if "retryAfter" in fault:
        assert raised.value.retry_after is not None
        assert raised.value.retry_after.total_seconds() == 7


@pytest.mark.parametrize("kind", ["unavailable", "reset", "lose_reply", "throttle"])
async def test_a_failed_read_is_not_done(account: Account, kind: str) -> None:
    await account.fault(kind=kind, count=0, path="suiteql|salesOrder")
    with pytest.raises(NotDone):
        await account.connector.find_by_key(ORDER, "ord_1")
    with pytest.raises(NotDone):
        await account.read(ORDER)


async def test_an_expired_token_is_renewed_once_for_all_calls_that_wait(account: Account) -> None:
    await account.post("ord_0")
    await account.fault(kind="expired_token")
    await asyncio.gather(*(account.post(f"ord_{number}") for number in range(1, 5)))
    assert len(await account.orders()) == 5


async def test_refusals_name_reason_and_field(account: Account) -> None:
    cases = [
        ({"tax_code": "XX-VAT"}, "TAX_CODE_UNKNOWN", "order.lines[0].tax_code"),
        ({"sku": "NOPE"}, "PRODUCT_UNKNOWN", "order.lines[0].sku"),
        ({"customer_id": "cus_unknown"}, "CUSTOMER_UNKNOWN", "order.sold_to"),
    ]
    for changed, reason, field in cases:
        with pytest.raises(Refused) as refused:
            await account.post("ord_1", **changed)
        assert (refused.value.reason, refused.value.violations[0].field) == (reason, field)
    assert await account.orders() == []


async def test_a_refusal_of_netsuite_itself_keeps_its_words_and_names_our_field(account: Account) -> None:
    change = account.change(an_order("ord_1"))
    change.reference_ids["cus_77"] = account.ids["customers"]["CUST-GONE"]
    with pytest.raises(Refused) as refused:
        await account.connector.apply_change(change, "")
    assert (refused.value.reason, refused.value.violations[0].field) == ("CUSTOMER_UNKNOWN", "order.sold_to")
    assert refused.value.facts.verdict.startswith("400 INVALID_CONTENT")


async def test_a_mapping_that_is_not_kept_cannot_be_pinned(account: Account) -> None:
    await account.connector.apply_change(account.change(an_order("ord_1")), "netsuite.sales_order@1")
    with pytest.raises(Refused, match="MAPPING_NOT_KEPT"):
        await account.connector.apply_change(account.change(an_order("ord_1")), "netsuite.sales_order@99")


async def test_cancelling_closes_the_order_and_done_counts_as_done(account: Account) -> None:
    await account.post("ord_1")
    first, second = await account.cancel("ord_1"), await account.cancel("ord_1")
    assert first.external_id == second.external_id
    assert [order["status"] for order in await account.orders()] == ["H"]
    assert (await account.cancel("ord_never")).external_id == ""


async def test_an_order_whose_goods_have_left_is_not_cancelled(account: Account) -> None:
    await account.post("ord_1")
    await account.advance("partly_shipped", "ord_1")
    with pytest.raises(Refused, match="ORDER_SHIPPED"):
        await account.cancel("ord_1")


async def test_a_change_that_names_fields_writes_these_and_nothing_else(account: Account) -> None:
    id_ = account.ids["customers"]["CUST-GONE"]
    before, cursor = await account.read(CUSTOMER)
    customer = customer_pb2.Customer(name="Another", segment="Retail", account_owner="Ada")
    change = change_pb2.Change(
        kind=CUSTOMER, intent=change_pb2.INTENT_UPSERT, key="C-1", external_id=id_, customer=customer
    )
    change.fields.extend(["account_owner", "segment", "engagement"])
    receipt = await account.connector.apply_change(change, "")
    assert (receipt.mapping, receipt.existed) == ("netsuite.customer_fields@1", True)
    assert json.loads(receipt.exchange.request_body) == {
        "custentity_ordermesh_account_owner": "Ada",
        "custentity_ordermesh_segment": "Retail",
        "custentity_ordermesh_engagement": "",
    }
    echoes, _ = await account.read(CUSTOMER, cursor)
    known = next(change.customer for change in before if change.ref.external_id == id_)
    assert [echo.customer for echo in echoes if echo.ref.external_id == id_] in ([], [known])


@pytest.mark.parametrize(
    ("field", "external_id", "reason"),
    [("credit_limit", "", "NOT_SUPPORTED"), ("segment", "999999", "CUSTOMER_UNKNOWN")],
)
async def test_a_field_that_netsuite_does_not_take_or_a_customer_it_does_not_have_is_refused(
    account: Account, field: str, external_id: str, reason: str
) -> None:
    change = change_pb2.Change(
        kind=CUSTOMER, intent=change_pb2.INTENT_UPSERT, key="C-1", customer=customer_pb2.Customer(name="A")
    )
    change.external_id = external_id or account.ids["customers"]["CUST-GONE"]
    change.fields.append(field)
    with pytest.raises(Refused, match=reason):
        await account.connector.apply_change(change, "")


async def test_a_customer_is_made_once_and_then_only_told_what_a_sales_system_knows(account: Account) -> None:
    customer = customer_pb2.Customer(
        name="New Ltd",
        email="new@example.com",
        currency_code="EUR",
        bill_to=address_pb2.Address(lines=["1 Main St"], locality="Oslo", country_code="NO"),
    )
    change = change_pb2.Change(
        kind=CUSTOMER, intent=change_pb2.INTENT_UPSERT, key="cus_new", customer=customer
    )
    made = await account.connector.apply_change(change, "")
    change.customer.name = "Newer Ltd"
    change.external_id = made.external_id
    again = await account.connector.apply_change(change, "")
    assert (made.existed, again.existed, again.external_id) == (False, True, made.external_id)
    changes, _ = await account.read(CUSTOMER)
    told = next(item for item in changes if item.key == "cus_new").customer
    assert (told.name, told.bill_to.locality) == ("Newer Ltd", "Oslo")
