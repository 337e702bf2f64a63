"""Calls that travel together, served as if each had come alone. Open this file to follow a batch into its entries.

Each entry has its own token, context, checks, answer or refusal. They are begun one after the other, without a task
for each, and so meet in one group commit; what a call costs besides its work is paid once for all of them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar, cast

from google.protobuf.message import Message
from ordermesh.common.v1 import batch_pb2

from libs.common.context import CallContext, using
from libs.common.identity import Verifier
from libs.common.rpc.contract import Method, methods
from libs.common.rpc.interceptors.context import unidentified
from libs.common.rpc.interceptors.errors import told_as
from libs.common.rpc.interceptors.identity import Admission
from libs.common.rpc.interceptors.validation import Reading
from libs.common.rpc.status import status_of
from libs.common.telemetry import spans_of_batch

RequestT = TypeVar("RequestT", bound=Message)


class Answer(Protocol):
    """What an entry is answered with."""

    @property
    def answer(self) -> bytes: ...

    @property
    def replayed(self) -> bool:
        """True when the answer was given before."""


Begin = Callable[[RequestT], Awaitable[Answer]]
"""Begins one entry at once, its context being set; what it returns may be cancelled. Raises what refuses it."""


class Batch(Generic[RequestT]):
    """Runs one method for each entry."""

    def __init__(
        self, path: str, request_type: type[RequestT], begin: Begin[RequestT], verifier: Verifier
    ) -> None:
        self._method: Method = methods()[path]
        self._request_type = request_type
        self._begin = begin
        self._admission = Admission(verifier)
        self._reading = Reading()

    async def run(self, entries: Sequence[batch_pb2.BatchEntry]) -> list[batch_pb2.BatchOutcome]:
        """One outcome per entry, in order. Raises nothing of an entry's own."""
        with spans_of_batch(self._method.path[1:], [entry.traceparent for entry in entries]) as traces:
            return await self._run(entries, traces)

    async def _run(
        self, entries: Sequence[batch_pb2.BatchEntry], traces: Sequence[str]
    ) -> list[batch_pb2.BatchOutcome]:
        begun = [self._begun(entry, trace) for entry, trace in zip(entries, traces, strict=True)]
        waiting = [begin for _, begin in begun if not isinstance(begin, Exception)]
        ended = iter(await asyncio.gather(*waiting, return_exceptions=True))
        return [
            self._outcome(context, begin if isinstance(begin, Exception) else next(ended))
            for context, begin in begun
        ]

    def _begun(
        self, sent: batch_pb2.BatchEntry, trace: str
    ) -> tuple[CallContext, Awaitable[Answer] | Exception]:
        context = unidentified(sent.correlation_id, "", trace)
        try:
            context = self._admission.identified(sent.authorization, context)
            self._admission.refuse_stranger(context, self._method)
            with using(context):
                request = self._reading.request(self._request_type.FromString, sent.request)
                return context, self._begin(cast(RequestT, request))
        except Exception as error:  # noqa: BLE001  (the outermost frame of an entry)
            return context, error

    def _outcome(self, context: CallContext, ended: Answer | BaseException) -> batch_pb2.BatchOutcome:
        if not isinstance(ended, BaseException):
            return batch_pb2.BatchOutcome(response=ended.answer, replayed=ended.replayed)
        if not isinstance(ended, Exception):
            raise ended
        with using(context):
            status = status_of(told_as(ended, self._method))
        return batch_pb2.BatchOutcome(status=status.SerializeToString())
