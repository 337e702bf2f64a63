"""CustomerService, method by method: parse, run, render. Open this file to follow a call to its command or query."""

import grpc.aio
from google.protobuf.message import Message
from ordermesh.customer.v1 import customer_service_pb2 as pb
from ordermesh.customer.v1 import customer_service_pb2_grpc

from libs.common.context import current_context
from libs.common.durable.idempotency import once
from libs.common.durable.reads import Reads
from libs.common.durable.unit import Unit
from libs.common.listing import parse_page
from services.customer import commands, queries, wire
from services.customer.domain import Customer
from services.customer.store import CustomerTx

Context = grpc.aio.ServicerContext[Message, Message]


class CustomerServicer(customer_service_pb2_grpc.CustomerServiceServicer):
    """Remembers customers as their owners state them."""

    def __init__(self, unit: Unit[CustomerTx], reads: Reads[Customer]) -> None:
        self._unit = unit
        self._reads = reads

    async def UpdateCustomer(
        self, request: pb.UpdateCustomerRequest, context: Context
    ) -> pb.UpdateCustomerResponse:
        command = wire.parse_update_customer(request)
        return await self._unit.run_once(
            commands.update_customer, command, wire.render_updated_customer, once(request)
        )

    async def GetCustomer(self, request: pb.GetCustomerRequest, context: Context) -> pb.GetCustomerResponse:
        tenant = current_context().tenant
        customer = await queries.get_customer(self._reads, tenant, request.customer_id)
        return pb.GetCustomerResponse(customer=wire.render_customer(customer))

    async def ListCustomers(
        self, request: pb.ListCustomersRequest, context: Context
    ) -> pb.ListCustomersResponse:
        tenant = current_context().tenant
        page = parse_page(tenant, request.page_size, request.page_token, request.filter, queries.FILTER)
        customers, token = await queries.list_customers(self._reads, tenant, page)
        return pb.ListCustomersResponse(
            customers=[wire.render_customer(customer) for customer in customers], next_page_token=token
        )
