"""Whose word counts: what the services make of writes to fields that the writer does not own, and of their own echo."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import error_details_pb2, status_pb2
from ordermesh.connector.v1 import change_pb2
from ordermesh.customer.v1 import customer_pb2, customer_service_pb2_grpc
from ordermesh.customer.v1 import customer_service_pb2 as pb
from ordermesh.operations.v1 import operations_pb2, operations_service_pb2_grpc, proposal_service_pb2_grpc
from ordermesh.operations.v1 import operations_service_pb2 as ops
from ordermesh.operations.v1 import proposal_service_pb2 as proposals
from ordermesh.order.v1 import order_service_pb2_grpc

from gateway.app import build
from gateway.config import GatewaySettings
from libs.common.config import Environment
from libs.common.context import CallContext
from libs.common.durable.tx import verify_audit
from libs.common.errors import Refused
from libs.common.rpc.status import DETAILS_KEY
from libs.common.topology import Topology
from services.customer import commands as customer_commands
from services.customer import wire as customer_wire
from services.invoice import reactions as invoice_reactions
from services.order import reactions as order_reactions
from services.product import commands as product_commands
from services.product import wire as product_wire
from tests.builders import (
    CRM,
    ERP,
    a_submission,
    crm_customer,
    crm_product,
    erp_customer,
    erp_invoice,
    erp_product,
    erp_progress,
)
from tests.integration.services.world import World

PARKED = "SELECT * FROM delivery WHERE state = 'PARKED'"
RULED = "SELECT field, old_value, new_value, source_system, rule FROM audit WHERE rule LIKE 'ownership.%' ORDER BY 1"


async def only(world: World) -> customer_pb2.Customer:
    stub = customer_service_pb2_grpc.CustomerServiceStub(await world.channel("customer"))
    (customer,) = (await stub.ListCustomers(pb.ListCustomersRequest())).customers
    return customer


async def an_agreed_customer(world: World) -> None:
    """ERP and CRM have it, and the CRM has shown the ERP's name."""
    world.says(erp_customer("110"), crm_customer("001", name="Acme", minute=1))
    await world.run()
    world.erp.told.clear()
    world.crm.told.clear()


async def update(world: World, *mask: str, **fields: str) -> pb.UpdateCustomerResponse:
    """A call of the CRM's integration."""
    customer = customer_pb2.Customer(customer_id=(await only(world)).customer_id, **fields)  # type: ignore[arg-type]
    request = pb.UpdateCustomerRequest(
        customer=customer,
        update_mask=FieldMask(paths=mask),
        idempotency_key="-".join([*mask, *fields.values()]),
    )
    stub = customer_service_pb2_grpc.CustomerServiceStub(await world.channel("customer"))
    answer: pb.UpdateCustomerResponse = await stub.UpdateCustomer(
        request, metadata=world.machine.bearer("acme", "integration")
    )
    return answer


async def the_proposal(world: World) -> operations_pb2.Delivery:
    await world.settle()
    stub = operations_service_pb2_grpc.OperationsServiceStub(await world.channel("customer"))
    (item,) = (await stub.ListExceptions(ops.ListExceptionsRequest())).exceptions
    return item


async def stewards(world: World) -> "proposal_service_pb2_grpc.ProposalServiceAsyncStub":
    return proposal_service_pb2_grpc.ProposalServiceStub(await world.channel("customer"))


async def accept(world: World, item: operations_pb2.Delivery, role: str = "steward") -> None:
    request = proposals.AcceptProposalRequest(
        exception_id=item.delivery_id, idempotency_key="a", reason="asked"
    )
    await (await stewards(world)).AcceptProposal(request, metadata=world.machine.bearer("acme", role))


async def reject(world: World, item: operations_pb2.Delivery) -> None:
    request = proposals.RejectProposalRequest(exception_id=item.delivery_id, idempotency_key="r", reason="no")
    await (await stewards(world)).RejectProposal(request, metadata=world.machine.bearer("acme", "steward"))


# Callers --------------------------------------------------------------------------------------------------


async def test_a_refusal_names_field_owner_and_rule_to_any_grpc_client(world: World) -> None:
    await an_agreed_customer(world)
    request = pb.UpdateCustomerRequest(
        customer=customer_pb2.Customer(customer_id=(await only(world)).customer_id, segment="Retail"),
        update_mask=FieldMask(paths=["segment", "credit_limit"]),
        idempotency_key="k1",
    )
    async with grpc.aio.insecure_channel(world.address("customer")) as channel:
        stub = customer_service_pb2_grpc.CustomerServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.UpdateCustomer(
                request, metadata=world.machine.bearer("acme", "integration"), timeout=30
            )

    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    trailing = dict(refused.value.trailing_metadata() or ())
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status_pb2.Status.FromString(trailing[DETAILS_KEY]).details:
        assert detail.Unpack(info) or detail.Unpack(bad)
    assert (info.reason, info.metadata["field"]) == ("OWNERSHIP_VIOLATION", "customer.credit_limit")
    assert (info.metadata["field_owner"], info.metadata["rule"]) == ("erp", "ownership.refuse")
    (violation,) = bad.field_violations
    assert violation.field == "customer.credit_limit"
    assert violation.reason == "OWNERSHIP_VIOLATION;rule=ownership.refuse;owner=erp"
    assert (await only(world)).segment == ""


@asynccontextmanager
async def over_rest(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """The gateway in front of the customer service; the caller is the CRM's integration."""
    settings = GatewaySettings.model_validate(
        {"jwks_file": world.machine.settings.jwks_file, "environment": Environment.DEVELOPMENT}
    )
    gateway = build(settings, Topology(services={"customer": world.address("customer")}))
    transport = httpx.ASGITransport(app=gateway.app, raise_app_exceptions=True)
    bearer = f"Bearer {world.machine.token('acme', ['integration'])}"
    async with (
        gateway.lifespan(),
        httpx.AsyncClient(
            transport=transport, base_url="http://gateway", headers={"Authorization": bearer}, timeout=30
        ) as http,
    ):
        yield http


async def test_a_refusal_names_field_owner_and_rule_over_rest(world: World) -> None:
    await an_agreed_customer(world)
    path = f"/v1/customers/{(await only(world)).customer_id}"
    limit = {"currencyCode": "USD", "units": "1"}
    async with over_rest(world) as http:
        refused = await http.patch(
            path,
            json={"segment": "Retail", "creditLimit": limit, "paymentTerms": "Net 90"},
            headers={"Idempotency-Key": "k1", "If-Match": "*"},
        )
        taken = await http.patch(
            path,
            json={"segment": "Retail", "name": "Mine"},
            headers={"Idempotency-Key": "k2", "If-Match": "*"},
        )

    assert (refused.status_code, refused.json()["code"]) == (403, "OWNERSHIP_VIOLATION")
    assert refused.headers["content-type"] == "application/problem+json"
    found = {(entry["pointer"], entry["owner"], entry["rule"]) for entry in refused.json()["errors"]}
    assert found == {
        ("#/creditLimit", "erp", "ownership.refuse"),
        ("#/paymentTerms", "erp", "ownership.refuse"),
    }
    assert taken.status_code == 200
    assert taken.json()["customer"]["segment"] == "Retail"
    assert taken.json()["proposedFields"] == ["name"]


async def test_a_caller_s_write_is_taken_proposed_or_dropped_field_by_field(world: World) -> None:
    await an_agreed_customer(world)

    answer = await update(world, segment="Retail", name="Mine", currency_code="EUR")

    assert (answer.customer.segment, answer.customer.name, answer.customer.currency_code) == (
        "Retail",
        "Acme",
        "USD",
    )
    assert (list(answer.proposed_fields), list(answer.dropped_fields)) == (["name"], ["currency_code"])
    ruled = [tuple(row.values()) for row in await world.rows("customer", RULED)]
    said = "owner erp, not taken from salesforce"
    assert ruled == [
        ("currency", "USD", "not taken: EUR", CRM, f"ownership.drop: {said}"),
        ("name", "Acme", "not taken: Mine", CRM, f"ownership.propose: {said}"),
    ]
    assert (await the_proposal(world)).pointer == "name"


# Proposals ------------------------------------------------------------------------------------------------


async def test_a_proposal_is_not_discarded_but_rejected(world: World) -> None:
    await an_agreed_customer(world)
    world.says(crm_customer("001", name="Acme Ltd", minute=2))
    await world.take_in("customer")
    item = await the_proposal(world)
    stub = operations_service_pb2_grpc.OperationsServiceStub(await world.channel("customer"))
    request = ops.DiscardExceptionRequest(exception_id=item.delivery_id, idempotency_key="d", reason="no")
    with pytest.raises(Refused, match="STATE_FORBIDS"):
        await stub.DiscardException(request, metadata=world.machine.bearer("acme", "support_operator"))
    await reject(world, item)


async def test_an_accepted_proposal_goes_to_the_owner_and_comes_back_as_the_record_s_value(
    world: World,
) -> None:
    await an_agreed_customer(world)
    world.says(crm_customer("001", name="Acme Ltd", minute=2))
    await world.take_in("customer")
    item = await the_proposal(world)
    assert (item.reason, item.target, item.pointer) == ("CHANGE_PROPOSED", f"proposal:{ERP}", "name")
    assert (await only(world)).name == "Acme"
    assert not world.erp.told

    await accept(world, item)
    await world.settle()

    (told,) = world.erp.told
    assert (list(told.fields), told.customer.name, told.external_id) == (["name"], "Acme Ltd", "110")
    assert (await only(world)).name == "Acme", "it is the owner's to say so"

    world.says(erp_customer("110", name="Acme Ltd", minute=3))
    await world.run()
    assert (await only(world)).name == "Acme Ltd"
    audit = await world.rows(
        "customer", "SELECT * FROM audit WHERE subject LIKE 'deliveries/%' ORDER BY position"
    )
    assert [(row["actor"], row["new_value"]) for row in audit] == [
        ("somebody", f"accepted, to connector:{ERP}, because: asked")
    ]


async def test_a_rejected_proposal_is_audited_and_the_crm_is_told_the_record_as_it_is(world: World) -> None:
    await an_agreed_customer(world)
    world.says(crm_customer("001", name="Mine", minute=2))
    await world.take_in("customer")
    item = await the_proposal(world)

    await reject(world, item)
    await world.settle()

    assert world.crm.told[-1].customer.name == "Acme"
    assert not world.erp.told
    audit = await world.rows("customer", "SELECT * FROM audit WHERE subject LIKE 'deliveries/%'")
    assert [(row["actor"], row["new_value"]) for row in audit] == [("somebody", "rejected, because: no")]
    with pytest.raises(Refused, match="STATE_FORBIDS"):
        await accept(world, item)


async def test_only_a_steward_decides_and_a_replay_decides_nothing(world: World) -> None:
    await an_agreed_customer(world)
    await update(world, name="Mine")
    item = await the_proposal(world)
    with pytest.raises(Refused, match="PERMISSION_DENIED"):
        await accept(world, item, role="support_operator")

    stub = operations_service_pb2_grpc.OperationsServiceStub(await world.channel("customer"))
    await stub.ReplayExceptions(ops.ReplayExceptionsRequest(idempotency_key="k1"))
    await world.settle()

    assert (await the_proposal(world)).target == f"proposal:{ERP}"
    assert not world.erp.told


async def test_a_newer_value_takes_the_place_of_the_older_proposal(world: World) -> None:
    await an_agreed_customer(world)
    for minute, name in ((2, "Mine"), (3, "Mine too")):
        world.says(crm_customer("001", name=name, minute=minute))
        await world.take_in("customer")
        await world.settle()
    (parked,) = await world.rows("customer", PARKED)
    assert parked["sequence"] == 2
    await accept(world, await the_proposal(world))
    await world.settle()
    assert world.erp.told[-1].customer.name == "Mine too"


async def test_a_feed_s_write_of_a_refused_field_waits_for_a_person_and_takes_nothing_with_it(
    world: World,
) -> None:
    shown = crm_customer("001", name="Acme", minute=1)
    terms = erp_customer("110")
    terms.customer.payment_terms = shown.customer.payment_terms = "Net 30"
    world.says(terms, shown)
    await world.run()

    wrote = crm_customer("001", name="Acme", segment="Retail", minute=2)
    wrote.customer.payment_terms = "Net 90"
    world.says(wrote)
    await world.run()

    (parked,) = await world.rows("customer", PARKED)
    assert (parked["reason"], parked["pointer"]) == ("OWNERSHIP_VIOLATION", "customer.payment_terms")
    customer = await only(world)
    assert (customer.payment_terms, customer.segment) == ("Net 30", "")


# Two at once ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [ERP, CRM])
async def test_of_two_changes_within_a_second_the_owner_s_wins_and_the_loser_is_recorded(
    world: World, first: str
) -> None:
    await an_agreed_customer(world)
    both = {
        ERP: erp_customer("110", name="Acme Ltd", minute=2),
        CRM: crm_customer("001", name="Mine", minute=2),
    }
    for system in (first, *(name for name in both if name != first)):
        world.says(both[system])
        await world.take_in("customer")
    await world.run()

    assert (await only(world)).name == "Acme Ltd"
    assert world.crm.told[-1].customer.name == "Acme Ltd"
    assert not await world.rows("customer", PARKED)
    lost = [row for row in await world.rows("customer", RULED) if "owner_wins" in str(row["rule"])]
    assert [(row["field"], row["new_value"]) for row in lost] == [("name", "not taken: Mine")]
    assert lost[0]["rule"] == "ownership.owner_wins: owner erp, not taken from salesforce"
    subject = f"customers/{(await only(world)).customer_id}"
    rows = await world.rows("customer", "SELECT * FROM audit WHERE subject = $1 ORDER BY position", subject)
    assert verify_audit(rows) is None


# Echoes ---------------------------------------------------------------------------------------------------


async def test_what_the_crm_owns_reaches_the_erp_and_its_echo_ends_there(world: World) -> None:
    await an_agreed_customer(world)
    world.says(crm_customer("001", name="Acme", owner="Bob", segment="Retail", minute=2))
    await world.run()
    (told,) = world.erp.told
    assert (told.customer.account_owner, told.customer.segment) == ("Bob", "Retail")
    assert list(told.fields) == ["account_owner", "segment", "engagement"]
    assert not world.crm.told
    events = await world.events("customer")

    world.says(erp_customer("110", minute=3))  # our write has moved its time of change, and nothing else
    await world.run()

    assert await world.events("customer") == events
    assert (len(world.erp.told), len(world.crm.told)) == (1, 0)


async def test_an_erp_echo_in_which_another_field_changed_is_told_to_the_crm_alone(world: World) -> None:
    await an_agreed_customer(world)
    world.says(crm_customer("001", name="Acme", owner="Bob", minute=2))
    await world.run()

    world.says(erp_customer("110", email="a@b.example", minute=3))
    await world.run()

    assert (len(world.erp.told), len(world.crm.told)) == (1, 1)
    assert world.crm.told[0].customer.email == "a@b.example"


async def test_the_crm_s_echo_of_what_it_was_told_causes_no_further_write(world: World) -> None:
    await an_agreed_customer(world)
    world.says(erp_customer("110", name="Acme Ltd", minute=2))
    await world.run()
    events = await world.events("customer")

    world.says(crm_customer("001", name="Acme Ltd", minute=3))
    await world.run()

    assert await world.events("customer") == events
    assert (len(world.erp.told), len(world.crm.told)) == (0, 1)
    assert not await world.rows("customer", RULED)


async def test_a_crm_echo_in_which_another_field_changed_is_told_to_the_erp_alone(world: World) -> None:
    await an_agreed_customer(world)
    world.says(erp_customer("110", name="Acme Ltd", minute=2))
    await world.run()

    world.says(crm_customer("001", name="Acme Ltd", segment="Retail", minute=3))
    await world.run()

    assert (len(world.erp.told), len(world.crm.told)) == (1, 1)
    assert world.erp.told[0].customer.segment == "Retail"
    assert not await world.rows("customer", RULED)


async def test_what_a_caller_of_ours_changes_for_the_crm_is_told_to_it_and_the_echo_ends_there(
    world: World,
) -> None:
    await an_agreed_customer(world)
    stub = customer_service_pb2_grpc.CustomerServiceStub(await world.channel("customer"))
    customer = customer_pb2.Customer(customer_id=(await only(world)).customer_id, segment="Retail")
    await stub.UpdateCustomer(pb.UpdateCustomerRequest(customer=customer, idempotency_key="k1"))
    await world.run()

    (told,) = world.crm.told
    assert (list(told.fields), told.customer.segment) == (["segment", "engagement"], "Retail")
    world.says(crm_customer("001", name="Acme", segment="Retail", minute=2))
    await world.run()
    assert (len(world.erp.told), len(world.crm.told)) == (1, 1)

    customer = customer_pb2.Customer(customer_id=customer.customer_id, account_owner="Me")
    with pytest.raises(Refused, match="OWNERSHIP_VIOLATION"):
        await stub.UpdateCustomer(pb.UpdateCustomerRequest(customer=customer, idempotency_key="k2"))


async def test_a_crm_that_renames_a_product_is_told_its_name_again_and_the_echo_ends_there(
    world: World,
) -> None:
    world.says(erp_product("7"), crm_product("01t", name="Bolt", minute=1))
    await world.run()
    world.crm.told.clear()

    world.says(crm_product("01t", name="Bolzen", minute=2))
    await world.run()
    world.says(crm_product("01t", name="Bolt", minute=3))
    await world.run()

    assert [told.product.name for told in world.crm.told] == ["Bolt"]
    (ruled,) = await world.rows("product", RULED)
    assert (ruled["new_value"], ruled["source_system"]) == ("not taken: Bolzen", CRM)
    assert str(ruled["rule"]).startswith("ownership.drop")


# The door to state ----------------------------------------------------------------------------------------

BY_THE_CRM = CallContext("acme", CRM, f"system:{CRM}", frozenset({"mesh"}), "cor-1")


async def taken_in_as_the_crm_s(
    world: World,
    service: str,
    take_in: Callable[[change_pb2.ExternalChange, Any], Awaitable[None]],
    change: change_pb2.ExternalChange,
) -> Refused:
    """What a service says to the ERP's word when it comes from the CRM and nothing else has looked at it."""
    unit = world.apps[service].unit

    async def run(group: Any) -> None:
        await take_in(change, unit.open(group, BY_THE_CRM, "take_in"))

    with pytest.raises(Refused) as refused:
        await unit.commit(run)
    assert refused.value.reason == "OWNERSHIP_VIOLATION"
    assert {violation.owner for violation in refused.value.violations} == {"erp"}
    return refused.value


async def test_at_the_door_to_state_all_four_services_refuse_what_only_the_erp_may_change(
    world: World,
) -> None:
    await an_agreed_customer(world)
    world.says(erp_product("7"))
    await world.run()
    calls = order_service_pb2_grpc.OrderServiceStub(await world.channel("order"))
    order_id = (await calls.SubmitOrder(a_submission(customer_id=(await only(world)).customer_id))).order_id

    async def customers(change: change_pb2.ExternalChange, tx: Any) -> None:
        await customer_commands.take_in_from_erp(customer_wire.parse_erp_change(change), tx)

    async def products(change: change_pb2.ExternalChange, tx: Any) -> None:
        await product_commands.take_in_from_erp(product_wire.parse_erp_change(change), tx)

    renamed = erp_customer("110", name="Mine", minute=5)
    found = await taken_in_as_the_crm_s(world, "customer", customers, renamed)
    assert found.violations[0].field == "customer.name"
    found = await taken_in_as_the_crm_s(world, "product", products, erp_product("7", stock="1", minute=5))
    assert found.violations[0].field == "product.quantity_available"
    invoice = erp_invoice("900", order_id="")
    invoice.ref.system = CRM
    await taken_in_as_the_crm_s(world, "invoice", invoice_reactions.take_in_change, invoice)
    shipped = erp_progress("1", order_id, change_pb2.ERP_ORDER_STATUS_SHIPPED, shipped={"BOLT": "8"})
    await taken_in_as_the_crm_s(world, "order", order_reactions.take_in_change, shipped)
