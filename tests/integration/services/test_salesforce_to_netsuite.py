"""A customer between two simulated vendors: what each says of its own reaches the other, and echoes end."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest_asyncio
from ordermesh.customer.v1 import customer_pb2, customer_service_pb2_grpc
from ordermesh.customer.v1 import customer_service_pb2 as pb
from ordermesh.operations.v1 import operations_service_pb2 as ops
from ordermesh.operations.v1 import (
    operations_service_pb2_grpc,
    proposal_service_pb2,
    proposal_service_pb2_grpc,
)

from libs.common.testing.stores import Postgres
from tests.builders import CRM, ERP
from tests.contract.netsuite_connection import Account, connected
from tests.contract.salesforce_mesh import Mesh, meshed
from tests.integration.services.conftest import a_world
from tests.integration.services.world import World

NUMBER = "CUST-77"
TOLD = (
    "SELECT target FROM delivery WHERE target LIKE 'connector:%' AND state = 'DELIVERED' ORDER BY delivery_id"
)


@dataclass(frozen=True)
class Vendors:
    """Both vendors with the services between them."""

    salesforce: Mesh
    netsuite: Account
    world: World

    async def customer(self) -> customer_pb2.Customer:
        stub = customer_service_pb2_grpc.CustomerServiceStub(await self.world.channel("customer"))
        request = pb.ListCustomersRequest(filter=f'number = "{NUMBER}"')
        (customer,) = (await stub.ListCustomers(request)).customers
        return customer

    async def account(self) -> dict[str, Any]:
        customer = await self.customer()
        linked = {link.ref.system: link.ref.external_id for link in customer.links}
        accounts = await self.salesforce.ledger("Account")
        return next(account for account in accounts if account["id"] == linked[CRM])

    async def edit(self, **fields: str) -> None:
        """A salesperson changes the Account."""
        edit = {"type": "Account", "id": (await self.account())["id"], "fields": fields}
        answer = await self.salesforce.org.post("/_sim/advance", json={"edits": [edit]})
        answer.raise_for_status()
        await self.world.run()

    async def told(self) -> list[str]:
        """Whom the customer service has told something, in order."""
        return [str(row["target"]) for row in await self.world.rows("customer", TOLD)]


@pytest_asyncio.fixture
async def vendors(postgres: Postgres, model: str, tmp_path: Path) -> AsyncIterator[Vendors]:
    """NetSuite has its customers, Salesforce was told of them."""
    async with meshed(tmp_path) as salesforce, connected() as netsuite:
        real = {CRM: salesforce.connector, ERP: netsuite.connector}
        async with a_world(postgres, model, tmp_path, real) as world:
            await world.run()
            yield Vendors(salesforce, netsuite, world)


async def test_a_salesperson_s_edit_reaches_netsuite_and_no_echo_is_told_to_anybody(vendors: Vendors) -> None:
    before = await vendors.told()

    await vendors.edit(Industry="Mining", Rating="Hot")
    await vendors.world.run()

    customer = await vendors.customer()
    assert (customer.segment, customer.engagement) == ("Mining", "Hot")
    assert (await vendors.told())[len(before) :] == [f"connector:{ERP}"]
    mappings = await vendors.world.rows("customer", "SELECT DISTINCT mapping FROM attempt")
    assert "netsuite.customer_fields@1" in {row["mapping"] for row in mappings}


async def test_a_name_changed_in_salesforce_is_netsuite_s_once_a_steward_says_so(vendors: Vendors) -> None:
    await vendors.edit(Name="Bergen Bruk AS")
    operations = operations_service_pb2_grpc.OperationsServiceStub(await vendors.world.channel("customer"))
    (item,) = (await operations.ListExceptions(ops.ListExceptionsRequest())).exceptions
    assert (item.reason, item.pointer) == ("CHANGE_PROPOSED", "name")
    assert (await vendors.customer()).name == "Bergen Bruk"

    stub = proposal_service_pb2_grpc.ProposalServiceStub(await vendors.world.channel("customer"))
    request = proposal_service_pb2.AcceptProposalRequest(exception_id=item.delivery_id, idempotency_key="k")
    await stub.AcceptProposal(request, metadata=vendors.world.machine.bearer("acme", "steward"))
    await vendors.world.run()

    assert (await vendors.customer()).name == "Bergen Bruk AS"
    assert (await vendors.account())["Name"] == "Bergen Bruk AS"
    assert not await vendors.world.rows("customer", "SELECT 1 FROM delivery WHERE state = 'PARKED'")
