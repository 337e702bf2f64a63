"""Requests that wait together travel together. Open this file to see how an order gets into a batch.

A call costs its two ends about half a millisecond, whatever it carries. So at most two calls of a tenant are under way;
what comes meanwhile waits and leaves as one batch when one of them ends. There is no timer: at low load every request
leaves at once and alone, by the ordinary call. Tenants take turns (`libs/common/turns.py`), and one alone never has all
the calls, so that nobody waits behind the backlog of another. Each entry keeps its own token, correlation id, trace,
answer and refusal; a batch that fails as a whole fails each of its entries with what is known.
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
from libs.common.turns import Turn, Turns, in_stretches

SUBMIT = "/ordermesh.order.v1.OrderService/SubmitOrder"
BATCH = "/ordermesh.order.v1.OrderService/BatchSubmitOrders"
UNDER_WAY_MAX = 4
OF_TENANT_MAX = 2
ENTRIES_MAX = 64
IN_COMPANY_MAX = 16
"""Entries of a batch while several tenants hand orders in: each costs what comes after it a third of a millisecond."""
STRETCH = 8
"""Answers told before anything else gets a turn, while several tenants hand orders in: each lets a request go on by
some 0.1 ms of work."""
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
        self._waiting: Turns[Waiting] = Turns(
            lambda waiting: not waiting.answered.done(),
            batches_max=UNDER_WAY_MAX,
            of_party_max=OF_TENANT_MAX,
            items_max=ENTRIES_MAX,
            in_company_max=IN_COMPANY_MAX,
        )
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
        self._waiting.add(exchange.caller.tenant, waiting)
        if not self._send_asked:
            self._send_asked = True
            # Once what is ready now has run: requests that arrived at the same moment leave together.
            loop.call_soon(self._send_waiting, target)
        return await waiting.answered

    def _send_waiting(self, target: str) -> None:
        self._send_asked = False
        while turn := self._waiting.take():
            task = asyncio.create_task(self._send(target, turn))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _send(self, target: str, turn: Turn[Waiting]) -> None:
        """The next batch leaves before the answers of this one are handed out."""
        sent = turn.items
        try:
            try:
                answered = await self._answer_to(target, sent)
            finally:
                self._waiting.ended(turn)
                self._send_waiting(target)
            await self._tell(sent, answered)
        except Exception as error:  # noqa: BLE001  (whatever it is, each waiting request gets it)
            for waiting in sent:
                waiting.fail(error)

    async def _answer_to(self, target: str, sent: Sequence[Waiting]) -> Answered:
        if len(sent) == 1:
            return await self._alone(target, self._submit, sent[0].request, sent[0].exchange)
        request = order_service_pb2.BatchSubmitOrdersRequest(entries=[waiting.entry for waiting in sent])
        return await self._together(target, self._batch, request.SerializeToString(), sent[0].exchange)

    async def _tell(self, sent: Sequence[Waiting], answered: Answered) -> None:
        if len(sent) == 1:
            sent[0].succeed(answered)
            return
        outcomes = order_service_pb2.BatchSubmitOrdersResponse.FromString(answered.content).outcomes
        assert len(outcomes) == len(sent), "a batch is answered entry by entry"
        stretch = STRETCH if self._waiting.in_company else ENTRIES_MAX
        async for waiting, outcome in in_stretches(zip(sent, outcomes, strict=True), stretch):
            if outcome.WhichOneof("outcome") == "status":
                waiting.fail(error_of(Status.FromString(outcome.status), self._submit))
            else:
                waiting.succeed(Answered(outcome.response, outcome.replayed))
