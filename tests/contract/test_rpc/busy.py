"""A connector with many calls at a time, and connections to it that stall or are lost."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import grpc
from ordermesh.connector.v1 import change_pb2, connector_service_pb2, connector_service_pb2_grpc
from ordermesh.product.v1 import product_pb2

from libs.common.context import CallContext, current_context
from libs.common.rpc.call import ServicerContext
from tests.contract.test_rpc.scripted import ORDER, SERVICE, FindByKey


def a_write(key: str) -> connector_service_pb2.ApplyChangeRequest:
    change = change_pb2.Change(
        kind=change_pb2.KIND_PRODUCT,
        intent=change_pb2.INTENT_UPSERT,
        key=key,
        product=product_pb2.Product(),
    )
    return connector_service_pb2.ApplyChangeRequest(change=change)


def a_read(key: str) -> FindByKey:
    return FindByKey(kind=ORDER, key=key)


class Busy(connector_service_pb2_grpc.ConnectorServiceServicer):
    """Holds each call until so many are there as the test wants, and remembers how each came."""

    def __init__(self) -> None:
        self.ran: Counter[str] = Counter()
        self.contexts: dict[str, CallContext] = {}
        self.ways: dict[str, ServicerContext] = {}
        self.errors: dict[str, Exception] = {}
        self.response_body = b""
        self.wanted = 0
        self.all_here, self.released = asyncio.Event(), asyncio.Event()
        self.released.set()
        self.cancelled: set[str] = set()

    async def FindByKey(  # noqa: N802
        self, request: FindByKey, context: ServicerContext
    ) -> connector_service_pb2.FindByKeyResponse:
        await self._run(request.key, context)
        receipt = change_pb2.Receipt(external_id=request.key)
        return connector_service_pb2.FindByKeyResponse(receipt=receipt)

    async def ApplyChange(  # noqa: N802
        self, request: connector_service_pb2.ApplyChangeRequest, context: ServicerContext
    ) -> connector_service_pb2.ApplyChangeResponse:
        await self._run(request.change.key, context)
        exchange = change_pb2.Exchange(response_body=self.response_body)
        receipt = change_pb2.Receipt(external_id=request.change.key, exchange=exchange)
        return connector_service_pb2.ApplyChangeResponse(receipt=receipt)

    async def _run(self, key: str, context: ServicerContext) -> None:
        self.ran[key] += 1
        self.contexts[key], self.ways[key] = current_context(), context
        if self.ran.total() >= self.wanted:
            self.all_here.set()
        try:
            await self.all_here.wait()
            await self.released.wait()
        except asyncio.CancelledError:
            self.cancelled.add(key)
            raise
        if key in self.errors:
            raise self.errors[key]

    def expect(self, count: int, *, hold: bool = False) -> None:
        """No call ends before so many are there. hold: nor before `released` is set."""
        self.ran.clear()
        self.wanted = count
        self.all_here.clear()
        if hold:
            self.released.clear()

    def streams(self) -> int:
        """Ways by which more than one call came."""
        return sum(1 for count in Counter(map(id, self.ways.values())).values() if count > 1)


@asynccontextmanager
async def strange_server(
    handlers: "dict[str, grpc.RpcMethodHandler[bytes, bytes]]",
) -> AsyncIterator[str]:
    """A connector that is not ours."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE[1:], handlers),))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield address
    finally:
        await server.stop(None)


class Cut:
    """A connection to `address` that is lost after so many bytes, to it or from it; the next ones hold.

    While `flows` is not set, nothing arrives."""

    def __init__(self, address: str, bytes_max: int = sys.maxsize, *, to_server: bool = True) -> None:
        self._host, _, self._port = address.rpartition(":")
        self._left = bytes_max
        self._to_server = to_server
        self._writers: set[asyncio.StreamWriter] = set()
        self.address = ""
        self.was_cut = False
        self.flows = asyncio.Event()
        self.flows.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, server = await asyncio.open_connection(self._host, int(self._port))
        self._writers |= {writer, server}
        ways = ((reader, server, self._to_server), (there, writer, not self._to_server))
        pumps = [asyncio.create_task(self._pump(*way)) for way in ways]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        for each in (writer, server):
            each.transport.abort()

    async def _pump(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, is_counted: bool
    ) -> None:
        while data := await source.read(4096):
            await self.flows.wait()
            if is_counted and not self.was_cut and self._left < len(data):
                self.was_cut = True
                target.write(data[: self._left])
                return
            self._left -= len(data) if is_counted else 0
            target.write(data)
