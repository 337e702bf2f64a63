"""A real gRPC server that stands in for a service or a connector: it records what it is sent and answers as told."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

from libs.common.errors import OrdermeshError
from libs.common.rpc.status import CODES, DETAILS_KEY, status_of

Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
MIB = 1024 * 1024
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@dataclass(frozen=True, slots=True)
class Seen:
    """One call as it arrived."""

    method: str
    """Short name, `SubmitOrder`."""
    request: bytes
    metadata: dict[str, str]
    seconds_left: float


@dataclass(frozen=True, slots=True)
class Told:
    """What to answer: a message, bytes that are none, what is computed of the request, an error of ours, or a bare
    status of gRPC's."""

    message: Message | None = None
    raw: bytes = b""
    compute: Callable[[bytes], Message] | None = None
    error: OrdermeshError | None = None
    bare: grpc.StatusCode | None = None
    replayed: bool = False
    wait_for: Callable[[], Awaitable[object]] | None = None


@dataclass(slots=True)
class Backend:
    """One process. Methods that nobody told anything answer with nothing."""

    name: str
    seen: list[Seen] = field(default_factory=list)
    told: dict[str, Told] = field(default_factory=dict)
    port: int = 0
    vitals: health.aio.HealthServicer = field(default_factory=health.aio.HealthServicer)
    _server: grpc.aio.Server | None = None

    async def start(self) -> None:
        server = grpc.aio.server(
            options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 8 * MIB)]
        )
        server.add_generic_rpc_handlers((_AnyMethod(self),))
        health_pb2_grpc.add_HealthServicer_to_server(self.vitals, server)
        self.port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        await self.vitals.set("", SERVING)
        self._server = server

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)

    def answers(self, method: str, message: Message, *, replayed: bool = False) -> None:
        self.told[method] = Told(message=message, replayed=replayed)

    def computes(self, method: str, compute: Callable[[bytes], Message]) -> None:
        self.told[method] = Told(compute=compute)

    def refuses(self, method: str, error: OrdermeshError) -> None:
        self.told[method] = Told(error=error)

    def breaks(self, method: str, code: grpc.StatusCode) -> None:
        self.told[method] = Told(bare=code)

    def calls(self, method: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.method == method]

    async def take(self, path: str, request: bytes, context: Context) -> bytes:
        method = path.rpartition("/")[2]
        metadata = {
            key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)
        }
        self.seen.append(Seen(method, request, metadata, context.time_remaining() or 0.0))
        told = self.told.get(method, Told())
        if told.wait_for is not None:
            await told.wait_for()
        if told.error is not None:
            status = status_of(told.error)
            trailing = (("grpc-retry-pushback-ms", "-1"), (DETAILS_KEY, status.SerializeToString()))
            await context.abort(CODES[status.code], status.message, trailing)
        if told.bare is not None:
            await context.abort(told.bare, "no words", (("grpc-retry-pushback-ms", "-1"),))
        if told.replayed:
            context.set_trailing_metadata((("x-idempotent-replayed", "true"),))
        if told.compute is not None:
            return told.compute(request).SerializeToString()
        return told.message.SerializeToString() if told.message is not None else told.raw


class _AnyMethod(grpc.GenericRpcHandler):
    """Takes every method as bytes."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        path = str(handler_call_details.method)
        if path.startswith("/grpc."):
            return None

        async def take(request: bytes, context: Context) -> bytes:
            return await self._backend.take(path, request, context)

        return grpc.unary_unary_rpc_method_handler(take)
