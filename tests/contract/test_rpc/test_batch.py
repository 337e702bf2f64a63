"""Calls that travel together are each served as if they had come alone."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from google.rpc.status_pb2 import Status
from ordermesh.common.v1 import batch_pb2
from ordermesh.order.v1 import order_pb2
from ordermesh.order.v1 import order_service_pb2 as pb

from libs.common.context import CallContext, current_context
from libs.common.errors import OrdermeshError, Refused
from libs.common.identity import Verifier
from libs.common.rpc.batch import Batch
from libs.common.rpc.contract import methods
from libs.common.rpc.status import error_of
from libs.common.testing.rpc import OneMachine

SUBMIT = "/ordermesh.order.v1.OrderService/SubmitOrder"
TRACE = f"00-{'a' * 32}-{{:016x}}-01"


@dataclass(frozen=True)
class Said:
    """What an entry is answered with."""

    answer: bytes
    replayed: bool = False


class Desk:
    """Takes orders; what it says of one is decided by the order's memo."""

    def __init__(self) -> None:
        self.contexts: list[CallContext] = []
        self.begun: list[asyncio.Future[Said]] = []

    def begin(self, request: pb.SubmitOrderRequest) -> "asyncio.Future[Said]":
        self.contexts.append(current_context())
        memo = request.order.memo
        if memo == "refused":
            raise Refused("CREDIT_HOLD")
        answered: asyncio.Future[Said] = asyncio.get_running_loop().create_future()
        self.begun.append(answered)
        if memo == "broken":
            answered.set_exception(RuntimeError("a bug"))
        elif memo != "waits":
            answered.set_result(Said(memo.encode(), replayed=memo == "again"))
        return answered


@pytest.fixture
def mesh(tmp_path_factory: pytest.TempPathFactory) -> OneMachine:
    return OneMachine(tmp_path_factory.mktemp("keys"))


@pytest.fixture
async def desk() -> Desk:
    return Desk()


@pytest.fixture
def batch(mesh: OneMachine, desk: Desk) -> Batch[pb.SubmitOrderRequest]:
    return Batch(SUBMIT, pb.SubmitOrderRequest, desk.begin, Verifier(mesh.settings))


@pytest.fixture
def entry(mesh: OneMachine) -> Callable[..., batch_pb2.BatchEntry]:
    """An entry of a tenant with a role, whose order has a memo."""

    def made(
        memo: str, tenant: str = "acme", role: str = "integration", number: int = 1
    ) -> batch_pb2.BatchEntry:
        return batch_pb2.BatchEntry(
            authorization=f"Bearer {mesh.token(tenant, [role])}",
            correlation_id=f"cor-{number}",
            traceparent=TRACE.format(number),
            request=_request(memo).SerializeToString(),
        )

    return made


def _request(memo: str) -> pb.SubmitOrderRequest:
    line = order_pb2.OrderLine(sku="BOLT")
    line.quantity.value = "2"
    line.unit_price.units, line.unit_price.currency_code = 3, "USD"
    party = order_pb2.PartyRef(customer_id="cus_1")
    order = order_pb2.Order(sold_to=party, currency_code="USD", lines=[line], memo=memo)
    return pb.SubmitOrderRequest(order=order, idempotency_key="k")


def error_in(outcome: batch_pb2.BatchOutcome) -> OrdermeshError:
    return error_of(Status.FromString(outcome.status), methods()[SUBMIT])


async def test_answers_come_back_in_order_and_tell_which_were_given_before(
    batch: Batch[pb.SubmitOrderRequest], entry: Callable[..., batch_pb2.BatchEntry]
) -> None:
    outcomes = await batch.run([entry("one"), entry("again"), entry("three")])

    assert [outcome.response for outcome in outcomes] == [b"one", b"again", b"three"]
    assert [outcome.replayed for outcome in outcomes] == [False, True, False]


async def test_each_entry_has_its_own_caller_correlation_and_trace(
    batch: Batch[pb.SubmitOrderRequest], desk: Desk, entry: Callable[..., batch_pb2.BatchEntry]
) -> None:
    await batch.run([entry("x", f"tenant-{number % 3}", number=number) for number in range(1, 6)])

    seen = [(context.tenant, context.correlation_id, context.traceparent) for context in desk.contexts]
    assert seen == [(f"tenant-{n % 3}", f"cor-{n}", TRACE.format(n)) for n in range(1, 6)]


async def test_an_entry_that_fails_spoils_no_other(
    batch: Batch[pb.SubmitOrderRequest], entry: Callable[..., batch_pb2.BatchEntry]
) -> None:
    unreadable, unsigned = entry("x"), entry("x")
    unreadable.request = b"\xff"
    unsigned.authorization = "Bearer nobody"
    without_lines = entry("x")
    without_lines.request = pb.SubmitOrderRequest(idempotency_key="k").SerializeToString()

    outcomes = await batch.run(
        [
            entry("first"),
            unsigned,
            entry("x", role="auditor"),
            unreadable,
            without_lines,
            entry("refused"),
            entry("broken"),
            entry("last"),
        ]
    )

    assert [outcomes[0].response, outcomes[-1].response] == [b"first", b"last"]
    assert [error_in(outcome).reason for outcome in outcomes[1:-1]] == [
        "UNAUTHENTICATED",
        "PERMISSION_DENIED",
        "MALFORMED_BODY",
        "INVALID_FIELD",
        "CREDIT_HOLD",
        "INTERNAL",
    ]


async def test_a_batch_nobody_waits_for_any_more_withdraws_its_entries(
    batch: Batch[pb.SubmitOrderRequest], desk: Desk, entry: Callable[..., batch_pb2.BatchEntry]
) -> None:
    running = asyncio.create_task(batch.run([entry("waits"), entry("waits")]))
    while len(desk.begun) < 2:  # noqa: ASYNC110  (there is nothing that could ring)
        await asyncio.sleep(0)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert [answered.cancelled() for answered in desk.begun] == [True, True]
