"""A call without a deadline gets the method's own, and a late one says what is known."""

import asyncio
from collections.abc import Awaitable
from typing import cast

import pytest

from libs.common.context import CallContext
from libs.common.errors import NotDone, OrdermeshError, OutcomeUnknown
from libs.common.rpc.call import Call, ServicerContext
from libs.common.rpc.contract import methods
from libs.common.rpc.interceptors.deadline import keep_deadline, seconds_for, within

READING = "/ordermesh.connector.v1.ConnectorService/FindByKey"
WRITING = "/ordermesh.connector.v1.ConnectorService/ApplyChange"


class Remaining:
    """The one question that the deadline step asks of gRPC."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds

    def time_remaining(self) -> float | None:
        return self._seconds


def a_call(path: str, seconds: float | None) -> Call:
    context = CallContext("acme", "", "", frozenset(), "cor")
    return Call(methods()[path], cast(ServicerContext, Remaining(seconds)), {}, context)


async def test_a_caller_without_deadline_gets_the_method_s() -> None:
    call = a_call(READING, None)
    keep_deadline(call)
    assert call.cancel_after_seconds == methods()[READING].timeout_seconds


async def test_a_caller_s_deadline_is_left_to_grpc_and_bounds_calls_made_in_turn() -> None:
    call = a_call(READING, 5.0)
    keep_deadline(call)
    assert call.cancel_after_seconds is None
    assert seconds_for(60) == pytest.approx(5, abs=1)
    assert seconds_for(None) == pytest.approx(5, abs=1)
    assert seconds_for(2) == 2


async def test_a_deadline_that_has_passed_lets_nothing_begin() -> None:
    with pytest.raises(NotDone):
        keep_deadline(a_call(WRITING, 0.0))


async def test_outside_of_calls_the_wish_counts() -> None:
    assert seconds_for(7) == 7
    assert seconds_for(None) is None


@pytest.mark.parametrize(("path", "kind"), [(READING, NotDone), (WRITING, OutcomeUnknown)])
async def test_work_past_the_method_s_deadline_is_cancelled(path: str, kind: type[OrdermeshError]) -> None:
    with pytest.raises(kind) as late:
        async with within(0.01, methods()[path]):
            await asyncio.Event().wait()
    assert late.value.reason == "DEADLINE_EXCEEDED"


async def test_a_timeout_inside_the_work_is_not_taken_for_the_deadline() -> None:
    async def fails() -> None:
        raise TimeoutError

    work: Awaitable[None] = fails()
    with pytest.raises(TimeoutError):
        async with within(None, methods()[WRITING]):
            await work
