"""Two customers that are one: what becomes of their links, values and orders, and the way back."""

import grpc.aio
import pytest
from ordermesh.customer.v1 import customer_pb2, customer_service_pb2_grpc
from ordermesh.customer.v1 import customer_service_pb2 as pb
from ordermesh.order.v1 import order_service_pb2 as orders_pb
from ordermesh.order.v1 import order_service_pb2_grpc

from libs.common.durable.tx import verify_audit
from libs.common.errors import Refused
from tests.builders import CRM, ERP, a_submission, crm_customer, erp_customer, erp_product
from tests.integration.services.world import World


def somebody(world: World, role: str = "steward") -> grpc.aio.Metadata:
    """A person, who is no outside system."""
    token = world.machine.token("acme", [role], system="console")
    return grpc.aio.Metadata(("authorization", f"Bearer {token}"))


async def calls(world: World) -> "customer_service_pb2_grpc.CustomerServiceAsyncStub":
    return customer_service_pb2_grpc.CustomerServiceStub(await world.channel("customer"))


async def by_number(world: World) -> dict[str, customer_pb2.Customer]:
    answer = await (await calls(world)).ListCustomers(pb.ListCustomersRequest())
    return {customer.number: customer for customer in answer.customers}


async def two_customers(world: World) -> tuple[str, str]:
    """C-1 with an account 001 that salespeople look after, C-2 known to the ERP alone; their ids."""
    world.says(
        erp_customer("111", number="C-1", name="Acme"), crm_customer("001", number="C-1", segment="Retail")
    )
    world.says(erp_customer("112", number="C-2", name="Acme Inc."))
    await world.take_in("customer")
    found = await by_number(world)
    return found["C-1"].customer_id, found["C-2"].customer_id


async def merge(world: World, gone: str, survivor: str, role: str = "steward") -> pb.MergeCustomerResponse:
    request = pb.MergeCustomerRequest(
        customer_id=gone, survivor_id=survivor, idempotency_key=f"m{gone}{survivor}"
    )
    answer: pb.MergeCustomerResponse = await (await calls(world)).MergeCustomer(
        request, metadata=somebody(world, role)
    )
    return answer


async def unmerge(world: World, customer_id: str) -> pb.UnmergeCustomerResponse:
    request = pb.UnmergeCustomerRequest(customer_id=customer_id, idempotency_key=f"u{customer_id}")
    answer: pb.UnmergeCustomerResponse = await (await calls(world)).UnmergeCustomer(
        request, metadata=somebody(world)
    )
    return answer


def links(customer: customer_pb2.Customer) -> list[tuple[str, str]]:
    return [(each.ref.system, each.ref.external_id) for each in customer.links]


async def test_the_survivor_has_the_links_of_both_and_the_merged_one_says_where_it_went(world: World) -> None:
    gone, survivor = await two_customers(world)
    answer = await merge(world, gone, survivor)

    assert (answer.survivor.segment, answer.survivor.account_owner) == ("Retail", "Ada")
    taken = await world.rows(
        "customer",
        "SELECT source_system, actor FROM audit WHERE field = 'segment' AND subject = $1",
        f"customers/{survivor}",
    )
    assert [row["source_system"] for row in taken] == [CRM]
    assert answer.customer.merged_into == survivor
    assert links(answer.customer) == []
    assert links(answer.survivor) == [(ERP, "112"), (CRM, "001"), (ERP, "111")]
    found = await by_number(world)
    assert (found["C-1"].merged_into, found["C-2"].merged_into) == (survivor, "")


async def test_each_field_is_its_owner_s_word_after_a_merge(world: World) -> None:
    """The survivor's ERP record states the ERP's fields; the account that came with the other one the CRM's."""
    gone, survivor = await two_customers(world)
    await merge(world, gone, survivor)
    world.says(erp_customer("111", number="C-1", name="Changed there", minute=3))
    world.says(crm_customer("001", number="C-1", owner="Bob", segment="Retail", minute=3))
    await world.take_in("customer")

    customer = (await by_number(world))["C-2"]
    assert (customer.name, customer.segment, customer.account_owner) == ("Acme Inc.", "Retail", "Bob")
    assert (await by_number(world))["C-1"].name == "Acme"
    await world.settle()
    assert await world.rows("customer", "SELECT reason FROM delivery WHERE state = 'PARKED'") == []


async def test_only_the_system_for_which_something_changed_is_told_of_a_merge(world: World) -> None:
    gone, survivor = await two_customers(world)
    await world.settle()
    kept = (await by_number(world))["C-2"]
    world.crm.told.clear()
    world.erp.told.clear()
    await merge(world, gone, survivor)
    await world.settle()
    assert CRM in dict(links(kept)), "the survivor has an account of its own"
    assert world.crm.told == []
    assert world.erp.told == []


async def test_an_account_that_comes_with_the_merged_customer_is_told_the_survivor(world: World) -> None:
    gone, survivor = await two_customers(world)
    await merge(world, gone, survivor)
    await world.settle()
    last = [change for change in world.crm.told if change.external_id == "001"][-1]
    assert (last.key, last.customer.name) == ("C-2", "Acme Inc.")


async def test_orders_of_the_merged_customer_go_on_and_its_account_orders_for_the_survivor(
    world: World,
) -> None:
    gone, survivor = await two_customers(world)
    world.says(erp_product("7"))
    await world.run()
    stub = order_service_pb2_grpc.OrderServiceStub(await world.channel("order"))
    before = (await stub.SubmitOrder(a_submission(customer_id=gone, key="k1"))).order_id
    await merge(world, gone, survivor)
    after = (await stub.SubmitOrder(a_submission(customer_id=gone, key="k2"))).order_id
    await world.run()

    for order_id in (before, after):
        order = (await stub.GetOrder(orders_pb.GetOrderRequest(order_id=order_id))).order
        assert (order.customer_id, order.reason) == (gone, "")
        assert order.erp_number
    rows = await world.rows("order", "SELECT name, record->>'customer_id' AS id FROM reference")
    known = {str(row["name"]): row["id"] for row in rows}
    assert known[f"customer/{CRM}/001"] == known[f"customer/{ERP}/111"] == survivor


async def test_an_unmerge_gives_back_links_and_values_as_they_were(world: World) -> None:
    gone, survivor = await two_customers(world)
    before = await by_number(world)
    await merge(world, gone, survivor)
    await unmerge(world, gone)
    world.says(erp_customer("111", number="C-1", name="Acme again", minute=5))
    await world.run()

    found = await by_number(world)
    assert set(links(before["C-1"])) == set(links(found["C-1"]))
    assert found["C-1"].merged_into == ""
    assert (found["C-1"].name, found["C-2"].name) == ("Acme again", "Acme Inc.")
    assert (found["C-1"].segment, found["C-2"].segment) == ("Retail", "")
    rows = await world.rows("order", "SELECT name, record->>'customer_id' AS id FROM reference")
    assert {row["id"] for row in rows if row["name"] == f"customer/{CRM}/001"} == {gone}
    for row in await world.rows("customer", "SELECT record_id, audit_hash FROM customers"):
        subject = f"customers/{row['record_id']}"
        chain = await world.rows(
            "customer", "SELECT * FROM audit WHERE subject = $1 ORDER BY position", subject
        )
        assert verify_audit(chain, row["audit_hash"]) is None


async def test_a_merge_that_makes_no_sense_is_refused(world: World) -> None:
    gone, survivor = await two_customers(world)
    with pytest.raises(Refused, match="PERMISSION_DENIED"):
        await merge(world, gone, survivor, role="integration")
    with pytest.raises(Refused, match="STATE_FORBIDS"):
        await merge(world, gone, gone)
    with pytest.raises(Refused, match="NOT_FOUND"):
        await merge(world, gone, "cus_nobody")
    with pytest.raises(Refused, match="STATE_FORBIDS"):
        await unmerge(world, survivor)
    await merge(world, gone, survivor)
    with pytest.raises(Refused, match="STATE_FORBIDS"):
        await merge(world, survivor, gone)
    changed = customer_pb2.Customer(customer_id=gone, segment="New")
    with pytest.raises(Refused, match="STATE_FORBIDS"):
        await (await calls(world)).UpdateCustomer(
            pb.UpdateCustomerRequest(customer=changed, idempotency_key="u"),
            metadata=somebody(world),
        )
