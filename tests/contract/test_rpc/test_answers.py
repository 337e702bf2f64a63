"""What comes back, be it an error."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import pytest
from ordermesh.connector.v1 import connector_service_pb2

from libs.common.errors import NotDone, OrdermeshError, OutcomeUnknown, Refused
from libs.common.testing.rpc import CORRELATION_ID

if TYPE_CHECKING:
    from ordermesh.connector.v1.connector_service_pb2_grpc import ConnectorServiceAsyncStub as Stub

from tests.contract.test_rpc.scripted import ORDER, Describe, FindByKey, ReadChanges, Scripted, refusal


@pytest.mark.parametrize(
    "sent",
    [
        Refused.field("ERP_REFUSED", "change.order.lines[0].sku", "no such item", owner="netsuite"),
        NotDone("SYSTEM_THROTTLED", retry_after=timedelta(seconds=30)),
        OutcomeUnknown("OUTCOME_UNKNOWN", "the connection was lost", metadata={"system": "netsuite"}),
    ],
)
async def test_an_error_arrives_as_it_was_raised(
    stub: "Stub", servicer: Scripted, sent: OrdermeshError
) -> None:
    servicer.errors["k"] = sent
    got = await refusal(stub.FindByKey(FindByKey(kind=ORDER, key="k")))
    assert (type(got), got.reason, got.detail, got.facts) == (
        type(sent),
        sent.reason,
        sent.detail,
        sent.facts,
    )


async def test_of_a_bug_the_caller_learns_the_correlation_id_and_nothing_else(
    stub: "Stub", servicer: Scripted
) -> None:
    servicer.errors["k"] = KeyError("hunter2")
    call = stub.FindByKey(FindByKey(kind=ORDER, key="k"))
    error = await refusal(call)
    assert error.reason == "INTERNAL"
    assert "hunter2" not in repr(error) + repr(error.facts)
    assert ("x-correlation-id", CORRELATION_ID) in tuple(await call.trailing_metadata())


async def test_what_we_answered_is_not_asked_again_by_grpc(stub: "Stub", servicer: Scripted) -> None:
    """`Describe` may be repeated on UNAVAILABLE, which is for lost connections and not for our own word."""
    servicer.describe_error = NotDone("UNAVAILABLE")
    await refusal(stub.Describe(Describe()))
    assert len(servicer.contexts) == 1


async def test_a_stream_brings_what_came_before_its_error(stub: "Stub") -> None:
    cursors = []

    async def read() -> None:
        async for item in stub.ReadChanges(ReadChanges(kind=ORDER, limit=9, cursor=b"throttled")):
            cursors.append(item.cursor)  # noqa: PERF401  (a comprehension would lose what came before the error)

    with pytest.raises(NotDone) as throttled:
        await read()
    assert cursors == [b"\0", b"\1", b"\2"]
    assert throttled.value.retry_after == timedelta(seconds=9)


async def test_leaving_a_stream_early_ends_the_call(stub: "Stub", servicer: Scripted) -> None:
    endless = stub.ReadChanges(ReadChanges(kind=ORDER, limit=9, cursor=b"endless"))
    changes = cast("AsyncGenerator[connector_service_pb2.ReadChangesResponse, None]", aiter(endless))
    async with asyncio.timeout(5):
        for _ in range(3):
            await anext(changes)
        await changes.aclose()
        await servicer.cancelled.wait()
