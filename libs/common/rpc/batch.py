"""Calls that travel together, served as if each had come alone. Open this file to follow a batch into its entries.

Each entry has its own token, context, checks, answer or refusal; entries run side by side, so they meet in the same
group commit.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from google.protobuf.message import Message
from ordermesh.common.v1 import batch_pb2

from libs.common.context import current
from libs.common.identity import Verifier
from libs.common.rpc.call import Call, ServicerContext
from libs.common.rpc.contract import Method, methods
from libs.common.rpc.interceptors.context import CORRELATION_KEY, TRACEPARENT_KEY, context_in
from libs.common.rpc.interceptors.errors import as_ours
from libs.common.rpc.interceptors.identity import AUTHORIZATION_KEY, Admission
from libs.common.rpc.interceptors.validation import Reading
from libs.common.rpc.replay import REPLAYED_KEY, serving
from libs.common.rpc.status import status_of

RequestT = TypeVar("RequestT", bound=Message)


@dataclass(slots=True)
class _Noted:
    """Stands in for gRPC's context where an entry has none of its own: hears what is said of its answer."""

    replayed: bool = False

    def set_trailing_metadata(self, pairs: Sequence[tuple[str, str]]) -> None:
        self.replayed = self.replayed or (REPLAYED_KEY, "true") in pairs


class Batch(Generic[RequestT]):
    """Runs one method for each entry."""

    def __init__(
        self,
        path: str,
        request_type: type[RequestT],
        servicer: Callable[[RequestT, ServicerContext], Awaitable[Message]],
        verifier: Verifier,
    ) -> None:
        self._method: Method = methods()[path]
        self._request_type = request_type
        self._servicer = servicer
        self._admission = Admission(verifier)
        self._reading = Reading()

    async def run(self, entries: Sequence[batch_pb2.BatchEntry]) -> list[batch_pb2.BatchOutcome]:
        """One outcome per entry, in order. Raises nothing of an entry's own."""
        return list(await asyncio.gather(*(self._run_entry(entry) for entry in entries)))

    async def _run_entry(self, entry: batch_pb2.BatchEntry) -> batch_pb2.BatchOutcome:
        noted = _Noted()
        servicer_context = cast(ServicerContext, noted)
        metadata = {
            AUTHORIZATION_KEY: entry.authorization,
            CORRELATION_KEY: entry.correlation_id,
            TRACEPARENT_KEY: entry.traceparent,
        }
        context = context_in(metadata)
        current.set(context)
        serving.set(servicer_context)
        try:
            self._admission(Call(self._method, servicer_context, metadata, context))
            request = cast(RequestT, self._reading.request(self._request_type.FromString, entry.request))
            response = await self._servicer(request, servicer_context)
        except Exception as error:  # noqa: BLE001  (the outermost frame of an entry)
            status = status_of(as_ours(error, self._method))
            return batch_pb2.BatchOutcome(status=status.SerializeToString())
        return batch_pb2.BatchOutcome(response=response.SerializeToString(), replayed=noted.replayed)
