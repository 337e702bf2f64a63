"""Between the socket and a servicer: what happens to a call, in order. Open this file to add a behaviour.

    context     correlation id and trace, from the caller or made
    measuring   how long it takes and how it ends
    errors      whatever is raised from here on becomes a status
    peer        with TLS: the caller's certificate has a known name
    identity    token verified, role checked; before a byte of the request is read
    deadline    the caller's, or the method's own
    validation  bytes to a message that keeps the rules of its contract
    lane        bulk methods wait for a place
    servicer

Behaviours are stacked when a service is added, not per call: gRPC's own interceptors would cost as much again as all
of this together. Health and reflection do not come through here.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeAlias, TypeVar, cast

import grpc
from google.protobuf.message import Message
from ordermesh.connector.v1.connector_service_pb2 import ConverseRequest

from libs.common.context import current
from libs.common.identity import Verifier
from libs.common.rpc.call import Call, ServicerContext, Step, text_metadata
from libs.common.rpc.contract import BULK, Method, methods
from libs.common.rpc.conversation import Conversations, Offered
from libs.common.rpc.interceptors.context import CORRELATION_KEY, context_in
from libs.common.rpc.interceptors.deadline import keep_deadline, within
from libs.common.rpc.interceptors.errors import answer_with
from libs.common.rpc.interceptors.identity import Admission
from libs.common.rpc.interceptors.validation import Reading
from libs.common.rpc.lanes import BulkLane
from libs.common.rpc.replay import serving

Handler: TypeAlias = "grpc.RpcMethodHandler[Message, Message]"
Unary = Callable[[Message, ServicerContext], Awaitable[Message]]
Streaming = Callable[[Message, ServicerContext], AsyncIterator[Message]]
RawUnary = Callable[[bytes, ServicerContext], Awaitable[Message]]
RawStreaming = Callable[[bytes, ServicerContext], AsyncIterator[Message]]
RawConversing = Callable[[AsyncIterator[bytes], ServicerContext], AsyncIterator[Message]]
Decode = Callable[[bytes], Message]
RawT = TypeVar("RawT")


class Door:
    """Stands in for the gRPC server while services are added and hands their methods on, guarded."""

    def __init__(
        self, server: grpc.aio.Server, verifier: Verifier, bulk: BulkLane, before: Sequence[Step] = ()
    ) -> None:
        """before: steps ahead of all others, for example `KnownPeers`."""
        self._server = server
        self._bulk = bulk
        self._admission = Admission(verifier)
        self._steps: Sequence[Step] = (*before, self._admission, keep_deadline)
        self._reading = Reading()
        self.services: list[str] = []
        """Full names of the services added."""

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Left out: the same methods come by name in the next call, and an unguarded way in must not exist."""

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, Handler]
    ) -> None:
        offered = dict(self._offered(service_name, method_handlers))
        guarded = {
            name: self._guarded(f"/{service_name}/{name}", handler, offered)
            for name, handler in method_handlers.items()
        }
        self._server.add_registered_method_handlers(service_name, guarded)
        self.services.append(service_name)

    def _offered(
        self, service_name: str, method_handlers: Mapping[str, Handler]
    ) -> Iterator[tuple[str, Offered]]:
        """What may be called in a conversation: all that is answered with one message and is not bulk."""
        for name, handler in method_handlers.items():
            method = methods()[f"/{service_name}/{name}"]
            if handler.unary_unary is not None and method.lane != BULK:
                servicer, decode = cast(Unary, handler.unary_unary), handler.request_deserializer
                assert decode is not None, method.path
                yield name, Offered(method, decode, servicer)

    def _guarded(self, path: str, handler: Handler, offered: Mapping[str, Offered]) -> Handler:
        method, decode = methods()[path], handler.request_deserializer
        assert decode is not None, path
        if handler.stream_stream is not None:
            conversing = self._conversing(
                method, decode, Conversations(offered, self._admission, self._reading)
            )
            return grpc.stream_stream_rpc_method_handler(
                conversing, response_serializer=handler.response_serializer
            )
        if handler.response_streaming:
            stream = self._streaming(method, decode, cast(Streaming, handler.unary_stream))
            return grpc.unary_stream_rpc_method_handler(
                stream, response_serializer=handler.response_serializer
            )
        assert handler.unary_unary is not None, f"{path}: no contract streams requests"
        servicer = cast(Unary, handler.unary_unary)
        unary = self._unary(method, decode, self._few(servicer) if method.lane == BULK else servicer)
        return grpc.unary_unary_rpc_method_handler(unary, response_serializer=handler.response_serializer)

    def _few(self, servicer: Unary) -> Unary:
        """The servicer of a bulk method, a few calls at a time."""

        async def answer(request: Message, servicer_context: ServicerContext) -> Message:
            async with self._bulk.place():
                return await servicer(request, servicer_context)

        return answer

    def _unary(self, method: Method, decode: Decode, servicer: Unary) -> RawUnary:
        async def answer(raw: bytes, servicer_context: ServicerContext) -> Message:
            call = _opened(method, servicer_context)
            with call.timing:
                return await self._answer(call, raw, decode, servicer)

        return answer

    async def _answer(self, call: Call, raw: bytes, decode: Decode, servicer: Unary) -> Message:
        try:
            for step in self._steps:
                step(call)
            request = self._reading.request(decode, raw)
            if call.cancel_after_seconds is None:
                return await servicer(request, call.servicer_context)
            async with within(call.cancel_after_seconds, call.method):
                return await servicer(request, call.servicer_context)
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001  (the outermost frame of a call)
            return await answer_with(error, call)

    def _streaming(self, method: Method, decode: Decode, servicer: Streaming) -> RawStreaming:
        def begin(raw: bytes, servicer_context: ServicerContext) -> AsyncIterator[Message]:
            return servicer(self._reading.request(decode, raw), servicer_context)

        return partial(self._answers, method, begin)

    def _conversing(self, method: Method, decode: Decode, conversations: Conversations) -> RawConversing:
        """The caller is admitted once; each message is read and checked as it comes."""

        async def frames(raw: AsyncIterator[bytes]) -> AsyncIterator[ConverseRequest]:
            async for frame in raw:
                yield cast(ConverseRequest, self._reading.request(decode, frame))

        def begin(raw: AsyncIterator[bytes], servicer_context: ServicerContext) -> AsyncIterator[Message]:
            return conversations.hold(frames(raw), servicer_context)

        return partial(self._answers, method, begin)

    async def _answers(
        self,
        method: Method,
        begin: Callable[[RawT, ServicerContext], AsyncIterator[Message]],
        raw: RawT,
        servicer_context: ServicerContext,
    ) -> AsyncIterator[Message]:
        call = _opened(method, servicer_context)
        with call.timing:
            try:
                for step in self._steps:
                    step(call)
                messages = begin(raw, servicer_context)
                async with within(call.cancel_after_seconds, call.method):
                    async for message in messages:
                        yield message
            except grpc.aio.AbortError:
                raise
            except Exception as error:  # noqa: BLE001  (the outermost frame of a call)
                await answer_with(error, call)


def _opened(method: Method, servicer_context: ServicerContext) -> Call:
    """The call with its ids in place, echoed to the caller."""
    metadata = text_metadata(servicer_context)
    context = context_in(metadata)
    current.set(context)
    serving.set(servicer_context)
    servicer_context.set_trailing_metadata(((CORRELATION_KEY, context.correlation_id),))
    return Call(method, servicer_context, metadata, context)
