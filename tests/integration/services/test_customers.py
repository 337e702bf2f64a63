"""Customers: one record each, whoever tells of it and however often."""

import asyncio

import pytest
from ordermesh.connector.v1 import change_pb2
from ordermesh.customer.v1 import customer_pb2, customer_service_pb2_grpc
from ordermesh.customer.v1 import customer_service_pb2 as pb

from libs.common.context import using
from libs.common.errors import OrdermeshError, OutcomeUnknown, Refused
from libs.common.testing.faults import DatabaseLink
from libs.common.testing.stores import Postgres
from tests.builders import CRM, ERP, crm_customer, erp_customer
from tests.integration.services.world import SECOND_ERP, World

TABLES = ("customers", "event", "delivery", "link", "cursor", "audit")
Stub = customer_service_pb2_grpc.CustomerServiceStub


async def calls(world: World) -> "customer_service_pb2_grpc.CustomerServiceAsyncStub":
    return Stub(await world.channel("customer"))


async def listed(world: World, wanted: str = "") -> list[customer_pb2.Customer]:
    answer = await (await calls(world)).ListCustomers(pb.ListCustomersRequest(filter=wanted))
    return list(answer.customers)


async def only(world: World) -> customer_pb2.Customer:
    (customer,) = await listed(world)
    return customer


# Taking in ------------------------------------------------------------------------------------------------


async def test_a_change_taken_in_twice_is_one_customer_and_one_event(world: World) -> None:
    world.says(erp_customer("110"), erp_customer("110"))
    await world.take_in("customer")
    world.says(erp_customer("110", minute=3))
    await world.take_in("customer")

    customer = await only(world)
    assert (customer.number, customer.links[0].ref.external_id) == ("C-100", "110")
    assert await world.events("customer") == ["CustomerRegistered"]
    assert await world.heard("customer") == [f"connector:{CRM}", "service:order"]


async def test_an_older_change_is_skipped(world: World) -> None:
    world.says(erp_customer("110", name="New", minute=9), erp_customer("110", name="Old", minute=4))
    await world.take_in("customer")
    assert (await only(world)).name == "New"
    assert await world.events("customer") == ["CustomerRegistered"]


async def test_each_system_changes_only_what_it_owns(world: World) -> None:
    world.says(erp_customer("110"), crm_customer("001", owner="Ada", segment="Retail"))
    await world.take_in("customer")
    world.says(erp_customer("110", name="Acme Ltd", minute=2))
    await world.take_in("customer")

    customer = await only(world)
    assert (customer.name, customer.account_owner, customer.segment) == ("Acme Ltd", "Ada", "Retail")
    assert {link.ref.system: link.ref.external_id for link in customer.links} == {ERP: "110", CRM: "001"}


async def test_a_crm_does_not_hear_of_what_it_said_itself(world: World) -> None:
    world.says(erp_customer("110"), crm_customer("001"))
    await world.take_in("customer")
    assert await world.events("customer") == ["CustomerRegistered", "CustomerChanged"]
    assert await world.heard("customer", 0) == [f"connector:{CRM}", "service:order"]
    assert await world.heard("customer", 1) == [f"connector:{ERP}", "service:order"]


async def test_an_account_that_the_erp_does_not_know_is_left_alone(world: World) -> None:
    world.says(crm_customer("001", number=""), crm_customer("002", number="C-999"))
    assert await world.take_in("customer") == 2
    assert await world.counts("customer", "customers", "event", "cursor") == [0, 0, 3]


async def test_two_erps_that_register_a_number_at_once_share_one_customer(world: World) -> None:
    count = 20
    world.says(*(erp_customer(str(n), number=f"C-{n}") for n in range(count)))
    world.says(*(erp_customer(str(n), number=f"C-{n}", system=SECOND_ERP) for n in reversed(range(count))))
    processes = [world.apps["customer"], world.process("customer")]
    feeds = [world.feeds("customer", ERP)[0], world.feeds("customer", SECOND_ERP)[0]]

    await asyncio.gather(
        *(process.ingest.run_once(feed) for process, feed in zip(processes, feeds, strict=True))
    )

    customers = await listed(world)
    assert len(customers) == count
    assert all({link.ref.system for link in customer.links} == {ERP, SECOND_ERP} for customer in customers)
    assert sorted(set(await world.events("customer"))) == ["CustomerLinked", "CustomerRegistered"]
    assert len(await world.events("customer")) == 2 * count


async def test_two_processes_that_read_one_feed_at_once_take_it_in_once(world: World) -> None:
    world.says(*(erp_customer(str(n), number=f"C-{n}") for n in range(5)))
    processes = [world.apps["customer"], world.process("customer")]
    (feed,) = world.feeds("customer", ERP)

    await asyncio.gather(*(process.ingest.run_once(feed) for process in processes), return_exceptions=True)

    assert await world.counts("customer", "customers", "event", "cursor") == [5, 5, 1]


async def test_a_customer_gone_from_the_erp_may_not_order_and_the_order_service_knows(world: World) -> None:
    world.says(erp_customer("110"))
    await world.run()
    world.says(erp_customer("110", minute=1, gone=True), erp_customer("111", number="C-1", gone=True))
    await world.run()

    assert (await only(world)).state == customer_pb2.CUSTOMER_STATE_INACTIVE
    known = await world.rows("order", "SELECT record->>'active' AS active FROM reference")
    assert {row["active"] for row in known} == {"false"}


async def test_a_second_account_for_one_customer_waits_for_a_person(world: World) -> None:
    world.says(erp_customer("110"), crm_customer("001"), crm_customer("002", owner="Bob"))
    await world.take_in("customer")
    await world.settle()

    assert (await only(world)).account_owner == "Ada"
    (parked,) = await world.rows("customer", "SELECT * FROM delivery WHERE state = 'PARKED'")
    assert (parked["target"], parked["reason"]) == (f"intake:{CRM}", "DUPLICATE_CANDIDATE")


async def test_an_account_gone_from_the_crm_gives_way_to_another(world: World) -> None:
    world.says(erp_customer("110"), crm_customer("001"))
    world.says(crm_customer("001", minute=1, gone=True), crm_customer("002", owner="Bob", minute=2))
    await world.take_in("customer")
    customer = await only(world)
    assert {link.ref.system: link.ref.external_id for link in customer.links} == {ERP: "110", CRM: "002"}
    assert customer.account_owner == "Bob"


async def test_a_change_without_number_or_state_is_set_aside_and_the_feed_goes_on(world: World) -> None:
    stateless = erp_customer("112", number="C-2")
    stateless.customer.state = customer_pb2.CUSTOMER_STATE_UNSPECIFIED
    world.says(erp_customer("111", number=""), stateless, erp_customer("110"))
    await world.take_in("customer")
    await world.settle()

    assert (await only(world)).number == "C-100"
    parked = await world.rows("customer", "SELECT reason FROM delivery WHERE state = 'PARKED' ORDER BY 1")
    assert [row["reason"] for row in parked] == ["MAPPING_FAILED", "MAPPING_VALUE_UNKNOWN"]


async def test_a_change_that_succeeds_later_is_still_its_system_s_word(world: World) -> None:
    world.says(erp_customer("110"), crm_customer("001"), crm_customer("002", owner="Bob"))
    await world.take_in("customer")  # 002 is set aside
    world.says(crm_customer("001", minute=1, gone=True))
    await world.take_in("customer")
    await world.settle()

    assert (await only(world)).account_owner == "Bob"
    query = "SELECT * FROM event WHERE type LIKE '%CustomerChanged' ORDER BY position DESC LIMIT 1"
    (last,) = await world.rows("customer", query)
    assert (last["source_system"], last["actor"]) == (CRM, f"system:{CRM}")
    query = "SELECT target FROM delivery WHERE event_id = $1 ORDER BY target"
    heard = await world.rows("customer", query, last["event_id"])
    assert [row["target"] for row in heard] == [f"connector:{ERP}", "service:order"]


async def test_nothing_of_a_page_is_left_when_the_database_goes_in_the_middle(
    world: World, postgres: Postgres
) -> None:
    world.says(*(erp_customer(str(n), number=f"C-{n}") for n in range(3)))
    (feed,) = world.feeds("customer", ERP)
    lost = 0
    for messages in range(5, 60, 4):
        async with DatabaseLink(postgres.folder) as link:
            database = (await world.rows("customer", "SELECT current_database() AS name"))[0]["name"]
            process = world.process("customer", database_url=link.url.replace("/postgres?", f"/{database}?"))
            link.cut_after(messages)
            try:
                await process.ingest.run_once(feed)
            except OutcomeUnknown:
                pass
            except OrdermeshError:
                lost += 1
            if not link.was_cut:
                break
        assert await world.counts("customer", *TABLES) in ([0] * 6, [3, 3, 6, 3, 1, 3])
    assert lost > 0

    await world.take_in("customer")
    assert await world.counts("customer", *TABLES) == [3, 3, 6, 3, 3, 3]


# Telling --------------------------------------------------------------------------------------------------


async def test_the_crm_is_told_under_the_number_and_its_answer_becomes_a_link(world: World) -> None:
    world.says(erp_customer("110", email="a@b.example"))
    await world.run()

    (told,) = world.crm.told_of(change_pb2.KIND_CUSTOMER)
    assert (told.key, told.external_id, told.intent) == ("C-100", "", change_pb2.INTENT_UPSERT)
    assert told.customer.email == "a@b.example"
    assert await world.events("customer") == ["CustomerRegistered", "CustomerLinked"]
    assert await world.heard("customer") == ["service:order"]

    world.says(erp_customer("110", name="Acme Ltd", minute=1))
    await world.run()
    assert world.crm.told[-1].external_id == "sa-1"
    assert world.crm.told[-1].customer.name == "Acme Ltd"


async def test_the_order_service_finds_a_customer_by_every_id_it_has(world: World) -> None:
    world.says(erp_customer("110"), crm_customer("001"))
    await world.run()
    customer = await only(world)
    names = {str(row["name"]) for row in await world.rows("order", "SELECT name FROM reference")}
    expected = {f"customer/{customer.customer_id}", f"customer/{ERP}/110", f"customer/{CRM}/001"}
    assert expected <= names


async def test_one_account_that_stands_for_two_customers_waits_for_a_person(world: World) -> None:
    world.says(erp_customer("110"), erp_customer("111"))
    await world.take_in("customer")
    await world.settle()
    assert len(await listed(world)) == 2
    parked = await world.rows("customer", "SELECT * FROM delivery WHERE state = 'PARKED'")
    assert [(row["target"], row["reason"]) for row in parked] == [(f"connector:{CRM}", "DUPLICATE_CANDIDATE")]


async def test_a_tenant_without_crm_tells_none(world: World) -> None:
    world.says(erp_customer("110"))
    await world.take_in("customer", tenant="globex")
    assert await world.heard("customer") == ["service:order"]


# Calls ----------------------------------------------------------------------------------------------------


async def test_an_update_changes_what_the_crm_owns_once(world: World) -> None:
    world.says(erp_customer("110"))
    await world.take_in("customer")
    customer = await only(world)
    stub = await calls(world)
    request = pb.UpdateCustomerRequest(
        customer=customer_pb2.Customer(customer_id=customer.customer_id, segment="Retail"),
        idempotency_key="k1",
        etag=customer.etag,
    )

    first, second = await stub.UpdateCustomer(request), await stub.UpdateCustomer(request)

    assert first == second
    assert (first.customer.segment, first.customer.name) == ("Retail", "Acme")
    assert await world.events("customer") == ["CustomerRegistered", "CustomerChanged"]
    request.idempotency_key = "k2"
    with pytest.raises(Refused) as stale:
        await stub.UpdateCustomer(request)
    assert stale.value.reason == "ETAG_MISMATCH"


async def test_an_update_by_the_crm_is_not_told_back_to_it(world: World) -> None:
    world.says(erp_customer("110"))
    await world.take_in("customer")
    customer = customer_pb2.Customer(customer_id=(await only(world)).customer_id, account_owner="Ada")
    request = pb.UpdateCustomerRequest(customer=customer, idempotency_key="k1")
    await (await calls(world)).UpdateCustomer(request, metadata=world.machine.bearer("acme", "integration"))
    assert await world.heard("customer") == [f"connector:{ERP}", "service:order"]


async def test_nobody_sees_or_changes_another_tenant_s_customer(world: World) -> None:
    world.says(erp_customer("110"))
    await world.take_in("customer")
    customer_id = (await only(world)).customer_id
    stub = await calls(world)
    customer = customer_pb2.Customer(customer_id=customer_id, segment="Theirs")
    with using(world.machine.context("globex")):
        assert not await listed(world)
        with pytest.raises(Refused, match="NOT_FOUND"):
            await stub.GetCustomer(pb.GetCustomerRequest(customer_id=customer_id))
        with pytest.raises(Refused, match="NOT_FOUND"):
            await stub.UpdateCustomer(pb.UpdateCustomerRequest(customer=customer, idempotency_key="k1"))
    assert (await stub.GetCustomer(pb.GetCustomerRequest(customer_id=customer_id))).customer.segment == ""


async def test_a_list_is_filtered_and_comes_in_pages_newest_first(world: World) -> None:
    world.says(*(erp_customer(str(n), number=f"C-{n}") for n in range(5)))
    world.says(erp_customer("9", number="C-9", inactive=True))
    await world.take_in("customer")
    stub = await calls(world)
    request = pb.ListCustomersRequest(page_size=2, filter="state = ACTIVE")
    seen: list[customer_pb2.Customer] = []
    for _ in range(3):
        answer = await stub.ListCustomers(request)
        seen += answer.customers
        request.page_token = answer.next_page_token
    assert not request.page_token
    assert {customer.number for customer in seen} == {"C-0", "C-1", "C-2", "C-3", "C-4"}
    ids = [customer.customer_id for customer in seen]
    assert ids == sorted(ids, reverse=True)
    assert [customer.number for customer in await listed(world, 'number = "C-9"')] == ["C-9"]
