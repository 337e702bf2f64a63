"""ProductService, method by method: parse, run, render. Open this file to follow a call to its command or query."""

import grpc.aio
from google.protobuf.message import Message
from ordermesh.product.v1 import product_service_pb2 as pb
from ordermesh.product.v1 import product_service_pb2_grpc

from libs.common.context import current_context
from libs.common.durable.idempotency import once
from libs.common.durable.reads import Reads
from libs.common.durable.unit import Unit
from libs.common.listing import parse_page
from services.product import commands, queries, wire
from services.product.domain import Product
from services.product.store import ProductTx

Context = grpc.aio.ServicerContext[Message, Message]


class ProductServicer(product_service_pb2_grpc.ProductServiceServicer):
    """Remembers products as their owners state them."""

    def __init__(self, unit: Unit[ProductTx], reads: Reads[Product]) -> None:
        self._unit = unit
        self._reads = reads

    async def UpdateProduct(
        self, request: pb.UpdateProductRequest, context: Context
    ) -> pb.UpdateProductResponse:
        command = wire.parse_update_product(request)
        return await self._unit.run_once(
            commands.update_product, command, wire.render_updated_product, once(request)
        )

    async def GetProduct(self, request: pb.GetProductRequest, context: Context) -> pb.GetProductResponse:
        tenant = current_context().tenant
        product = await queries.get_product(self._reads, tenant, request.product_id)
        return pb.GetProductResponse(product=wire.render_product(product))

    async def ListProducts(
        self, request: pb.ListProductsRequest, context: Context
    ) -> pb.ListProductsResponse:
        tenant = current_context().tenant
        page = parse_page(tenant, request.page_size, request.page_token, request.filter, queries.FILTER)
        products, token = await queries.list_products(self._reads, tenant, page)
        return pb.ListProductsResponse(
            products=[wire.render_product(product) for product in products], next_page_token=token
        )
