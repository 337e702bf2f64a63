"""Outside records that may stand for a customer we know: linked, new, or a steward's to decide."""

import grpc.aio
import pytest
from ordermesh.common.v1 import address_pb2
from ordermesh.connector.v1 import change_pb2
from ordermesh.customer.v1 import customer_pb2, customer_service_pb2_grpc
from ordermesh.customer.v1 import customer_service_pb2 as pb
from ordermesh.operations.v1 import operations_pb2, operations_service_pb2_grpc
from ordermesh.operations.v1 import operations_service_pb2 as ops

from libs.common.durable.tx import verify_audit
from libs.common.errors import Refused
from libs.common.wire import parse_address
from services.customer.domain import Keys
from services.customer.store import MATCH_COLUMNS
from tests.builders import CRM, ERP, crm_customer, erp_customer
from tests.integration.services.world import SECOND_ERP, World

HERE = address_pb2.Address(
    lines=["12 Main Street"], locality="Springfield", postal_code="62704", country_code="US"
)


def placed(change: change_pb2.ExternalChange, tax_id: str = "") -> change_pb2.ExternalChange:
    change.customer.bill_to.CopyFrom(HERE)
    change.customer.tax_id = tax_id
    return change


def an_account(
    external_id: str = "001", *, name: str = "ACME Tools LLC", tax_id: str = "", minute: int = 0
) -> change_pb2.ExternalChange:
    """An account that names no number of the ERP."""
    return placed(crm_customer(external_id, number="", name=name, minute=minute), tax_id)


async def a_known_customer(world: World, tax_id: str = "") -> customer_pb2.Customer:
    world.says(placed(erp_customer("110", name="Acme Tools Inc."), tax_id))
    await world.take_in("customer")
    (customer,) = await listed(world)
    return customer


def somebody(world: World, role: str = "steward") -> grpc.aio.Metadata:
    """A person, who is no outside system."""
    token = world.machine.token("acme", [role], system="console")
    return grpc.aio.Metadata(("authorization", f"Bearer {token}"))


async def calls(world: World) -> "customer_service_pb2_grpc.CustomerServiceAsyncStub":
    return customer_service_pb2_grpc.CustomerServiceStub(await world.channel("customer"))


async def listed(world: World) -> list[customer_pb2.Customer]:
    return list((await (await calls(world)).ListCustomers(pb.ListCustomersRequest())).customers)


async def parked(world: World) -> list[operations_pb2.Delivery]:
    await world.settle()
    stub = operations_service_pb2_grpc.OperationsServiceStub(await world.channel("customer"))
    return list((await stub.ListExceptions(ops.ListExceptionsRequest())).exceptions)


async def the_candidate(world: World) -> operations_pb2.Delivery:
    (item,) = await parked(world)
    assert item.reason == "DUPLICATE_CANDIDATE"
    return item


async def link(
    world: World, item: operations_pb2.Delivery, customer_id: str = ""
) -> pb.LinkCandidateResponse:
    request = pb.LinkCandidateRequest(
        exception_id=item.delivery_id,
        customer_id=customer_id,
        idempotency_key=f"l{customer_id}",
        reason="seen",
    )
    answer: pb.LinkCandidateResponse = await (await calls(world)).LinkCandidate(
        request, metadata=somebody(world)
    )
    return answer


async def keep_apart(world: World, item: operations_pb2.Delivery, role: str = "steward") -> None:
    request = pb.KeepCandidateApartRequest(
        exception_id=item.delivery_id, idempotency_key="k", reason="a branch"
    )
    await (await calls(world)).KeepCandidateApart(request, metadata=somebody(world, role))


async def candidates(world: World, item: operations_pb2.Delivery) -> pb.GetCandidatesResponse:
    answer: pb.GetCandidatesResponse = await (await calls(world)).GetCandidates(
        pb.GetCandidatesRequest(exception_id=item.delivery_id),
        metadata=somebody(world),
    )
    return answer


def links_of(customer: customer_pb2.Customer) -> dict[str, str]:
    return {each.ref.system: each.ref.external_id for each in customer.links}


# Verdicts -------------------------------------------------------------------------------------------------


async def test_an_account_with_the_same_tax_number_is_linked_and_told_the_customer(world: World) -> None:
    await a_known_customer(world, tax_id="US 12-345")
    world.says(an_account("777", name="Other spelling", tax_id="us12345"))
    await world.run()

    (customer,) = await listed(world)
    assert links_of(customer)[CRM] == "777"
    assert (customer.name, customer.account_owner) == ("Acme Tools Inc.", "Ada")
    assert "CustomerKept" in await world.events("customer")
    assert {change.external_id for change in world.crm.told} == {"777"}
    assert await parked(world) == []


async def test_an_account_that_is_alike_waits_for_a_steward_beside_the_customer(world: World) -> None:
    known = await a_known_customer(world)
    world.says(an_account())
    await world.take_in("customer")
    item = await the_candidate(world)
    shown = await candidates(world, item)

    assert (shown.ref.system, shown.ref.external_id, shown.incoming.name) == (CRM, "001", "ACME Tools LLC")
    (candidate,) = shown.candidates
    assert candidate.customer.customer_id == known.customer_id
    assert (list(candidate.matched), candidate.score) == (["name", "address"], 100)
    assert known.customer_id in item.detail
    assert "Acme" not in item.detail
    assert "001" not in [each.ref.external_id for each in (await listed(world))[0].links]


async def test_an_account_that_is_like_nobody_is_left_alone(world: World) -> None:
    await a_known_customer(world)
    world.says(an_account(name="Globex Logistics"))
    await world.take_in("customer")
    assert await parked(world) == []
    assert "001" not in [each.ref.external_id for each in (await listed(world))[0].links]


async def test_records_of_one_erp_are_never_candidates_for_each_other(world: World) -> None:
    world.says(*(placed(erp_customer(str(n), number=f"C-{n}"), tax_id="T1") for n in range(3)))
    await world.take_in("customer")
    assert len(await listed(world)) == 3
    assert await parked(world) == []


async def test_a_second_erp_that_has_the_company_is_linked_and_the_first_one_s_word_counts(
    world: World,
) -> None:
    await a_known_customer(world, tax_id="T1")
    world.says(placed(erp_customer("9", number="4711", name="Akme", system=SECOND_ERP), "T1"))
    await world.take_in("customer")
    world.says(erp_customer("9", number="4711", system=SECOND_ERP, minute=1, gone=True))
    await world.take_in("customer")

    (customer,) = await listed(world)
    assert links_of(customer) == {ERP: "110", SECOND_ERP: "9"}
    assert (customer.number, customer.name) == ("C-100", "Acme Tools Inc.")
    assert customer.state == customer_pb2.CUSTOMER_STATE_ACTIVE
    assert await world.events("customer") == ["CustomerRegistered", "CustomerLinked"]


async def test_another_tenant_s_customer_is_no_candidate(world: World) -> None:
    await a_known_customer(world)
    await world.rows("customer", "UPDATE customers SET tenant = 'globex' RETURNING record_id")
    world.says(an_account())
    await world.take_in("customer")
    assert await parked(world) == []


# Decisions ------------------------------------------------------------------------------------------------


async def test_a_candidate_linked_as_the_first_account_is_taken_in_told_and_never_asked_about_again(
    world: World,
) -> None:
    known = await a_known_customer(world)
    world.crm.refuses = [
        Refused("CRM_REFUSED", "closed for maintenance")
    ]  # so that it makes no account itself
    world.says(an_account())
    await world.take_in("customer")
    by_reason = {item.reason: item for item in await parked(world)}
    answer = await link(world, by_reason["DUPLICATE_CANDIDATE"])
    await world.run()
    world.says(an_account(minute=5))
    await world.run()

    (customer,) = await listed(world)
    assert answer.customer.customer_id == known.customer_id
    assert (links_of(customer)[CRM], customer.account_owner) == ("001", "Ada")
    assert [item.reason for item in await parked(world)] == ["CRM_REFUSED"]
    history = await world.rows(
        "customer", "SELECT * FROM audit WHERE subject LIKE 'deliveries/%' AND new_value LIKE '%seen%'"
    )
    assert [f"linked to {known.customer_id}" in str(row["new_value"]) for row in history] == [True]


async def test_a_further_account_stands_for_the_customer_and_its_word_does_not_count(world: World) -> None:
    known = await a_known_customer(world)
    world.says(crm_customer("000"), crm_customer("001", owner="Bob"))
    await world.take_in("customer")
    item = await the_candidate(world)
    assert [list(each.matched) for each in (await candidates(world, item)).candidates] == [["number"]]
    await link(world, item)
    await world.settle()
    world.says(crm_customer("001", owner="Eve", minute=3))
    await world.run()

    (customer,) = await listed(world)
    assert [each.ref.external_id for each in customer.links if each.ref.system == CRM] == ["000", "001"]
    assert customer.account_owner == "Ada"
    assert await parked(world) == []
    names = await world.rows("order", "SELECT name, record->>'customer_id' AS id FROM reference")
    assert {f"customer/{CRM}/000", f"customer/{CRM}/001"} <= {
        str(row["name"]) for row in names if row["id"] == known.customer_id
    }
    world.says(crm_customer("001", minute=4, gone=True))
    await world.run()
    assert [each.ref.external_id for each in (await listed(world))[0].links] == ["110", "000"]


async def test_a_candidate_of_an_erp_kept_apart_is_a_customer_of_its_own_for_good(world: World) -> None:
    await a_known_customer(world)
    world.says(placed(erp_customer("9", number="4711", name="Acme Tools", system=SECOND_ERP)))
    await world.take_in("customer")
    await keep_apart(world, await the_candidate(world))
    await world.settle()
    world.says(placed(erp_customer("9", number="4711", name="Acme Tools", system=SECOND_ERP, minute=5)))
    await world.take_in("customer")

    firsts = [(each.links[0].ref.system, each.links[0].ref.external_id) for each in await listed(world)]
    assert sorted(firsts) == [
        (ERP, "110"),
        (SECOND_ERP, "9"),
    ]
    assert await parked(world) == []
    for row in await world.rows("customer", "SELECT record_id, audit_hash FROM customers"):
        subject = f"customers/{row['record_id']}"
        chain = await world.rows(
            "customer", "SELECT * FROM audit WHERE subject = $1 ORDER BY position", subject
        )
        assert verify_audit(chain, row["audit_hash"]) is None


@pytest.mark.parametrize("number", ["", "C-100"])
async def test_an_account_kept_apart_is_left_alone_whenever_it_changes(world: World, number: str) -> None:
    """Also a second account that names the number of a customer which has one."""
    await a_known_customer(world)
    world.says(crm_customer("000") if number else erp_customer("110", minute=1, name="Acme Tools"))
    await world.take_in("customer")
    world.says(placed(crm_customer("001", number=number, name="Acme Tools", owner="Bob", minute=2)))
    await world.take_in("customer")
    item = await the_candidate(world)
    await keep_apart(world, item)
    world.says(placed(crm_customer("001", number=number, name="Acme Tools", owner="Eve", minute=3)))
    await world.take_in("customer")

    assert await parked(world) == []
    (customer,) = await listed(world)
    assert "001" not in [each.ref.external_id for each in customer.links]
    assert customer.account_owner == ("Ada" if number else "")


async def test_a_steward_chooses_where_several_may_be_meant(world: World) -> None:
    first = await a_known_customer(world, tax_id="T1")
    world.says(placed(erp_customer("111", number="C-2", name="Acme Tools East"), "T1"))
    world.says(an_account(tax_id="T1"))
    await world.take_in("customer")
    item = await the_candidate(world)

    with pytest.raises(Refused, match="INVALID_FIELD"):
        await link(world, item)
    with pytest.raises(Refused, match="INVALID_FIELD"):
        await link(world, item, "cus_unknown")
    await link(world, item, first.customer_id)
    await world.settle()
    for each in await listed(world):
        ids = [link.ref.external_id for link in each.links]
        assert ("001" in ids) == (each.customer_id == first.customer_id)


async def test_only_a_steward_decides_and_only_once_and_only_about_candidates(world: World) -> None:
    await a_known_customer(world)
    world.says(an_account(), erp_customer("112", number=""))
    await world.take_in("customer")
    by_reason = {item.reason: item for item in await parked(world)}
    item, other = by_reason["DUPLICATE_CANDIDATE"], by_reason["MAPPING_FAILED"]

    with pytest.raises(Refused, match="STATE_FORBIDS"):
        await candidates(world, other)
    with pytest.raises(Refused, match="STATE_FORBIDS"):
        await link(world, other)
    with pytest.raises(Refused, match="PERMISSION_DENIED"):
        await keep_apart(world, item, role="support_operator")
    await keep_apart(world, item)
    with pytest.raises(Refused, match="STATE_FORBIDS"):
        await link(world, item)


# Look-ups -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["Acme & Sons (Berlin) GmbH", '  It\'s \\ "a" [b]^_`{|}~ 100%', "Müller; Söhne", "東京商事株式会社"],
)
async def test_the_database_finds_customers_by_the_keys_of_the_domain(world: World, name: str) -> None:
    change = placed(erp_customer("110", name=name), tax_id="DE 81-5.3/8")
    change.customer.duns = "123456789"
    world.says(change)
    await world.take_in("customer")

    columns = ", ".join(MATCH_COLUMNS)
    (row,) = await world.rows("customer", f"SELECT {columns} FROM customers")
    keys = Keys.of(name, "DE 81-5.3/8", "123456789", parse_address(HERE))
    assert tuple(row.values()) == (keys.tax_id, keys.duns, keys.name, keys.place)
