"""Calls that share a stream, served as if each had come alone. Open this file to follow one from the stream to its
method and back.

    frame of calls  →  each: token, role, validation, method  →  frame of the answers that are there

What a call costs besides its work is paid once for the stream. Answers leave as they come: those that come while a
frame is being written leave with the next one. `sharing.py` is the other end.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from google.protobuf.message import Message
from ordermesh.common.v1 import batch_pb2
from ordermesh.connector.v1 import connector_service_pb2 as contract

from libs.common.context import CallContext, current
from libs.common.errors import NotDone, Refused
from libs.common.metrics import RPC_SERVER
from libs.common.rpc.call import ServicerContext
from libs.common.rpc.contract import Method
from libs.common.rpc.interceptors.context import unidentified
from libs.common.rpc.interceptors.deadline import end_in, within
from libs.common.rpc.interceptors.errors import told_as
from libs.common.rpc.interceptors.identity import Admission, identified
from libs.common.rpc.interceptors.measuring import Timing
from libs.common.rpc.interceptors.validation import Reading
from libs.common.rpc.status import CODES, status_of

UNDER_WAY_MAX = 256
"""Calls of one stream at a time; the next frame is not read before there are fewer."""
FRAME_BYTES_MAX = 1024 * 1024
"""No further answer is put into a frame that holds so much."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A method that may be called in a conversation."""

    method: Method
    decode: Callable[[bytes], Message]
    servicer: Callable[[Message, ServicerContext], Awaitable[Message]]


class Conversations:
    """Serves the conversations of one service."""

    def __init__(self, offered: Mapping[str, Offered], admission: Admission, reading: Reading) -> None:
        """offered: by the method's name."""
        self._offered = offered
        self._admission = admission
        self._reading = reading

    async def hold(
        self, frames: AsyncIterable[contract.ConverseRequest], servicer_context: ServicerContext
    ) -> AsyncIterator[contract.ConverseResponse]:
        """Answers until the caller has said everything and heard everything. Raises nothing of a call's own."""
        began = asyncio.get_running_loop().time()
        conversation = _Conversation(lambda call: self._answer(call, began, servicer_context))
        listening = asyncio.create_task(conversation.listen(frames))
        try:
            yield contract.ConverseResponse()
            async for answers in conversation.answers(listening):
                yield contract.ConverseResponse(answers=answers)
            await listening
        finally:
            conversation.break_off(listening)

    async def _answer(
        self, call: contract.ConversedCall, began: float, servicer_context: ServicerContext
    ) -> batch_pb2.BatchOutcome:
        """What becomes of one call, which has a task of its own. began: the conversation, on the loop's clock."""
        offered = self._offered.get(call.method)
        if offered is None:
            error = Refused("NOT_SUPPORTED", "no such method may be called in a conversation")
            return batch_pb2.BatchOutcome(status=status_of(error).SerializeToString())
        entry = call.entry
        context = unidentified(entry.correlation_id, entry.causation_id, entry.traceparent)
        current.set(context)
        with Timing(RPC_SERVER, offered.method.path) as timing:
            try:
                request = self._request(call, offered, context)
                seconds = seconds_left(call, began, offered.method)
                end_in(seconds)
                async with within(seconds, offered.method):
                    response = await offered.servicer(request, servicer_context)
            except Exception as error:  # noqa: BLE001  (the outermost frame of a call)
                status = status_of(told_as(error, offered.method))
                timing.code = CODES[status.code].name
                return batch_pb2.BatchOutcome(status=status.SerializeToString())
        return batch_pb2.BatchOutcome(response=response.SerializeToString())

    def _request(self, call: contract.ConversedCall, offered: Offered, context: CallContext) -> Message:
        """Raises what the call is refused with before it begins; its context is complete then."""
        known = identified(context, self._admission.identity(call.entry.authorization))
        current.set(known)
        self._admission.refuse_stranger(known, offered.method)
        return self._reading.request(offered.decode, call.entry.request)


def seconds_left(call: contract.ConversedCall, began: float, method: Method) -> float:
    """NotDone when its caller may have given it up: it could come after what has been done in its place."""
    deadline = began + call.deadline.seconds + call.deadline.nanos / 1e9
    seconds = deadline - asyncio.get_running_loop().time()
    if seconds <= 0:
        raise NotDone("DEADLINE_EXCEEDED", "the deadline had passed before the call began")
    return min(seconds, method.timeout_seconds)


class _Conversation:
    """What is under way of one stream."""

    def __init__(self, answer: Callable[[contract.ConversedCall], Awaitable[batch_pb2.BatchOutcome]]) -> None:
        self._answer_one = answer
        self._under_way: dict[asyncio.Task[None], None] = {}
        """In the order in which they began, which is that of breaking them off."""
        self._ready: deque[contract.ConversedAnswer] = deque()
        self._changed = asyncio.Event()
        self._fewer = asyncio.Event()

    async def listen(self, frames: AsyncIterable[contract.ConverseRequest]) -> None:
        async for frame in frames:
            for call in frame.calls:
                task = asyncio.create_task(self._answer(call))
                self._under_way[task] = None
                task.add_done_callback(self._ended)
            while len(self._under_way) >= UNDER_WAY_MAX:
                self._fewer.clear()
                await self._fewer.wait()

    async def _answer(self, call: contract.ConversedCall) -> None:
        outcome = await self._answer_one(call)
        self._ready.append(contract.ConversedAnswer(number=call.number, outcome=outcome))

    def _ended(self, task: "asyncio.Task[None]") -> None:
        del self._under_way[task]
        self._changed.set()
        self._fewer.set()

    async def answers(self, listening: "asyncio.Task[None]") -> AsyncIterator[list[contract.ConversedAnswer]]:
        listening.add_done_callback(lambda _: self._changed.set())
        while True:
            self._changed.clear()
            if self._ready:
                yield self._next_answers()
            elif listening.done() and not self._under_way:
                return
            else:
                await self._changed.wait()

    def _next_answers(self) -> list[contract.ConversedAnswer]:
        """What is ready, as far as it fits into a message: an answer holds what went over the wire."""
        answers, size = list[contract.ConversedAnswer](), 0
        while self._ready and size < FRAME_BYTES_MAX:
            answers.append(self._ready.popleft())
            size += len(answers[-1].outcome.response)
        return answers

    def break_off(self, listening: "asyncio.Task[None]") -> None:
        """Whoever asked has gone: nothing is left running."""
        for task in (listening, *self._under_way):
            task.cancel()
