"""Calls to a connector that share a stream: each is answered, refused, timed out or lost as if it had come alone."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from ordermesh.connector.v1 import connector_service_pb2, connector_service_pb2_grpc

from libs.common.context import CallContext, using
from libs.common.errors import NotDone, OrdermeshError, OutcomeUnknown, Refused
from libs.common.rpc import conversation, sharing
from libs.common.rpc.call import ServicerContext
from libs.common.rpc.channel import MeshChannel, open_plain
from libs.common.rpc.interceptors.deadline import end_in
from libs.common.rpc.server import MESSAGE_BYTES_MAX, GrpcServer
from libs.common.rpc.sharing import ALONE_MAX, share
from libs.common.testing.rpc import OneMachine
from tests.contract.test_rpc.busy import Busy, Cut, a_read, a_write, strange_server
from tests.contract.test_rpc.scripted import REGISTER

if TYPE_CHECKING:
    from ordermesh.connector.v1.connector_service_pb2_grpc import ConnectorServiceAsyncStub as Stub

MANY = 12
IMPATIENT_SECONDS = 0.5
"""Enough to be sent on a slow machine by a stream that is open."""
SEEDS = 12


@pytest.fixture
def servicer() -> Busy:
    return Busy()  # type: ignore[abstract]  # the other methods answer UNIMPLEMENTED


@pytest.fixture
async def busy(mesh: OneMachine, address: str) -> "AsyncIterator[Stub]":
    async with connected(mesh, address) as stub:
        yield stub


@asynccontextmanager
async def connected(mesh: OneMachine, address: str) -> "AsyncIterator[Stub]":
    async with mesh.channel(address, "order.relay") as channel:
        with using(mesh.context("acme")):
            yield sharing_stub(channel)


def sharing_stub(channel: MeshChannel) -> "Stub":
    stub: Stub = connector_service_pb2_grpc.ConnectorServiceStub(channel)
    return share(stub, channel)


async def outcomes(calls: Sequence[Awaitable[object]]) -> list[object]:
    return await asyncio.gather(*calls, return_exceptions=True)


def found(answers: Sequence[object]) -> list[str]:
    return [answer.receipt.external_id for answer in answers]  # type: ignore[attr-defined]


async def test_calls_under_way_at_the_same_time_share_a_stream_and_each_has_its_own_answer(
    servicer: Busy, busy: "Stub"
) -> None:
    servicer.expect(2 * MANY)
    keys = [f"k{number}" for number in range(MANY)]

    read, written = await asyncio.gather(
        outcomes([busy.FindByKey(a_read(key)) for key in keys]),
        outcomes([busy.ApplyChange(a_write(f"w-{key}")) for key in keys]),
    )

    assert found(read) == keys
    assert found(written) == [f"w-{key}" for key in keys]
    assert servicer.streams() == 1
    assert len(set(map(id, servicer.ways.values()))) == ALONE_MAX + 1


async def test_few_calls_go_alone(servicer: Busy, busy: "Stub") -> None:
    servicer.expect(ALONE_MAX)

    await outcomes([busy.FindByKey(a_read(f"k{number}")) for number in range(ALONE_MAX)])

    assert servicer.streams() == 0


async def test_a_call_on_a_stream_is_made_for_its_own_tenant_in_its_own_trace(
    mesh: OneMachine, servicer: Busy, busy: "Stub"
) -> None:
    servicer.expect(MANY)
    traces = [f"00-{number:032x}-{'b' * 16}-00" for number in range(1, MANY + 1)]

    async def call(number: int) -> None:
        own = CallContext(
            f"t{number}", "mesh", "me", frozenset(), f"cor-{number}", f"evt-{number}", traces[number]
        )
        with using(own):
            await busy.FindByKey(a_read(f"k{number}"))

    await asyncio.gather(*map(call, range(MANY)))

    assert servicer.streams() == 1
    for number in range(MANY):
        heard = servicer.contexts[f"k{number}"]
        assert (heard.tenant, heard.correlation_id, heard.causation_id, heard.traceparent) == (
            f"t{number}",
            f"cor-{number}",
            f"evt-{number}",
            traces[number],
        )
        assert heard.actor == "order.relay"


async def test_what_one_call_on_a_stream_is_refused_with_spoils_no_other(
    servicer: Busy, busy: "Stub"
) -> None:
    servicer.expect(MANY - 1)
    keys = [f"k{number}" for number in range(MANY)]
    servicer.errors = {
        keys[8]: Refused("ERP_REFUSED", "no such item", metadata={"mapping": "m@1"}, verdict="E17"),
        keys[9]: RuntimeError("a bug"),
    }
    writes = [a_write(key) for key in keys]
    writes[10].ClearField("change")

    answers = await outcomes([busy.ApplyChange(write) for write in writes])

    assert found(answers[:8] + answers[11:]) == [*keys[:8], keys[11]]
    refused, crashed, invalid = answers[8:11]
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.facts.verdict, refused.facts.metadata["mapping"]) == (
        "ERP_REFUSED",
        "E17",
        "m@1",
    )
    assert isinstance(crashed, OutcomeUnknown) and crashed.reason == "INTERNAL"
    assert isinstance(invalid, Refused)
    assert [violation.field for violation in invalid.violations] == ["change"]


async def test_a_call_that_is_not_answered_in_time_ends_alone(servicer: Busy, busy: "Stub") -> None:
    servicer.expect(MANY - 2, hold=True)

    async def impatient(call: Awaitable[object]) -> object:
        end_in(IMPATIENT_SECONDS)
        return await call

    patient = [asyncio.ensure_future(busy.FindByKey(a_read(f"k{number}"))) for number in range(MANY - 2)]
    await servicer.all_here.wait()
    late = await outcomes(
        [
            asyncio.create_task(impatient(busy.FindByKey(a_read("late read")))),
            asyncio.create_task(impatient(busy.ApplyChange(a_write("late write")))),
        ]
    )
    servicer.released.set()

    assert [(type(error), error.reason) for error in late if isinstance(error, OrdermeshError)] == [
        (NotDone, "DEADLINE_EXCEEDED"),
        (OutcomeUnknown, "DEADLINE_EXCEEDED"),
    ]
    assert found(await outcomes(patient)) == [f"k{number}" for number in range(MANY - 2)]


async def test_a_connector_without_conversations_is_asked_call_by_call(mesh: OneMachine) -> None:
    asked: Counter[str] = Counter()

    async def answer(request: bytes, context: ServicerContext) -> bytes:
        asked["FindByKey"] += 1
        return b""

    async def unknown(requests: object, context: ServicerContext) -> None:
        asked["Converse"] += 1
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "what is that?")

    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "FindByKey": grpc.unary_unary_rpc_method_handler(answer),
        "Converse": grpc.stream_stream_rpc_method_handler(unknown),
    }
    async with strange_server(handlers) as address, connected(mesh, address) as stub:
        for _ in range(2):
            await asyncio.gather(*(stub.FindByKey(a_read(f"k{number}")) for number in range(MANY)))

    assert asked == {"Converse": 1, "FindByKey": 2 * MANY}


async def test_a_stream_that_the_connector_gives_up_says_nothing_of_what_is_under_way(
    mesh: OneMachine,
) -> None:
    """It admits, takes calls, and ends with a status that would mean of a call that nothing was done."""

    async def gives_up(requests: AsyncIterator[bytes], context: ServicerContext) -> AsyncIterator[bytes]:
        yield b""
        async for _ in requests:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "what is that?")

    async def answer(request: bytes, context: ServicerContext) -> bytes:
        return b""

    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "ApplyChange": grpc.unary_unary_rpc_method_handler(answer),
        "Converse": grpc.stream_stream_rpc_method_handler(gives_up),
    }
    async with strange_server(handlers) as address, connected(mesh, address) as stub:
        heard = await outcomes([stub.ApplyChange(a_write(str(number))) for number in range(MANY)])

    assert Counter(map(type, heard)) == {
        connector_service_pb2.ApplyChangeResponse: ALONE_MAX,
        OutcomeUnknown: MANY - ALONE_MAX,
    }


async def test_whoever_is_not_admitted_hears_it_for_each_call(
    servicer: Busy, address: str, tmp_path: Path
) -> None:
    folder = tmp_path / "stranger"
    folder.mkdir()
    async with connected(OneMachine(folder), address) as stub:
        heard = await outcomes([stub.ApplyChange(a_write(str(number))) for number in range(MANY)])

    assert [(type(error), getattr(error, "reason", "")) for error in heard] == [
        (Refused, "UNAUTHENTICATED")
    ] * MANY
    assert not servicer.ran


async def test_where_nobody_listens_nothing_was_done(mesh: OneMachine, free_port: int) -> None:
    async with connected(mesh, f"127.0.0.1:{free_port}") as stub:
        heard = await outcomes([stub.ApplyChange(a_write(str(number))) for number in range(MANY)])

    assert {(type(error), error.reason) for error in heard if isinstance(error, OrdermeshError)} == {
        (NotDone, "UNAVAILABLE")
    }
    assert len(heard) == MANY


async def test_a_connector_that_stops_answers_what_is_under_way(mesh: OneMachine, servicer: Busy) -> None:
    server = GrpcServer(mesh.settings.model_copy(update={"drain_seconds": 20.0}), "test")
    server.add(REGISTER, servicer)
    await server.start()
    servicer.expect(MANY, hold=True)
    async with connected(mesh, f"127.0.0.1:{server.port}") as stub:
        writing = [asyncio.ensure_future(stub.ApplyChange(a_write(f"k{number}"))) for number in range(MANY)]
        await servicer.all_here.wait()
        async with open_plain(f"127.0.0.1:{server.port}", mesh.settings) as probe:
            health = health_pb2_grpc.HealthStub(probe).Watch(health_pb2.HealthCheckRequest())
            await health.read()
            stopping = asyncio.create_task(server.stop())
            assert (await health.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            servicer.released.set()

        assert found(await outcomes(writing)) == [f"k{number}" for number in range(MANY)]
        await stopping


async def test_a_write_whose_stream_breaks_is_perhaps_applied_and_a_read_is_not_done(
    mesh: OneMachine, servicer: Busy
) -> None:
    server = GrpcServer(mesh.settings.model_copy(update={"drain_seconds": 0.0}), "test")
    server.add(REGISTER, servicer)
    await server.start()
    servicer.expect(2 * MANY, hold=True)
    async with connected(mesh, f"127.0.0.1:{server.port}") as stub:
        writing = [asyncio.ensure_future(stub.ApplyChange(a_write(f"w{number}"))) for number in range(MANY)]
        reading = [asyncio.ensure_future(stub.FindByKey(a_read(f"r{number}"))) for number in range(MANY)]
        await servicer.all_here.wait()
        await server.stop()

        assert {type(error) for error in await outcomes(writing)} == {OutcomeUnknown}
        assert {type(error) for error in await outcomes(reading)} == {NotDone}
    assert servicer.cancelled == set(servicer.ran)


async def test_a_stream_is_left_when_it_is_old_and_its_calls_are_still_answered(
    servicer: Busy, busy: "Stub", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "STREAM_SECONDS", 0.0)
    servicer.expect(MANY)

    answers = await outcomes([busy.FindByKey(a_read(f"k{number}")) for number in range(MANY)])

    assert found(answers) == [f"k{number}" for number in range(MANY)]
    assert servicer.streams() == 0


async def test_more_calls_than_a_stream_may_have_under_way_wait_and_are_answered(
    servicer: Busy, busy: "Stub", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "UNDER_WAY_MAX", 2)
    monkeypatch.setattr(sharing, "FRAME_CALLS_MAX", 1)

    answers = await outcomes([busy.FindByKey(a_read(f"k{number}")) for number in range(MANY)])

    assert found(answers) == [f"k{number}" for number in range(MANY)]


async def test_answers_too_large_for_one_message_leave_in_several(servicer: Busy, busy: "Stub") -> None:
    """Together they are twice what a message may hold."""
    servicer.expect(MANY)
    servicer.response_body = b"x" * (2 * MESSAGE_BYTES_MAX // MANY)

    answers = await outcomes([busy.ApplyChange(a_write(f"k{number}")) for number in range(MANY)])

    assert found(answers) == [f"k{number}" for number in range(MANY)]


async def test_a_large_request_goes_alone(
    servicer: Busy, busy: "Stub", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "CALL_BYTES_MAX", 64)
    servicer.expect(MANY)
    keys = [f"k{number}" * (20 if number == MANY - 1 else 1) for number in range(MANY)]

    await outcomes([busy.ApplyChange(a_write(key)) for key in keys])

    assert servicer.streams() == 1
    assert servicer.ways[keys[-1]] not in [servicer.ways[key] for key in keys[:-1]]


async def test_a_call_that_was_on_its_way_until_its_caller_gave_it_up_is_not_begun(
    mesh: OneMachine, servicer: Busy, address: str
) -> None:
    """Whoever has given it up may have looked already whether it took effect."""
    servicer.expect(MANY, hold=True)

    async def impatient(call: Awaitable[object]) -> object:
        end_in(IMPATIENT_SECONDS)
        return await call

    async with Cut(address) as link, connected(mesh, link.address) as stub:
        patient = [asyncio.ensure_future(stub.FindByKey(a_read(f"k{number}"))) for number in range(MANY)]
        await servicer.all_here.wait()
        link.flows.clear()
        late = (await outcomes([asyncio.create_task(impatient(stub.ApplyChange(a_write("late"))))]))[0]
        link.flows.set()
        servicer.released.set()
        await outcomes(patient)
        await stub.FindByKey(a_read("after it"))

    assert isinstance(late, OutcomeUnknown)
    assert "after it" in servicer.ran
    assert "late" not in servicer.ran


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_wherever_the_connection_is_lost_no_call_runs_twice_and_none_that_ran_counts_as_not_done(
    mesh: OneMachine, servicer: Busy, address: str, seed: int
) -> None:
    draw = random.Random(seed)
    to_server = draw.random() < 0.5
    cut = Cut(address, draw.randrange(400, 15_000 if to_server else 1_400), to_server=to_server)
    keys = [f"k{number}" for number in range(60)]
    heard: dict[str, object] = {}

    async def caller(stub: "Stub", mine: Sequence[str]) -> None:
        for key in mine:
            heard[key] = (await outcomes([stub.ApplyChange(a_write(key))]))[0]

    async with cut, connected(mesh, cut.address) as stub:
        await asyncio.gather(*(caller(stub, keys[at::MANY]) for at in range(MANY)))

    for key in keys:
        answer = heard[key]
        assert servicer.ran[key] <= 1
        assert isinstance(answer, (NotDone, OutcomeUnknown)) or found([answer]) == [key]
        if isinstance(answer, NotDone):
            assert servicer.ran[key] == 0
        elif not isinstance(answer, OutcomeUnknown):
            assert servicer.ran[key] == 1
    assert cut.was_cut
