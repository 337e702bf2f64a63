"""Calls that are under way at the same time share a stream. Open this file when a call to a connector got no answer.

    connector = share(ConnectorServiceStub(channel), channel)
    answer = await connector.ApplyChange(request)      # raises what the ordinary call raises

A call costs its two ends 0.3 ms of CPU besides its work, and a third of that on a stream that is there already. So
few calls go alone, as ever, and what comes while several are under way goes by a stream. Nothing waits for a timer: a
frame is what came while the last one was being written. A stream lasts seconds, and no longer than there are calls on
it: an instance that shuts down is left soon, and a new one gets its part.

A call whose time is up is not begun at the other end, however long it was on its way: whoever has given it up looks
whether it took effect, and does something in its place.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar, cast

import grpc
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from ordermesh.common.v1 import batch_pb2
from ordermesh.connector.v1 import connector_service_pb2 as contract

from libs.common.context import CallContext, current_context
from libs.common.errors import OutcomeUnknown
from libs.common.metrics import RPC_CLIENT
from libs.common.reach import Reach, after, kind_after
from libs.common.rpc.channel import MeshChannel
from libs.common.rpc.contract import Method, methods
from libs.common.rpc.interceptors.measuring import Timing
from libs.common.rpc.sending import metadata_of, seconds_of
from libs.common.rpc.status import CODES, error_of, error_of_rpc
from libs.common.telemetry import makes_spans

CONVERSE = "/ordermesh.connector.v1.ConnectorService/Converse"
ALONE_MAX = 3
"""So many calls at a time go alone."""
STREAM_SECONDS = 2.0
"""No call is begun on a stream that is older."""
FRAME_CALLS_MAX = 100
FRAME_BYTES_MAX = 1024 * 1024
CALL_BYTES_MAX = 256 * 1024
"""A larger request goes alone."""
ANSWERS: Mapping[str, type[Message]] = {
    "ApplyChange": contract.ApplyChangeResponse,
    "FindByKey": contract.FindByKeyResponse,
    "CheckOrder": contract.CheckOrderResponse,
}
"""Methods of deliveries and stages, by name."""

StubT = TypeVar("StubT")
RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)
Stream: TypeAlias = "grpc.aio.StreamStreamCall[contract.ConverseRequest, contract.ConverseResponse]"


class NotOffered(Exception):
    """The other end knows no streams: nothing of what was sent took effect."""


def share(stub: StubT, channel: grpc.aio.Channel) -> StubT:
    """The stub of a connector, with calls of `ANSWERS` that may share a stream where the channel is one of ours."""
    if isinstance(channel, MeshChannel):
        shared = Shared(channel)
        for name, response_type in ANSWERS.items():
            setattr(stub, name, SharedCalls(shared, getattr(stub, name), name, response_type))
    return stub


@dataclass(slots=True, eq=False)
class Said:
    """One call on a stream."""

    call: contract.ConversedCall
    method: Method
    answered: "asyncio.Future[batch_pb2.BatchOutcome]"
    ends_at: float
    """When its caller gives it up, on the loop's clock."""
    is_sent: bool = False

    @property
    def reach(self) -> Reach:
        return Reach.SENT if self.is_sent else Reach.NOT_SENT


class Shared:
    """Calls to one connector over one channel."""

    def __init__(self, channel: MeshChannel) -> None:
        self._converse = channel.stream_stream(
            CONVERSE, contract.ConverseRequest.SerializeToString, contract.ConverseResponse.FromString
        )
        self._method = methods()[CONVERSE]
        self._signer = channel.signer
        self._newest: _Conversation | None = None
        self._running: set[asyncio.Task[None]] = set()
        self.under_way = 0
        self.is_offered = True
        """Until the connector says that it has no such method; it is believed for as long as this process runs."""

    def say(self, call: contract.ConversedCall, method: Method, context: CallContext, seconds: float) -> Said:
        """The call, under way. seconds: how long its caller waits."""
        if self._newest is None or not self._newest.takes_more:
            self._newest = _Conversation()
            task = asyncio.create_task(self._newest.run(lambda: self._open(context)))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return self._newest.say(call, method, seconds)

    def entry(self, request: bytes, context: CallContext) -> batch_pb2.BatchEntry:
        return batch_pb2.BatchEntry(
            authorization=f"Bearer {self._signer.token(context.tenant)}",
            correlation_id=context.correlation_id,
            causation_id=context.causation_id,
            traceparent=context.traceparent,
            request=request,
        )

    def _open(self, context: CallContext) -> Stream:
        """With a deadline of its own: that of the call that comes first is not the others'."""
        stream = self._converse(
            timeout=self._method.timeout_seconds,
            metadata=metadata_of(context, self._signer, (), spans=False),
        )
        return cast(Stream, stream)


class SharedCalls(Generic[RequestT, ResponseT]):
    """One method."""

    def __init__(
        self,
        shared: Shared,
        alone: Callable[..., Awaitable[ResponseT]],
        name: str,
        response_type: type[ResponseT],
    ) -> None:
        self._shared = shared
        self._alone = alone
        self._name = name
        self._response_type = response_type
        self._method = methods()[f"{CONVERSE.rpartition('/')[0]}/{name}"]

    async def __call__(self, request: RequestT, timeout: float | None = None) -> ResponseT:
        """Raises what the ordinary call raises."""
        shared, context = self._shared, current_context()
        shared.under_way += 1
        try:
            if shared.under_way > ALONE_MAX and shared.is_offered and not makes_spans(context.traceparent):
                data = request.SerializeToString()
                if len(data) <= CALL_BYTES_MAX:
                    return await self._by_stream(data, context, timeout)
            return await self._alone(request, timeout=timeout)
        except NotOffered:
            shared.is_offered = False
            return await self._alone(request, timeout=timeout)
        finally:
            shared.under_way -= 1

    async def _by_stream(self, request: bytes, context: CallContext, wanted: float | None) -> ResponseT:
        with Timing(RPC_CLIENT, self._method.path) as timing:
            outcome = await self._outcome(request, context, wanted)
            if outcome.WhichOneof("outcome") == "status":
                status = Status.FromString(outcome.status)
                timing.code = CODES[status.code].name
                raise error_of(status, self._method)
        return self._response_type.FromString(outcome.response)

    async def _outcome(
        self, request: bytes, context: CallContext, wanted: float | None
    ) -> batch_pb2.BatchOutcome:
        call = contract.ConversedCall(method=self._name, entry=self._shared.entry(request, context))
        seconds = seconds_of(wanted, self._method)
        assert seconds is not None, "every method of a contract has a deadline"
        said = self._shared.say(call, self._method, context, seconds)
        try:
            async with asyncio.timeout(seconds):
                return await said.answered
        except TimeoutError as error:
            kind = kind_after(said.reach, effect=self._method.effect)
            raise kind("DEADLINE_EXCEEDED", "the call was not answered in time") from error


class _Conversation:
    """One stream, from its first call to its last answer."""

    def __init__(self) -> None:
        self._ends = asyncio.get_running_loop().time() + STREAM_SECONDS
        self._count = 0
        self._waiting: deque[Said] = deque()
        self._unanswered: dict[int, Said] = {}
        self._changed = asyncio.Event()
        self._admitted = 0.0
        """When the first answer came; 0 before."""
        self._is_over = False

    @property
    def takes_more(self) -> bool:
        return not self._is_over and asyncio.get_running_loop().time() < self._ends

    def say(self, call: contract.ConversedCall, method: Method, seconds: float) -> Said:
        self._count = call.number = self._count + 1
        loop = asyncio.get_running_loop()
        said = Said(call, method, loop.create_future(), loop.time() + seconds)
        self._waiting.append(said)
        self._unanswered[call.number] = said
        self._changed.set()
        return said

    async def run(self, open_stream: Callable[[], Stream]) -> None:
        """Nobody is left without an answer, whatever ends the stream."""
        failure: Exception | None = None
        try:
            await self._hold(open_stream())
        except Exception as error:  # noqa: BLE001  (whatever it is, each call hears what is known of it)
            failure = error
        finally:
            self._is_over = True
            for said in self._unanswered.values():
                if not said.answered.done():
                    said.answered.set_exception(self._known(said, failure))

    async def _hold(self, stream: Stream) -> None:
        listening = asyncio.create_task(self._listen(stream))
        try:
            await self._speak(stream, listening)
            await listening
        finally:
            listening.cancel()
            stream.cancel()

    async def _speak(self, stream: Stream, listening: "asyncio.Task[None]") -> None:
        listening.add_done_callback(lambda _: self._changed.set())
        while not listening.done():
            self._changed.clear()
            if self._admitted and (frame := self._next_frame(self._admitted)):
                await stream.write(frame)
            elif self._waiting or (self._unanswered and self.takes_more):
                await self._changed.wait()
            else:
                break
        self._is_over = True
        await stream.done_writing()

    def _next_frame(self, admitted: float) -> contract.ConverseRequest | None:
        """What waits and is waited for. None when there is nothing."""
        calls, size = list[contract.ConversedCall](), 0
        while self._waiting and len(calls) < FRAME_CALLS_MAX and size < FRAME_BYTES_MAX:
            said = self._waiting.popleft()
            if said.answered.done():
                del self._unanswered[said.call.number]
                continue
            said.is_sent = True
            said.call.deadline.FromNanoseconds(int((said.ends_at - admitted) * 1e9))
            calls.append(said.call)
            size += len(said.call.entry.request)
        return contract.ConverseRequest(calls=calls) if calls else None

    async def _listen(self, stream: Stream) -> None:
        async for frame in stream:
            self._admitted = self._admitted or asyncio.get_running_loop().time()
            for answer in frame.answers:
                said = self._unanswered.pop(answer.number, None)
                if said is not None and not said.answered.done():
                    said.answered.set_result(answer.outcome)
            if not self._unanswered or self._waiting:
                self._changed.set()

    def _known(self, said: Said, failure: Exception | None) -> Exception:
        """What is known of a call without an answer. The status of a stream that was not opened tells it; later it says
        nothing of the calls that were under way."""
        if isinstance(failure, grpc.aio.AioRpcError) and not self._admitted:
            if failure.code() is grpc.StatusCode.UNIMPLEMENTED:
                return NotOffered()
            refused = error_of_rpc(failure, said.method)
            if not isinstance(refused, OutcomeUnknown):
                return refused
        lost = "the connection ended before the answer"
        return after(said.reach, effect=said.method.effect, detail=lost, not_done="UNAVAILABLE")
