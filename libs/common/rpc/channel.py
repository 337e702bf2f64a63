"""Calls to other processes. Open this file to learn what goes along with a call, and what a failed one becomes.

    channel = open_channel(topology.service_target("order"), settings, "gateway")
    orders = OrderServiceStub(channel)
    with using(context):
        answer = await orders.GetOrder(request)      # raises Refused, NotDone or OutcomeUnknown

Each call carries the current context and a token of this process for the context's tenant; who hands metadata with an
`authorization` of its own (the gateway, for its caller) keeps it. Deadlines and retries are those of
`protos/service_config.json`, and no call outlives the one it is made for.
"""

from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import nullcontext
from types import TracebackType
from typing import Generic, Self, TypeVar, cast

import grpc

from libs.common.config import ProcessSettings
from libs.common.context import current_context
from libs.common.identity import MeshSigner
from libs.common.metrics import RPC_CLIENT
from libs.common.rpc.contract import Method, methods, service_config_text
from libs.common.rpc.interceptors.measuring import Timing
from libs.common.rpc.sending import Metadata, metadata_of, seconds_of
from libs.common.rpc.server import MESSAGE_BYTES_MAX
from libs.common.rpc.status import error_of_rpc
from libs.common.rpc.tls import RenewedChannel, certificates_of
from libs.common.telemetry import channel_interceptors, continuing, makes_spans

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
Serialize = Callable[[RequestT], bytes]
Deserialize = Callable[[bytes], ResponseT]

KEEPALIVE_MS = 30_000
KEEPALIVE_TIMEOUT_MS = 10_000
"""A connection whose ping is not answered in that time is dropped."""
RECONNECT_MS_MAX = 5_000
"""Longest wait between two tries to connect; gRPC's own two minutes outlast every restart."""

CHANNEL_OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", RECONNECT_MS_MAX),
    ("grpc.enable_retries", 1),
    ("grpc.service_config_disable_resolution", 1),  # a DNS record must not change deadlines
    ("grpc.use_local_subchannel_pool", 1),  # a test's server on a reused port is not the one before
)


def open_channel(target: str, settings: ProcessSettings, process_name: str) -> "MeshChannel":
    """A channel that connects when first used. Close it at the end; one per target and process is enough."""
    interceptors = channel_interceptors()
    spanning = open_plain(target, settings, interceptors) if interceptors else None
    return MeshChannel(open_plain(target, settings), MeshSigner(settings, process_name), spanning)


def open_plain(
    target: str, settings: ProcessSettings, interceptors: Sequence[grpc.aio.ClientInterceptor] = ()
) -> grpc.aio.Channel:
    """Like `open_channel`, without context, tokens and errors of ours: for health."""
    options = (*CHANNEL_OPTIONS, ("grpc.service_config", service_config_text()))
    certificates = certificates_of(settings)
    if certificates is None:
        return grpc.aio.insecure_channel(target, options, interceptors=interceptors)
    return RenewedChannel(
        certificates,
        lambda credentials: grpc.aio.secure_channel(target, credentials, options, interceptors=interceptors),
    )


class MeshChannel(grpc.aio.Channel):
    """gRPC's channel with our context, tokens and errors. Wrapped rather than intercepted: half the cost of a call."""

    def __init__(
        self, channel: grpc.aio.Channel, signer: MeshSigner, spanning: grpc.aio.Channel | None = None
    ) -> None:
        """spanning: for calls whose trace is recorded; the interceptors on it cost every call half as much again."""
        self.signer = signer
        self._channel = channel
        self._spanning = spanning

    def unary_unary(
        self,
        method: str,
        request_serializer: "Serialize[RequestT] | None" = None,
        response_deserializer: "Deserialize[ResponseT] | None" = None,
        _registered_method: bool | None = False,
    ) -> grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT]:
        plain, spanning = (
            channel.unary_unary(method, request_serializer, response_deserializer)
            for channel in (self._channel, self._spanning or self._channel)
        )
        return _Unary(plain, spanning if self._spanning else None, method, self.signer)

    def unary_stream(
        self,
        method: str,
        request_serializer: "Serialize[RequestT] | None" = None,
        response_deserializer: "Deserialize[ResponseT] | None" = None,
        _registered_method: bool | None = False,
    ) -> grpc.aio.UnaryStreamMultiCallable[RequestT, ResponseT]:
        plain, spanning = (
            channel.unary_stream(method, request_serializer, response_deserializer)
            for channel in (self._channel, self._spanning or self._channel)
        )
        return _Streaming(plain, spanning if self._spanning else None, method, self.signer)

    def stream_unary(
        self,
        method: str,
        request_serializer: "Serialize[RequestT] | None" = None,
        response_deserializer: "Deserialize[ResponseT] | None" = None,
        _registered_method: bool | None = False,
    ) -> grpc.aio.StreamUnaryMultiCallable[RequestT, ResponseT]:
        raise NotImplementedError("no contract streams requests to one answer")

    def stream_stream(
        self,
        method: str,
        request_serializer: "Serialize[RequestT] | None" = None,
        response_deserializer: "Deserialize[ResponseT] | None" = None,
        _registered_method: bool | None = False,
    ) -> grpc.aio.StreamStreamMultiCallable[RequestT, ResponseT]:
        """gRPC's own, with nothing of ours: `sharing.py` knows what goes along with a call on a stream."""
        return self._channel.stream_stream(method, request_serializer, response_deserializer)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._channel.channel_ready()

    async def close(self, grace: float | None = None) -> None:
        await self._channel.close(grace)
        if self._spanning is not None:
            await self._spanning.close(grace)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()


class _Unary(grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT]):
    """One method with one answer."""

    def __init__(
        self,
        plain: grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT],
        spanning: grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT] | None,
        path: str,
        signer: MeshSigner,
    ) -> None:
        self._plain = plain
        self._spanning = spanning
        self._signer = signer
        self._path = path
        self._method = methods().get(path)

    def __call__(
        self,
        request: RequestT,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> grpc.aio.UnaryUnaryCall[RequestT, ResponseT]:
        timing, context = Timing(RPC_CLIENT, self._path), current_context()
        inner = self._spanning if self._spanning and makes_spans(context.traceparent) else self._plain
        spans = inner is self._spanning
        with continuing(context.traceparent) if spans else nullcontext():
            call = inner(
                request,
                timeout=seconds_of(timeout, self._method),
                metadata=metadata_of(context, self._signer, metadata or (), spans=spans),
                credentials=credentials,
                wait_for_ready=wait_for_ready,
                compression=compression,
            )
        return cast("grpc.aio.UnaryUnaryCall[RequestT, ResponseT]", _UnaryCall(call, self._method, timing))


class _UnaryCall(Generic[RequestT, ResponseT]):
    """A call under way; awaiting it raises our errors, all else is gRPC's."""

    def __init__(
        self, call: grpc.aio.UnaryUnaryCall[RequestT, ResponseT], method: Method | None, timing: Timing
    ) -> None:
        self._call = call
        self._method = method
        self._timing = timing

    def __await__(self) -> Generator[None, None, ResponseT]:
        with self._timing:
            try:
                return (yield from self._call.__await__())
            except grpc.aio.AioRpcError as error:
                self._timing.code = error.code().name
                raise error_of_rpc(error, self._method) from error

    def __getattr__(self, name: str) -> object:
        return getattr(self._call, name)


class _Streaming(grpc.aio.UnaryStreamMultiCallable[RequestT, ResponseT]):
    """One method with many answers."""

    def __init__(
        self,
        plain: grpc.aio.UnaryStreamMultiCallable[RequestT, ResponseT],
        spanning: grpc.aio.UnaryStreamMultiCallable[RequestT, ResponseT] | None,
        path: str,
        signer: MeshSigner,
    ) -> None:
        self._plain = plain
        self._spanning = spanning
        self._signer = signer
        self._path = path
        self._method = methods().get(path)

    def __call__(
        self,
        request: RequestT,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> grpc.aio.UnaryStreamCall[RequestT, ResponseT]:
        timing, context = Timing(RPC_CLIENT, self._path), current_context()
        inner = self._spanning if self._spanning and makes_spans(context.traceparent) else self._plain
        spans = inner is self._spanning
        with continuing(context.traceparent) if spans else nullcontext():
            call = inner(
                request,
                timeout=seconds_of(timeout, self._method),
                metadata=metadata_of(context, self._signer, metadata or (), spans=spans),
                credentials=credentials,
                wait_for_ready=wait_for_ready,
                compression=compression,
            )
        return cast(
            "grpc.aio.UnaryStreamCall[RequestT, ResponseT]", _StreamingCall(call, self._method, timing)
        )


class _StreamingCall(Generic[RequestT, ResponseT]):
    """A stream under way; reading it raises our errors, leaving it early ends the call."""

    def __init__(
        self, call: grpc.aio.UnaryStreamCall[RequestT, ResponseT], method: Method | None, timing: Timing
    ) -> None:
        self._call = call
        self._method = method
        self._timing = timing

    async def __aiter__(self) -> AsyncIterator[ResponseT]:
        with self._timing:
            try:
                async for message in self._call:
                    yield message
            except grpc.aio.AioRpcError as error:
                self._timing.code = error.code().name
                raise error_of_rpc(error, self._method) from error
            finally:
                self._call.cancel()

    def __getattr__(self, name: str) -> object:
        return getattr(self._call, name)
