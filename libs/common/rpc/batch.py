"""Calls that travel together, served as if each had come alone. Open this file to follow a batch into its entries.

Each entry has its own token, context, checks, answer or refusal. They are read in stretches, so that other calls get
their turn, and begun in one go, without a task for each, so that they meet in one group commit; what a call costs
besides its work is paid once for all of them.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Any, Generic, Protocol, TypeVar, cast

from google.protobuf.message import Message
from ordermesh.common.v1 import batch_pb2

from libs.common.context import CallContext, using
from libs.common.identity import Identity, Verifier
from libs.common.rpc.contract import Method, methods
from libs.common.rpc.interceptors.context import unidentified
from libs.common.rpc.interceptors.errors import told_as
from libs.common.rpc.interceptors.identity import Admission, identified
from libs.common.rpc.interceptors.validation import Reading
from libs.common.rpc.status import status_of
from libs.common.telemetry import spans_of_batch
from libs.common.turns import in_stretches

RequestT = TypeVar("RequestT", bound=Message)

STRETCH = 16
"""Entries that are read before anything else gets a turn: about a millisecond."""


class Answer(Protocol):
    """What an entry is answered with."""

    @property
    def answer(self) -> bytes: ...

    @property
    def replayed(self) -> bool:
        """True when the answer was given before."""


class Begun(Protocol):
    """An entry under way: a future of its answer."""

    def __await__(self) -> Generator[Any, Any, Answer]: ...

    def cancel(self) -> object: ...


Begin = Callable[[RequestT], Begun]
"""Begins one entry at once, its context being set. Raises what refuses it."""


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
        callers: dict[str, Identity] = {}
        asked = in_stretches(zip(entries, traces, strict=True), STRETCH)
        read = [self._read(entry, trace, callers) async for entry, trace in asked]
        begun = [(context, self._begun(context, request)) for context, request in read]
        outcomes: list[batch_pb2.BatchOutcome] = []
        try:
            # One after the other: those of one commit end together, and what has ended costs nothing to wait for.
            for context, begin in begun:
                outcomes.append(await self._outcome(context, begin))
        finally:
            for _, begin in begun[len(outcomes) :]:
                if not isinstance(begin, Exception):
                    begin.cancel()
        return outcomes

    def _read(
        self, sent: batch_pb2.BatchEntry, trace: str, callers: dict[str, Identity]
    ) -> tuple[CallContext, RequestT | Exception]:
        """callers: by what they authorize themselves with; entries of a batch mostly come from one or a few."""
        context = unidentified(sent.correlation_id, sent.causation_id, trace)
        try:
            authorization = sent.authorization
            if authorization not in callers:
                callers[authorization] = self._admission.identity(authorization)
            context = identified(context, callers[authorization])
            self._admission.refuse_stranger(context, self._method)
            request = self._reading.request(self._request_type.FromString, sent.request)
            return context, cast(RequestT, request)
        except Exception as error:  # noqa: BLE001  (the outermost frame of an entry)
            return context, error

    def _begun(self, context: CallContext, request: RequestT | Exception) -> Begun | Exception:
        if isinstance(request, Exception):
            return request
        try:
            with using(context):
                return self._begin(request)
        except Exception as error:  # noqa: BLE001  (as above)
            return error

    async def _outcome(self, context: CallContext, begun: Begun | Exception) -> batch_pb2.BatchOutcome:
        try:
            if isinstance(begun, Exception):
                raise begun
            ended = await begun
        except Exception as error:  # noqa: BLE001  (the outermost frame of an entry)
            with using(context):
                status = status_of(told_as(error, self._method))
            return batch_pb2.BatchOutcome(status=status.SerializeToString())
        return batch_pb2.BatchOutcome(response=ended.answer, replayed=ended.replayed)
