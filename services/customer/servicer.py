"""CustomerService, method by method: parse, run, render. Open this file to follow a call to its command or query."""

import grpc.aio
from google.protobuf.message import Message
from ordermesh.customer.v1 import customer_service_pb2 as pb
from ordermesh.customer.v1 import customer_service_pb2_grpc

from libs.common.context import current_context
from libs.common.durable.idempotency import once
from libs.common.durable.reads import Reads
from libs.common.durable.rehearsal import rehearse
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

    async def GetCandidates(
        self, request: pb.GetCandidatesRequest, context: Context
    ) -> pb.GetCandidatesResponse:
        item = wire.parse_item(request.exception_id)
        seen: list[commands.Waiting] = []

        async def look(tx: CustomerTx) -> None:
            seen.append(await commands.see_candidates(item, tx))

        await rehearse(self._unit, current_context(), "see_candidates", look)
        return wire.render_waiting(seen[-1])

    async def LinkCandidate(
        self, request: pb.LinkCandidateRequest, context: Context
    ) -> pb.LinkCandidateResponse:
        item = wire.parse_item(request.exception_id)
        command = commands.LinkCandidate(item, request.customer_id, request.reason)
        return await self._unit.run_once(
            commands.link_candidate, command, wire.render_linked_candidate, once(request)
        )

    async def KeepCandidateApart(
        self, request: pb.KeepCandidateApartRequest, context: Context
    ) -> pb.KeepCandidateApartResponse:
        command = commands.KeepCandidateApart(wire.parse_item(request.exception_id), request.reason)
        return await self._unit.run_once(
            commands.keep_candidate_apart, command, wire.render_kept_apart, once(request)
        )

    async def MergeCustomer(
        self, request: pb.MergeCustomerRequest, context: Context
    ) -> pb.MergeCustomerResponse:
        command = commands.MergeCustomer(request.customer_id, request.survivor_id)
        return await self._unit.run_once(commands.merge_customer, command, wire.render_merged, once(request))

    async def UnmergeCustomer(
        self, request: pb.UnmergeCustomerRequest, context: Context
    ) -> pb.UnmergeCustomerResponse:
        command = commands.UnmergeCustomer(request.customer_id)
        return await self._unit.run_once(
            commands.unmerge_customer, command, wire.render_unmerged, once(request)
        )

    async def ListCustomers(
        self, request: pb.ListCustomersRequest, context: Context
    ) -> pb.ListCustomersResponse:
        tenant = current_context().tenant
        page = parse_page(tenant, request.page_size, request.page_token, request.filter, queries.FILTER)
        customers, token = await queries.list_customers(self._reads, tenant, page)
        return pb.ListCustomersResponse(
            customers=[wire.render_customer(customer) for customer in customers], next_page_token=token
        )
