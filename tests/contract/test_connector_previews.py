"""A preview tells what a write would change, by reading only, and the write then changes just that."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from google.type.money_pb2 import Money
from ordermesh.connector.v1 import change_pb2, connector_service_pb2
from ordermesh.order.v1 import order_pb2

from libs.common.errors import Refused
from tests.contract.netsuite_connection import Account, an_order
from tests.contract.netsuite_connection import connected as netsuite_connected
from tests.contract.salesforce_mesh import Mesh, meshed

Told = Mapping[str, tuple[str | None, str | None]]
PROGRESS = "salesforce.order_progress@1"


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    async with netsuite_connected() as found:
        yield found


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[Mesh]:
    async with meshed(tmp_path) as mesh:
        yield mesh


def told(answer: connector_service_pb2.PreviewChangeResponse) -> Told:
    """Path to old and new value."""
    return {
        each.path: (
            each.old_value if each.HasField("old_value") else None,
            each.new_value if each.HasField("new_value") else None,
        )
        for each in answer.differences
    }


async def test_a_new_order_differs_in_everything_and_is_not_made(account: Account) -> None:
    answer = await account.connector.preview_change(account.change(an_order("ord_1")), "")

    assert (answer.mapping, answer.exists) == ("netsuite.sales_order@1", False)
    assert told(answer)["item.items[0].quantity"] == (None, "4")
    assert told(answer)["otherRefNum"] == (None, "PO-ord_1")
    assert await account.orders() == []


async def test_an_order_that_netsuite_holds_as_it_is_differs_in_nothing(account: Account) -> None:
    await account.post("ord_1")

    answer = await account.connector.preview_change(account.change(an_order("ord_1")), "")

    assert answer.exists
    assert told(answer) == {}


async def test_only_what_differs_is_told_with_our_word_for_it(account: Account) -> None:
    await account.post("ord_1")
    order = an_order("ord_1")
    order.memo = "Leave at the gate"
    order.ship_to.addressee = "Dock 9"
    del order.lines[1]

    answer = await account.connector.preview_change(account.change(order), "")

    assert told(answer)["memo"] == ("Ring twice", "Leave at the gate")
    assert told(answer)["item.items[1].quantity"] == ("2", None)
    fields = {each.path: (each.field, each.sensitive) for each in answer.differences}
    assert fields["memo"] == ("order.memo", False)
    assert fields["shippingAddress.addressee"] == ("order.ship_to", True)
    assert {each.target for each in answer.differences} == {"netsuite salesOrder eid:ord_1"}
    [held] = await account.orders()
    assert held["total"] == "87.50"


async def test_a_preview_is_refused_as_the_write_would_be(account: Account) -> None:
    change = account.change(an_order("ord_1", tax_code="NO-SUCH"))
    with pytest.raises(Refused, match="TAX_CODE_UNKNOWN"):
        await account.connector.preview_change(change, "")
    with pytest.raises(Refused, match="MAPPING_NOT_KEPT"):
        await account.connector.preview_change(account.change(an_order("ord_1")), "netsuite.sales_order@99")


async def test_each_mapping_that_is_described_can_be_pinned(account: Account, mesh: Mesh) -> None:
    kinds = (await account.connector.describe()).kinds
    written = {kind.kind: list(kind.mappings) for kind in kinds if kind.upsert_by_key}
    for name in written[change_pb2.KIND_ORDER]:
        answer = await account.connector.preview_change(account.change(an_order("ord_1")), name)
        assert answer.mapping == name
    described = await mesh.connector.describe()
    assert PROGRESS in [name for kind in described.kinds for name in kind.mappings]


async def test_a_customer_is_told_what_netsuite_would_be_told(account: Account) -> None:
    change = change_pb2.Change(
        kind=change_pb2.KIND_CUSTOMER,
        intent=change_pb2.INTENT_UPSERT,
        key="C-9",
        external_id=account.ids["customers"]["CUST-77"],
    )
    change.customer.name, change.customer.email = "Renamed", "new@example.com"

    answer = await account.connector.preview_change(change, "")

    assert told(answer)["companyName"][1] == "Renamed"
    assert {each.path: each.sensitive for each in answer.differences}["email"]
    assert "addressBook" not in str(told(answer))


async def test_salesforce_is_compared_and_left_alone(mesh: Mesh) -> None:
    record_id, order = await mesh.handed_in()
    order.state = order_pb2.ORDER_STATE_POSTED
    order.erp_number = "SO1001"
    change = change_pb2.Change(
        kind=change_pb2.KIND_ORDER, intent=change_pb2.INTENT_UPSERT, key="ord_1", order=order
    )
    before = await mesh.ledger()

    first = await mesh.connector.preview_change(change, PROGRESS)
    assert first.exists
    assert told(first)["ERP_Order_Number__c"] == (None, "SO1001")
    assert [each.field for each in first.differences if each.path == "ERP_Status__c"] == ["order.state"]
    assert await mesh.ledger() == before

    await mesh.connector.apply_change(change, "")
    again = await mesh.connector.preview_change(change, "")
    assert told(again) == {}
    assert record_id in {each.target.rsplit(" ", 1)[1] for each in first.differences}


async def test_a_product_s_prices_are_compared_as_well(mesh: Mesh) -> None:
    await mesh.seed(
        products=[
            {"Name": "Anvil", "ProductCode": "ANVIL", "ERP_Key__c": "ANVIL", "prices": {"USD": "12.50"}}
        ]
    )
    change = change_pb2.Change(kind=change_pb2.KIND_PRODUCT, intent=change_pb2.INTENT_UPSERT, key="ANVIL")
    change.product.sku, change.product.name = "ANVIL", "Anvil"
    for code, units in (("USD", 13), ("EUR", 11)):
        change.product.prices.add().unit_price.CopyFrom(Money(currency_code=code, units=units))

    first = told(await mesh.connector.preview_change(change, ""))

    assert first["USD"] == ("12.5", "13")
    assert first["EUR"] == (None, "11")
    await mesh.connector.apply_change(change, "")
    assert told(await mesh.connector.preview_change(change, "")) == {}


async def test_an_order_whose_buyer_salesforce_does_not_know_would_fail_again(mesh: Mesh) -> None:
    order = order_pb2.Order(order_id="ord_9", state=order_pb2.ORDER_STATE_POSTED, currency_code="USD")
    change = change_pb2.Change(
        kind=change_pb2.KIND_ORDER, intent=change_pb2.INTENT_UPSERT, key="ord_9", order=order
    )
    with pytest.raises(Refused, match="REFERENCE_UNKNOWN"):
        await mesh.connector.preview_change(change, "")
