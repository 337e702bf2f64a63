"""The Salesforce connector against the simulated org: every write once in effect, whatever happens on the wire."""

import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from ordermesh.connector.v1 import change_pb2
from ordermesh.order.v1 import order_pb2

from connectors.kit.simulator import serving
from connectors.salesforce.simulator.app import Options, build
from libs.common.errors import NotDone, OutcomeUnknown, Refused
from tests.contract.salesforce_mesh import Mesh, a_change, an_order, connected, meshed

COMPOSITE = "/composite$"


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[Mesh]:
    async with meshed(tmp_path) as found:
        yield found


# Writing an order


async def test_order_applied_twice_is_one_record(mesh: Mesh) -> None:
    change = await a_change(mesh)
    first = await mesh.connector.apply_change(change, "")
    second = await mesh.connector.apply_change(change, "")
    assert (first.existed, second.existed) == (False, True)
    assert first.external_id == second.external_id
    assert [each["id"] for each in await mesh.ledger()] == [first.external_id]


async def test_order_handed_in_by_salesforce_is_stamped_and_followed(mesh: Mesh) -> None:
    record_id, order = await mesh.handed_in()
    change = change_pb2.Change(
        kind=change_pb2.KIND_ORDER, intent=change_pb2.INTENT_UPSERT, key="ord_1", order=order
    )
    for second, state in enumerate(("POSTED", "ACCEPTED", "SHIPPED"), start=1):
        change.order.state = order_pb2.OrderState.Value(f"ORDER_STATE_{state}")
        change.order.update_time.FromJsonString(f"2026-03-04T10:00:0{second}Z")
        await mesh.connector.apply_change(change, "")
    (shown,) = await mesh.ledger()
    assert shown["id"] == record_id
    assert (shown["Ordermesh_Order_Id__c"], shown["history"]) == ("ord_1", ["POSTED", "ACCEPTED", "SHIPPED"])


async def test_lost_answer_leaves_one_order_that_is_found_again(mesh: Mesh) -> None:
    change = await a_change(mesh)
    await mesh.fault(kind="lose_reply", path=COMPOSITE, after=1)
    with pytest.raises(OutcomeUnknown):
        await mesh.connector.apply_change(change, "")
    found = await mesh.connector.find_by_key(change_pb2.KIND_ORDER, "ord_1")
    assert found is not None
    again = await mesh.connector.apply_change(change, "")
    assert (again.external_id, again.existed) == (found.external_id, True)
    assert len(await mesh.ledger()) == 1


async def test_status_that_comes_late_changes_nothing_and_is_no_failure(mesh: Mesh) -> None:
    change = await a_change(mesh, an_order(order_pb2.ORDER_STATE_SHIPPED, second=9))
    await mesh.connector.apply_change(change, "")
    late = await a_change(mesh, an_order(order_pb2.ORDER_STATE_POSTED, second=1))
    receipt = await mesh.connector.apply_change(late, "")
    assert "newer" in receipt.verdict
    assert (await mesh.ledger())[0]["history"] == ["SHIPPED"]


async def test_locked_row_keeps_nothing_and_may_be_repeated(mesh: Mesh) -> None:
    change = await a_change(mesh)
    shipment = change.order.shipments.add(number="IF1")
    shipment.ref.system, shipment.ref.external_id = "netsuite", "77"
    await mesh.org.post("/_sim/locks", json={"sobject": "ERP_Shipment__c", "count": 1})
    with pytest.raises(NotDone) as locked:
        await mesh.connector.apply_change(change, "")
    assert locked.value.reason == "RECORD_LOCKED"
    assert await mesh.ledger() == [], "the order went back with its shipment"
    await mesh.connector.apply_change(change, "")
    assert len(await mesh.ledger("ERP_Shipment__c")) == 1


async def test_order_deleted_in_salesforce_is_refused_and_not_made_again(mesh: Mesh) -> None:
    change = await a_change(mesh)
    change.external_id = (await mesh.connector.apply_change(change, "")).external_id
    token = await mesh.org.post(
        "/services/oauth2/token",
        data={"grant_type": "client_credentials", "client_id": "x", "client_secret": "y"},
    )
    headers = {"Authorization": f"Bearer {token.json()['access_token']}"}
    await mesh.org.delete(f"/services/data/v62.0/sobjects/Order/{change.external_id}", headers=headers)
    with pytest.raises(Refused) as refused:
        await mesh.connector.apply_change(change, "")
    assert refused.value.reason == "CRM_REFUSED"


async def test_order_waits_for_its_buyer_to_arrive(mesh: Mesh) -> None:
    change = await a_change(mesh)
    change.reference_ids.clear()
    with pytest.raises(NotDone) as early:
        await mesh.connector.apply_change(change, "")
    assert early.value.reason == "REFERENCE_UNKNOWN"
    assert await mesh.ledger() == []
    linked = await a_change(mesh)
    assert not (await mesh.connector.apply_change(linked, "")).existed


async def test_link_to_a_record_that_is_gone_is_refused_at_its_field(mesh: Mesh) -> None:
    change = await a_change(mesh)
    change.reference_ids["cus_1"] = "001Sm000000ZZZZ"
    with pytest.raises(Refused) as refused:
        await mesh.connector.apply_change(change, "")
    assert refused.value.reason == "REFERENCE_UNKNOWN"
    assert [violation.field for violation in refused.value.violations] == ["order.sold_to"]


async def test_mapping_that_ran_is_named_and_an_unknown_one_refused(mesh: Mesh) -> None:
    change = await a_change(mesh)
    receipt = await mesh.connector.apply_change(change, "")
    assert receipt.mapping == "salesforce.order_progress@1"
    assert (await mesh.connector.apply_change(change, receipt.mapping)).existed
    with pytest.raises(Refused):
        await mesh.connector.apply_change(change, "salesforce.order_progress@99")


# The wire


async def test_expired_session_is_renewed_once_and_the_call_repeated(mesh: Mesh) -> None:
    await mesh.connector.find_by_key(change_pb2.KIND_ORDER, "ord_1")
    await mesh.fault(kind="expired_token", path="/query")
    assert await mesh.connector.find_by_key(change_pb2.KIND_ORDER, "ord_1") is None


async def test_session_that_stays_dead_is_not_renewed_for_ever(mesh: Mesh) -> None:
    await mesh.fault(kind="expired_token", path="/query", count=0)
    with pytest.raises(NotDone) as dead:
        await mesh.connector.find_by_key(change_pb2.KIND_ORDER, "ord_1")
    assert dead.value.reason == "SYSTEM_CREDENTIALS"
    (armed,) = (await mesh.org.get("/_sim/faults")).json()["faults"]
    assert armed["hits"] == 2


async def test_limit_is_throttling_with_the_asked_for_wait(mesh: Mesh) -> None:
    change = await a_change(mesh)
    await mesh.fault(kind="throttle", retryAfter="7")
    with pytest.raises(NotDone) as limited:
        await mesh.connector.apply_change(change, "")
    assert (limited.value.reason, limited.value.retry_after) == ("SYSTEM_THROTTLED", timedelta(seconds=7))


async def test_unavailable_org_leaves_a_write_in_doubt_and_a_read_undone(mesh: Mesh) -> None:
    change = await a_change(mesh)
    await mesh.fault(kind="unavailable", path=COMPOSITE)
    with pytest.raises(OutcomeUnknown):
        await mesh.connector.apply_change(change, "")
    await mesh.fault(kind="unavailable", path="/query")
    with pytest.raises(NotDone):
        await mesh.connector.find_by_key(change_pb2.KIND_ORDER, "ord_1")


async def test_refused_connection_is_surely_not_done(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with connected(f"http://127.0.0.1:{port}", tmp_path) as connector:
        with pytest.raises(NotDone) as away:
            await connector.find_by_key(change_pb2.KIND_ORDER, "ord_1")
    assert away.value.reason == "SYSTEM_UNAVAILABLE"


async def test_wrong_secret_is_told_as_such_and_never_looped(tmp_path: Path) -> None:
    async with (
        serving(build(Options(client_secret="another"))) as url,
        connected(url, tmp_path) as connector,
    ):
        with pytest.raises(NotDone) as refused:
            await connector.find_by_key(change_pb2.KIND_ORDER, "ord_1")
    assert refused.value.reason == "SYSTEM_CREDENTIALS"
