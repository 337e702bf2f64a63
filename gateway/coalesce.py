"""Requests that wait together travel together. Open this file to see how an order gets into a batch.

A call costs its two ends about a millisecond and a half, whatever it carries. So a tenant has one call under way, and
further ones only where they are worth it; what comes meanwhile waits and leaves as one batch. Nothing waits for a
timer: at low load every request leaves at once and alone, by the ordinary call. Tenants take turns
(`libs/common/turns.py`), and one alone never has all the calls, so that nobody waits behind the backlog of another.
Each entry keeps its own token, correlation id, trace, answer and refusal; a batch that fails as a whole fails each of
its entries with what is known.
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
from libs.common.turns import Places, Turn, Turns, in_stretches

SUBMIT = "/ordermesh.order.v1.OrderService/SubmitOrder"
BATCH = "/ordermesh.order.v1.OrderService/BatchSubmitOrders"
PLACES = Places(batches_max=6, of_party_max=3, items_max=24, in_company_max=16, further_min=16)
"""Of calls under way: with three, gateway, order service and PostgreSQL each have one to work on. While several tenants
hand orders in, each entry costs what comes after it a quarter of a millisecond."""
STRETCH = 2
"""Answers told before anything else gets a turn, while several tenants hand orders in: each lets a request go on by
some 0.1 ms of work."""
WAITING_MAX = 4096


@dataclass(slots=True, eq=False)
class Waiting:
    """One submission on its way."""

    target: str
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
        self._waiting: Turns[Waiting] = Turns(
            PLACES, self._start, lambda waiting: not waiting.answered.done()
        )
        self._under_way: set[asyncio.Task[None]] = set()

    async def forward(
        self, target: str, method: Method, request: bytes, exchange: Exchange, *, seconds: float | None = None
    ) -> Answered:
        """See `Forward`."""
        if method.path != SUBMIT:
            return await self._alone(target, method, request, exchange, seconds=seconds)
        if len(self._waiting) >= WAITING_MAX:
            raise NotDone("OVERLOADED", "too many orders wait to be handed on")
        answered: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._waiting.add(exchange.caller.tenant, Waiting(target, request, exchange, answered))
        return await answered

    def _start(self, turn: Turn[Waiting]) -> None:
        task = asyncio.create_task(self._send(turn))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _send(self, turn: Turn[Waiting]) -> None:
        """The next batch leaves before the answers of this one are handed out."""
        sent = turn.items
        try:
            try:
                answered = await self._answer_to(sent)
            finally:
                self._waiting.ended(turn)
            await self._tell(sent, answered)
        except Exception as error:  # noqa: BLE001  (whatever it is, each waiting request gets it)
            for waiting in sent:
                waiting.fail(error)

    async def _answer_to(self, sent: Sequence[Waiting]) -> Answered:
        first = sent[0]
        if len(sent) == 1:
            return await self._alone(first.target, self._submit, first.request, first.exchange)
        request = order_service_pb2.BatchSubmitOrdersRequest(entries=[waiting.entry for waiting in sent])
        return await self._together(first.target, self._batch, request.SerializeToString(), first.exchange)

    async def _tell(self, sent: Sequence[Waiting], answered: Answered) -> None:
        if len(sent) == 1:
            sent[0].succeed(answered)
            return
        outcomes = order_service_pb2.BatchSubmitOrdersResponse.FromString(answered.content).outcomes
        assert len(outcomes) == len(sent), "a batch is answered entry by entry"
        stretch = STRETCH if self._waiting.in_company else len(sent)
        async for waiting, outcome in in_stretches(zip(sent, outcomes, strict=True), stretch):
            if outcome.WhichOneof("outcome") == "status":
                waiting.fail(error_of(Status.FromString(outcome.status), self._submit))
            else:
                waiting.succeed(Answered(outcome.response, outcome.replayed))
