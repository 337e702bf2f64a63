"""Customers: one record each, whoever tells of it and however often."""

import asyncio

import pytest
from ordermesh.connector.v1 import change_pb2
from ordermesh.customer.v1 import customer_pb2, customer_service_pb2_grpc
from ordermesh.customer.v1 import customer_service_pb2 as pb

from libs.common.context import using
from libs.common.errors import Refused
from libs.common.testing.faults import DatabaseLink
from tests.builders import CRM, crm_customer, erp_customer
from tests.integration.services.world import SECOND_ERP, World

TABLES = ("customers", "event", "delivery", "link", "cursor", "audit")


async def only_customer(world: World) -> customer_pb2.Customer:
    customers = await listed(world)
    assert len(customers) == 1
    return customers[0]


async def listed(world: World, filter: str = "") -> list[customer_pb2.Customer]:
    stub = customer_service_pb2_grpc.CustomerServiceStub(await world.channel("customer"))
    return list((await stub.ListCustomers(pb.ListCustomersRequest(filter=filter))).customers)


async def test_a_change_taken_in_twice_is_one_customer_and_one_event(world: World) -> None:
    world.says(erp_customer("110"), erp_customer("110"))
    await world.take_in("customer")
    world.says(erp_customer("110", minute=3))
    await world.take_in("customer")

    customer = await only_customer(world)
    assert (customer.number, customer.links[0].ref.external_id) == ("C-100", "110")
    assert await world.events("customer") == ["CustomerRegistered"]
    assert await world.heard("customer") == [f"connector:{CRM}", "service:order"]
