"""Many items are replayed at a measured pace, each once; remarks and effects are there for who comes after."""

import asyncio

import pytest
from ordermesh.operations.v1 import operations_pb2
from ordermesh.operations.v1 import operations_service_pb2 as pb

from libs.common.durable.tx import verify_audit
from libs.common.errors import Refused
from libs.common.testing.faults import lost_reply
from tests.integration.durable.test_operations import CALL, Desk
from tests.integration.durable.world import ERP, World

EVENTS = (
    "INSERT INTO event (event_id, tenant, type, subject, sequence, data, source_system, actor, correlation_id,"
    " causation_id, traceparent, contract_version, occurred_time)"
    " SELECT 'evt_' || n, 'acme', 'ordermesh.note.v1.NoteWritten', 'notes/' || n, 1, '', '', '', '', '', '', 'v1',"
    " now() FROM generate_series(1, $1) n"
)
DELIVERIES = (
    "INSERT INTO delivery (tenant, event_id, target, subject, sequence, state, reason, due_time, create_time)"
    " SELECT tenant, event_id, 'connector:erp', subject, 1, 'PARKED', 'ERP_REFUSED', now(), now() FROM event"
)


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


async def parked(desk: Desk, count: int) -> None:
    await desk.world.rows(f"WITH made AS ({EVENTS} RETURNING 1) SELECT count(*) FROM made", count)
    await desk.world.execute(DELIVERIES)


async def replay_all(desk: Desk, key: str, **more: object) -> pb.ReplayExceptionsResponse:
    request = pb.ReplayExceptionsRequest(idempotency_key=key, **more)  # type: ignore[arg-type]
    return await desk.servicer.ReplayExceptions(request, CALL)


async def test_two_operators_replay_everything_at_once_and_each_item_once(desk: Desk) -> None:
    await parked(desk, 1000)

    answers = await asyncio.gather(
        *(replay_all(desk, key, items_max=1000, per_second=1000) for key in ("anna", "bert"))
    )

    assert sum(answer.replayed for answer in answers) == 1000
    assert await desk.world.states() == ["IN_DOUBT"] * 1000
    assert await desk.world.rows("SELECT count(*), count(DISTINCT subject) AS items FROM audit") == [
        {"count": 1000, "items": 1000}
    ]


async def test_items_become_due_at_the_pace_asked_for(desk: Desk) -> None:
    await parked(desk, 50)
    answer = await replay_all(desk, "k", per_second=10)
    (span,) = await desk.world.rows(
        "SELECT extract(epoch FROM max(due_time) - min(due_time))::float AS seconds FROM delivery"
    )
    assert (answer.replayed, span["seconds"]) == (50, 4.9)


async def test_the_same_key_replays_nothing_more(desk: Desk) -> None:
    await parked(desk, 10)
    first = await replay_all(desk, "k", items_max=4)
    assert await replay_all(desk, "k", items_max=4) == first
    assert sorted(await desk.world.states()) == ["IN_DOUBT"] * 4 + ["PARKED"] * 6


async def test_only_what_the_filter_names_is_replayed(desk: Desk) -> None:
    await parked(desk, 3)
    await desk.park("TAX_CODE_UNKNOWN")
    assert (await replay_all(desk, "k", filter="reason = TAX_CODE_UNKNOWN")).replayed == 1
    assert (await desk.world.states()).count("PARKED") == 3


async def test_a_filter_by_state_is_refused_because_only_parked_items_are_replayed(desk: Desk) -> None:
    with pytest.raises(Refused, match="FILTER_INVALID"):
        await replay_all(desk, "k", filter="state = DELIVERED")


async def test_a_remark_stands_in_the_item_s_history(desk: Desk) -> None:
    item = await desk.park()
    request = pb.CommentExceptionRequest(exception_id=item, idempotency_key="k", comment="asked the ERP team")
    await desk.servicer.CommentException(request, CALL)
    await desk.assign(item, "operator:2")

    shown = await desk.servicer.GetException(pb.GetExceptionRequest(exception_id=item), CALL)

    assert next((entry.field, entry.new_value) for entry in shown.history) == (
        "comment",
        "asked the ERP team",
    )
    assert [entry.rule for entry in shown.history] == ["comment_exception", "assign_exception"]
    rows = await desk.world.rows("SELECT * FROM audit WHERE subject LIKE 'deliveries/%' ORDER BY position")
    assert verify_audit(rows) is None


async def test_an_effect_in_doubt_shows_its_probe_and_how_it_was_proved(desk: Desk) -> None:
    note_id = await desk.world.write("x", ERP)
    desk.system.apply_faults.append(lost_reply())
    await desk.relay.run_once()
    subject = f"notes/{note_id}"

    (doubtful,) = (await desk.servicer.ListEffects(pb.ListEffectsRequest(subject=subject), CALL)).effects
    desk.world.advance(60)
    await desk.relay.run_once()
    (proved,) = (await desk.servicer.ListEffects(pb.ListEffectsRequest(subject=subject), CALL)).effects

    assert (doubtful.state, doubtful.probes, doubtful.proof) == (
        operations_pb2.DELIVERY_STATE_IN_DOUBT,
        0,
        "",
    )
    assert doubtful.key == note_id
    assert (proved.state, proved.attempts, proved.probes, proved.proof) == (
        operations_pb2.DELIVERY_STATE_DELIVERED,
        2,
        1,
        "found",
    )
    assert proved.HasField("proof_time")
