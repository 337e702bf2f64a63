"""Orders that wait together travel together, and each keeps its own answer."""

import asyncio
from dataclasses import dataclass, field

import pytest
from ordermesh.common.v1 import batch_pb2
from ordermesh.order.v1 import order_service_pb2

from gateway.coalesce import BATCH, PLACES, SUBMIT, Coalesced
from gateway.exchange import Exchange, Message
from gateway.forward import Answered
from libs.common.context import CallContext
from libs.common.errors import NotDone, Refused
from libs.common.rpc.contract import Method, methods
from libs.common.rpc.status import status_of


@dataclass
class Backend:
    """Answers when the test says so; an order that contains `bad` is refused."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    alone: list[bytes] = field(default_factory=list)
    batches: list[list[batch_pb2.BatchEntry]] = field(default_factory=list)
    broken: Exception | None = None

    async def single(
        self, target: str, method: Method, request: bytes, exchange: Exchange, *, seconds: float | None = None
    ) -> Answered:
        self.alone.append(request)
        await self.gate.wait()
        if self.broken:
            raise self.broken
        return Answered(b"answer to " + request)

    async def together(
        self, target: str, method: Method, request: bytes, exchange: Exchange, *, seconds: float | None = None
    ) -> Answered:
        assert method.path == BATCH
        entries = list(order_service_pb2.BatchSubmitOrdersRequest.FromString(request).entries)
        self.batches.append(entries)
        await self.gate.wait()
        if self.broken:
            raise self.broken
        outcomes = [self._outcome(entry) for entry in entries]
        return Answered(order_service_pb2.BatchSubmitOrdersResponse(outcomes=outcomes).SerializeToString())

    def _outcome(self, entry: batch_pb2.BatchEntry) -> batch_pb2.BatchOutcome:
        if b"bad" in entry.request:
            refusal = Refused.field("PRODUCT_UNKNOWN", "order.lines[0].sku", "there is no product X")
            return batch_pb2.BatchOutcome(status=status_of(refusal).SerializeToString())
        return batch_pb2.BatchOutcome(
            response=b"answer to " + entry.request, replayed=b"again" in entry.request
        )


async def nothing_more() -> Message:
    raise AssertionError("nobody reads the body here")


def an_exchange(number: int, tenant: str = "acme") -> Exchange:
    return Exchange(
        "POST",
        "/v1/orders",
        b"",
        {},
        nothing_more,
        f"cor-{number}",
        f"trace-{number}",
        token=f"token-{number}",
        context=CallContext(
            tenant=tenant, system="", actor="", roles=frozenset(), correlation_id=f"cor-{number}"
        ),
    )


async def passes() -> None:
    """What is ready runs, and what becomes ready by it."""
    for _ in range(10):
        await asyncio.sleep(0)


async def handed_in(backend: Backend, requests: list[bytes]) -> list[Answered | BaseException]:
    """All at once; the backend answers once everything is handed in."""
    coalesced = Coalesced(backend.single, backend.together)
    calls = [
        asyncio.create_task(coalesced.forward("order", methods()[SUBMIT], request, an_exchange(number)))
        for number, request in enumerate(requests)
    ]
    for _ in range(3):
        await asyncio.sleep(0)
    backend.gate.set()
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_an_order_that_comes_alone_leaves_at_once_and_alone() -> None:
    backend = Backend()
    assert await handed_in(backend, [b"one"]) == [Answered(b"answer to one")]
    assert (backend.alone, backend.batches) == ([b"one"], [])


async def test_what_comes_while_two_calls_are_under_way_leaves_as_one_batch() -> None:
    backend = Backend()
    requests = [f"order {number}".encode() for number in range(20)]
    answers = await handed_in(backend, requests)
    assert answers == [Answered(b"answer to " + request) for request in requests]
    assert sum(len(batch) for batch in backend.batches) + len(backend.alone) == 20
    assert len(backend.batches) + len(backend.alone) <= 3


async def test_each_entry_keeps_its_caller_and_its_trace() -> None:
    backend = Backend()
    await handed_in(backend, [b"x"] * 10)
    for batch in backend.batches:
        for entry in batch:
            number = entry.correlation_id.removeprefix("cor-")
            assert (entry.authorization, entry.traceparent) == (f"Bearer token-{number}", f"trace-{number}")


async def test_one_bad_order_is_refused_alone() -> None:
    backend = Backend()
    answers = await handed_in(backend, [b"good"] * 5 + [b"bad"] + [b"good again"] * 5)
    refused = [answer for answer in answers if isinstance(answer, Refused)]
    assert [error.reason for error in refused] == ["PRODUCT_UNKNOWN"]
    assert refused[0].violations[0].field == "order.lines[0].sku"
    assert answers[-1] == Answered(b"answer to good again", replayed=True)


async def test_a_batch_that_fails_fails_each_of_its_entries() -> None:
    backend = Backend(broken=NotDone("UNAVAILABLE"))
    answers = await handed_in(backend, [b"x"] * 9)
    assert all(isinstance(answer, NotDone) for answer in answers)


async def test_no_batch_is_larger_than_the_contract_allows() -> None:
    backend = Backend()
    await handed_in(backend, [b"x"] * 300)
    assert max(len(batch) for batch in backend.batches) <= PLACES.items_max


async def test_a_flooding_tenant_s_backlog_stands_before_nobody_else() -> None:
    backend = Backend()
    coalesced = Coalesced(backend.single, backend.together)

    async def hand_in(request: bytes, tenant: str) -> Answered:
        return await coalesced.forward("order", methods()[SUBMIT], request, an_exchange(1, tenant))

    flood = [asyncio.create_task(hand_in(b"flood %d" % number, "acme")) for number in range(300)]
    await passes()
    assert sum(len(batch) for batch in backend.batches) < 300, "most of it still waits"
    other = asyncio.create_task(hand_in(b"other", "globex"))
    await passes()

    assert backend.alone == [b"other"]
    backend.gate.set()
    assert await other == Answered(b"answer to other")
    assert len(await asyncio.gather(*flood)) == 300


async def test_an_order_that_was_given_up_while_it_waited_is_not_handed_on() -> None:
    backend = Backend()
    coalesced = Coalesced(backend.single, backend.together)
    calls = [
        asyncio.create_task(
            coalesced.forward("order", methods()[SUBMIT], b"order %d" % number, an_exchange(number))
        )
        for number in range(2 * PLACES.items_max + 2)
    ]
    await passes()
    calls[-1].cancel()
    await passes()
    backend.gate.set()
    await asyncio.gather(*calls[:-1])

    assert backend.alone == [b"order %d" % (2 * PLACES.items_max)]


async def test_a_batch_whose_answer_cannot_be_read_fails_each_of_its_entries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend = Backend()
    monkeypatch.setattr(backend, "_outcome", lambda entry: batch_pb2.BatchOutcome(status=b"\xff"))
    answers = await handed_in(backend, [b"x"] * 9)
    assert all(isinstance(answer, Exception) for answer in answers)


async def test_other_methods_pass_by() -> None:
    backend = Backend()
    backend.gate.set()
    coalesced = Coalesced(backend.single, backend.together)
    other = methods()["/ordermesh.order.v1.OrderService/CancelOrder"]
    assert await coalesced.forward("order", other, b"c", an_exchange(1)) == Answered(b"answer to c")


async def test_too_many_waiting_orders_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.coalesce.WAITING_MAX", 3)
    backend = Backend()
    answers = await handed_in(backend, [b"x"] * 10)
    turned_away = [answer for answer in answers if isinstance(answer, NotDone)]
    assert turned_away
    assert {error.reason for error in turned_away} == {"OVERLOADED"}
