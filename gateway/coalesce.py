"""Requests that wait together travel together. Open this file to see how an order gets into a batch.

A call costs its two ends about half a millisecond, whatever it carries. So at most two calls to a method are under way;
what comes meanwhile waits and leaves as one batch when one of them ends. There is no timer: at low load every request
leaves at once and alone, by the ordinary call. Each entry keeps its own token, correlation id, trace, answer and
refusal; a batch that fails as a whole fails each of its entries with what is known.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from google.rpc.status_pb2 import Status
from ordermesh.common.v1 import batch_pb2
from ordermesh.order.v1 import order_service_pb2

from gateway.exchange import Exchange
from gateway.forward import Answered, Forward
from libs.common.errors import NotDone
from libs.common.rpc.contract import Method, methods
from libs.common.rpc.status import error_of

SUBMIT = "/ordermesh.order.v1.OrderService/SubmitOrder"
BATCH = "/ordermesh.order.v1.OrderService/BatchSubmitOrders"
UNDER_WAY_MAX = 2
ENTRIES_MAX = 64
WAITING_MAX = 4096


@dataclass(slots=True, eq=False)
class Waiting:
    """One submission on its way."""

    request: bytes
    exchange: Exchange
    answered: "asyncio.Future[Answered]"

    @property
    def entry(self) -> batch_pb2.BatchEntry:
        return batch_pb2.BatchEntry(
            authorization=f"Bearer {self.exchange.token}",
            correlation_id=self.exchange.correlation_id,
            traceparent=self.exchange.traceparent,
            request=self.request,
        )

    def succeed(self, answered: Answered) -> None:
        if not self.answered.done():
            self.answered.set_result(answered)

    def fail(self, error: BaseException) -> None:
        if not self.answered.done():
            self.answered.set_exception(error)


class Coalesced:
    """A `Forward` that lets submissions travel together and everything else pass."""

    def __init__(self, alone: Forward, together: Forward) -> None:
        """alone: sends with the caller's token. together: sends with a token of the gateway's own."""
        self._alone = alone
        self._together = together
        self._submit = methods()[SUBMIT]
        self._batch = methods()[BATCH]
        self._waiting: list[Waiting] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._send_asked = False

    async def forward(
        self, target: str, method: Method, request: bytes, exchange: Exchange, *, seconds: float | None = None
    ) -> Answered:
        """See `Forward`."""
        if method.path != SUBMIT:
            return await self._alone(target, method, request, exchange, seconds=seconds)
        if len(self._waiting) >= WAITING_MAX:
            raise NotDone("OVERLOADED", "too many orders wait to be handed on")
        loop = asyncio.get_running_loop()
        waiting = Waiting(request, exchange, loop.create_future())
        self._waiting.append(waiting)
        if not self._send_asked:
            self._send_asked = True
            # Once what is ready now has run: requests that arrived at the same moment leave together.
            loop.call_soon(self._send_waiting, target)
        return await waiting.answered

    def _send_waiting(self, target: str) -> None:
        self._send_asked = False
        while self._waiting and len(self._under_way) < UNDER_WAY_MAX:
            sent, self._waiting = self._waiting[:ENTRIES_MAX], self._waiting[ENTRIES_MAX:]
            task = asyncio.create_task(self._send(target, sent))
            self._under_way.add(task)
            task.add_done_callback(lambda ended: self._ended(target, ended))

    def _ended(self, target: str, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        self._send_waiting(target)

    async def _send(self, target: str, sent: Sequence[Waiting]) -> None:
        try:
            if len(sent) == 1:
                sent[0].succeed(await self._alone(target, self._submit, sent[0].request, sent[0].exchange))
            else:
                await self._send_together(target, sent)
        except Exception as error:  # noqa: BLE001  (whatever it is, each waiting request gets it)
            for waiting in sent:
                waiting.fail(error)

    async def _send_together(self, target: str, sent: Sequence[Waiting]) -> None:
        request = order_service_pb2.BatchSubmitOrdersRequest(entries=[waiting.entry for waiting in sent])
        answered = await self._together(target, self._batch, request.SerializeToString(), sent[0].exchange)
        outcomes = order_service_pb2.BatchSubmitOrdersResponse.FromString(answered.content).outcomes
        assert len(outcomes) == len(sent), "a batch is answered entry by entry"
        for waiting, outcome in zip(sent, outcomes, strict=True):
            if outcome.WhichOneof("outcome") == "status":
                waiting.fail(error_of(Status.FromString(outcome.status), self._submit))
            else:
                waiting.succeed(Answered(outcome.response, outcome.replayed))
