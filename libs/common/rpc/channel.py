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
from types import TracebackType
from typing import Generic, Self, TypeVar, cast

import grpc

from libs.common.config import ProcessSettings
from libs.common.context import CallContext, current_context
from libs.common.errors import NotDone
from libs.common.identity import MeshSigner
from libs.common.rpc.contract import Method, methods, service_config_text
from libs.common.rpc.interceptors.context import CAUSATION_KEY, CORRELATION_KEY, TRACEPARENT_KEY
from libs.common.rpc.interceptors.deadline import seconds_for
from libs.common.rpc.interceptors.identity import AUTHORIZATION_KEY
from libs.common.rpc.server import MESSAGE_BYTES_MAX
from libs.common.rpc.status import error_of_rpc
from libs.common.telemetry import channel_interceptors, continuing, is_recording

Metadata = grpc.aio.Metadata | Sequence[tuple[str, str | bytes]]
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
    return MeshChannel(target, MeshSigner(settings, process_name))


class MeshChannel(grpc.aio.Channel):
    """gRPC's channel with our context, tokens and errors. Wrapped rather than intercepted: half the cost of a call."""

    def __init__(self, target: str, signer: MeshSigner) -> None:
        self._signer = signer
        self._channel = grpc.aio.insecure_channel(
            target,
            options=(*CHANNEL_OPTIONS, ("grpc.service_config", service_config_text())),
            interceptors=channel_interceptors(),
        )

    def unary_unary(
        self,
        method: str,
        request_serializer: "Serialize[RequestT] | None" = None,
        response_deserializer: "Deserialize[ResponseT] | None" = None,
        _registered_method: bool | None = False,
    ) -> grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT]:
        inner = self._channel.unary_unary(method, request_serializer, response_deserializer)
        return _Unary(inner, method, self._signer)

    def unary_stream(
        self,
        method: str,
        request_serializer: "Serialize[RequestT] | None" = None,
        response_deserializer: "Deserialize[ResponseT] | None" = None,
        _registered_method: bool | None = False,
    ) -> grpc.aio.UnaryStreamMultiCallable[RequestT, ResponseT]:
        inner = self._channel.unary_stream(method, request_serializer, response_deserializer)
        return _Streaming(inner, method, self._signer)

    def stream_unary(
        self,
        method: str,
        request_serializer: "Serialize[RequestT] | None" = None,
        response_deserializer: "Deserialize[ResponseT] | None" = None,
        _registered_method: bool | None = False,
    ) -> grpc.aio.StreamUnaryMultiCallable[RequestT, ResponseT]:
        raise NotImplementedError("no contract streams requests")

    def stream_stream(
        self,
        method: str,
        request_serializer: "Serialize[RequestT] | None" = None,
        response_deserializer: "Deserialize[ResponseT] | None" = None,
        _registered_method: bool | None = False,
    ) -> grpc.aio.StreamStreamMultiCallable[RequestT, ResponseT]:
        raise NotImplementedError("no contract streams requests")

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._channel.channel_ready()

    async def close(self, grace: float | None = None) -> None:
        await self._channel.close(grace)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()


def _metadata(context: CallContext, signer: MeshSigner, given: Metadata) -> Metadata:
    """The context as metadata; what the caller gives takes precedence."""
    given_keys = {key for key, _ in given}
    sent: list[tuple[str, str | bytes]] = [(CORRELATION_KEY, context.correlation_id)]
    if context.causation_id:
        sent.append((CAUSATION_KEY, context.causation_id))
    if context.traceparent and not is_recording():
        sent.append((TRACEPARENT_KEY, context.traceparent))
    if AUTHORIZATION_KEY not in given_keys:
        assert context.tenant, "a call of our own needs the tenant it is made for"
        sent.append((AUTHORIZATION_KEY, f"Bearer {signer.token(context.tenant)}"))
    return [*(pair for pair in sent if pair[0] not in given_keys), *given] if given else sent


def _seconds(timeout: float | None, method: Method | None) -> float | None:
    """The deadline to send. Without it the service config would end the call here, and the server would not know."""
    wanted = timeout if timeout is not None or method is None else method.timeout_seconds
    seconds = seconds_for(wanted)
    if seconds is not None and seconds <= 0:
        raise NotDone("DEADLINE_EXCEEDED", "the deadline had passed before the call was made")
    return seconds


class _Unary(grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT]):
    """One method with one answer."""

    def __init__(
        self, inner: grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT], path: str, signer: MeshSigner
    ) -> None:
        self._inner = inner
        self._signer = signer
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
        context = current_context()
        with continuing(context.traceparent):
            call = self._inner(
                request,
                timeout=_seconds(timeout, self._method),
                metadata=_metadata(context, self._signer, metadata or ()),
                credentials=credentials,
                wait_for_ready=wait_for_ready,
                compression=compression,
            )
        return cast("grpc.aio.UnaryUnaryCall[RequestT, ResponseT]", _UnaryCall(call, self._method))


class _UnaryCall(Generic[RequestT, ResponseT]):
    """A call under way; awaiting it raises our errors, all else is gRPC's."""

    def __init__(self, call: grpc.aio.UnaryUnaryCall[RequestT, ResponseT], method: Method | None) -> None:
        self._call = call
        self._method = method

    def __await__(self) -> Generator[None, None, ResponseT]:
        try:
            return (yield from self._call.__await__())
        except grpc.aio.AioRpcError as error:
            raise error_of_rpc(error, self._method) from error

    def __getattr__(self, name: str) -> object:
        return getattr(self._call, name)


class _Streaming(grpc.aio.UnaryStreamMultiCallable[RequestT, ResponseT]):
    """One method with many answers."""

    def __init__(
        self, inner: grpc.aio.UnaryStreamMultiCallable[RequestT, ResponseT], path: str, signer: MeshSigner
    ) -> None:
        self._inner = inner
        self._signer = signer
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
        context = current_context()
        with continuing(context.traceparent):
            call = self._inner(
                request,
                timeout=_seconds(timeout, self._method),
                metadata=_metadata(context, self._signer, metadata or ()),
                credentials=credentials,
                wait_for_ready=wait_for_ready,
                compression=compression,
            )
        return cast("grpc.aio.UnaryStreamCall[RequestT, ResponseT]", _StreamingCall(call, self._method))


class _StreamingCall(Generic[RequestT, ResponseT]):
    """A stream under way; reading it raises our errors, leaving it early ends the call."""

    def __init__(self, call: grpc.aio.UnaryStreamCall[RequestT, ResponseT], method: Method | None) -> None:
        self._call = call
        self._method = method

    async def __aiter__(self) -> AsyncIterator[ResponseT]:
        try:
            async for message in self._call:
                yield message
        except grpc.aio.AioRpcError as error:
            raise error_of_rpc(error, self._method) from error
        finally:
            self._call.cancel()

    def __getattr__(self, name: str) -> object:
        return getattr(self._call, name)
