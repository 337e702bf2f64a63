"""What goes along with a call: ids, trace, deadline."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from libs.common.context import using
from libs.common.errors import NotDone
from libs.common.rpc.interceptors.deadline import ends_at
from libs.common.telemetry import ids_in
from libs.common.testing.rpc import OneMachine

if TYPE_CHECKING:
    from ordermesh.connector.v1.connector_service_pb2_grpc import ConnectorServiceAsyncStub as Stub

from tests.contract.test_rpc.scripted import (
    ORDER,
    TRACEPARENT,
    Describe,
    FindByKey,
    Scripted,
    refusal,
    refusal_at_once,
)


async def test_correlation_causation_and_trace_are_handed_on(
    stub: "Stub", servicer: Scripted, mesh: OneMachine
) -> None:
    sent = replace(
        mesh.context("acme"), correlation_id="cor-7", causation_id="evt-7", traceparent=TRACEPARENT
    )
    with using(sent):
        await stub.Describe(Describe())
    (seen,) = servicer.contexts
    assert (seen.correlation_id, seen.causation_id, seen.traceparent) == ("cor-7", "evt-7", TRACEPARENT)


async def test_ids_are_made_where_the_caller_sends_none_that_can_be_used(
    stub: "Stub", servicer: Scripted
) -> None:
    call = stub.Describe(Describe(), metadata=(("x-correlation-id", "<script>"), ("traceparent", "00-zz")))
    await call
    (seen,) = servicer.contexts
    assert seen.correlation_id.startswith("cor_")
    assert ids_in(seen.traceparent) != ("", "")
    assert ("x-correlation-id", seen.correlation_id) in tuple(await call.trailing_metadata())


async def test_the_method_s_deadline_reaches_the_servicer_when_the_caller_sets_none(
    stub: "Stub", servicer: Scripted
) -> None:
    await stub.Describe(Describe())
    await stub.Describe(Describe(), timeout=3)
    first, second = servicer.seconds_left
    assert first is not None
    assert second is not None
    assert 5 < first < 11
    assert second < 4


async def test_a_deadline_that_passes_ends_the_work_and_says_what_is_known(
    stub: "Stub", servicer: Scripted
) -> None:
    async with asyncio.timeout(5):
        error = await refusal(stub.FindByKey(FindByKey(kind=ORDER, key="wait"), timeout=0.05))
        await servicer.cancelled.wait()
    assert (type(error), error.reason) == (NotDone, "DEADLINE_EXCEEDED")


async def test_no_call_is_sent_after_the_deadline_of_the_one_it_is_made_for(
    stub: "Stub", servicer: Scripted
) -> None:
    token = ends_at.set(asyncio.get_running_loop().time() - 1)
    error = await refusal_at_once(lambda: stub.Describe(Describe()))
    ends_at.reset(token)
    assert (type(error), error.reason) == (NotDone, "DEADLINE_EXCEEDED")
    assert servicer.contexts == []
