"""The client repeats with the same key until it is answered, and takes no other liberty."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest

from libs.cli.demo.goods import draw_goods
from libs.cli.demo.submission import CONCURRENCY, Parcel, Refused, Submitter, canonical_parcel
from libs.common.clock import SystemClock

Answer = Callable[[int], httpx.Response]
"""How often the key was seen before, to what is answered."""


class ImpatientClock(SystemClock):
    """Waits for nothing, and remembers how long it should have."""

    def __init__(self) -> None:
        self.waits: list[timedelta] = []

    async def wait(self, event: asyncio.Event, limit: timedelta) -> bool:
        self.waits.append(limit)
        return False


class FakeGateway:
    """Answers by how often a key was seen; counts what it saw."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.seen: Counter[str] = Counter()
        self.bodies: dict[str, set[bytes]] = {}
        self.now = self.most = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        key = request.headers["Idempotency-Key"]
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        self.bodies.setdefault(key, set()).add(request.content)
        self.seen[key] += 1
        return self._answer(self.seen[key] - 1)


def accepted(order_id: str = "ord_1") -> httpx.Response:
    return httpx.Response(202, json={"orderId": order_id})


def parcels(count: int) -> list[Parcel]:
    return [
        canonical_parcel(order, {"system": "netsuite", "externalId": "7"})
        for order in draw_goods(7, count).orders
    ]


async def submit(answer: Answer, count: int) -> tuple[FakeGateway, Submitter, ImpatientClock]:
    gateway, clock = FakeGateway(answer), ImpatientClock()
    async with httpx.AsyncClient(base_url="http://mesh", transport=httpx.MockTransport(gateway)) as client:
        submitter = Submitter(client, clock, lambda accepted: None)
        await submitter.submit_all(parcels(count))
    return gateway, submitter, clock


def lost(_: int) -> httpx.Response:
    raise httpx.ReadError("connection reset")


@pytest.mark.parametrize(
    "failure",
    [
        lambda: httpx.Response(429, headers={"Retry-After": "1"}),
        lambda: httpx.Response(503),
        lambda: httpx.Response(504),
        lambda: httpx.Response(409, json={"code": "IDEMPOTENCY_IN_FLIGHT", "retryable": True}),
        lambda: lost(0),
    ],
    ids=["throttled", "away", "outcome unknown", "in flight", "connection lost"],
)
async def test_an_order_without_usable_answer_is_sent_again_with_the_same_key(
    failure: Callable[[], httpx.Response],
) -> None:
    gateway, submitter, _ = await submit(lambda seen: failure() if seen == 0 else accepted(), 3)
    assert set(gateway.seen.values()) == {2}
    assert all(len(bodies) == 1 for bodies in gateway.bodies.values())
    assert len(submitter.tally.accepted) == submitter.tally.repeats == 3


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 500])
async def test_a_refusal_is_never_repeated(status: int) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await submit(lambda seen: httpx.Response(status, json={"retryable": False}), 1)
    (refusal,) = caught.value.exceptions
    assert isinstance(refusal, Refused)
    assert str(status) in str(refusal)


async def test_the_gateways_word_on_waiting_is_heeded_within_bounds() -> None:
    asked = iter(["1", "3600"])

    def answer(seen: int) -> httpx.Response:
        return httpx.Response(429, headers={"Retry-After": next(asked)}) if seen < 2 else accepted()

    _, _, clock = await submit(answer, 1)
    assert clock.waits == [timedelta(seconds=1), timedelta(seconds=2)]


async def test_at_most_32_requests_are_under_way_but_for_the_doubles() -> None:
    gateway, _, _ = await submit(lambda seen: accepted(), 200)
    assert CONCURRENCY <= gateway.most <= CONCURRENCY + CONCURRENCY // 10 + 1


async def test_one_in_ten_is_sent_twice_and_compared_byte_for_byte() -> None:
    gateway, submitter, _ = await submit(lambda seen: accepted(), 40)
    assert Counter(gateway.seen.values()) == {1: 36, 2: 4}
    assert (submitter.tally.sent_twice, submitter.tally.unequal) == (4, [])

    _, submitter, _ = await submit(lambda seen: httpx.Response(202, content=body(seen)), 40)
    assert len(submitter.tally.unequal) == 4


def body(seen: int) -> bytes:
    return json.dumps({"orderId": "ord_1"}).encode() + b" " * seen


async def test_time_counts_from_the_first_sending() -> None:
    began = SystemClock().now()
    _, submitter, _ = await submit(lambda seen: accepted(), 1)
    assert submitter.tally.accepted[0].sent >= began
    assert submitter.tally.accepted[0].took >= timedelta(0)
