"""Many items are replayed at a measured pace, each once; remarks and effects are there for who comes after."""

import asyncio

import pytest
from ordermesh.operations.v1 import operations_pb2
from ordermesh.operations.v1 import operations_service_pb2 as pb

from libs.common.context import using
from libs.common.durable.tx import verify_audit
from libs.common.errors import Refused
from libs.common.testing.faults import lost_reply, refusing
from libs.common.testing.records import a_context
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


async def test_two_operators_replay_ten_thousand_items_at_once_and_each_item_once(desk: Desk) -> None:
    """Each at a process of their own. What is due in any second is at most what one of them asked for."""
    await parked(desk, 10_000)
    other = Desk(desk.world, desk.world.new_unit())

    answers = await asyncio.gather(
        desk.replay_many("anna", items_max=6000, per_second=1000),
        other.replay_many("bert", items_max=6000, per_second=500),
    )

    assert sorted(answer.replayed for answer in answers) == [4000, 6000]
    assert await desk.world.rows("SELECT state, count(*) FROM delivery GROUP BY state") == [
        {"state": "IN_DOUBT", "count": 10_000}
    ]
    assert await desk.world.rows("SELECT count(*), count(DISTINCT subject) AS items FROM audit") == [
        {"count": 10_000, "items": 10_000}
    ]
    busiest = "SELECT count(*) AS items FROM delivery GROUP BY {} ORDER BY 1 DESC LIMIT 1"
    assert await desk.world.rows(busiest.format("date_trunc('second', due_time)")) == [{"items": 1000}]
    assert await desk.world.rows(busiest.format("due_time")) == [{"items": 1}]


async def test_two_bulk_replays_of_one_commit_follow_one_another(desk: Desk) -> None:
    """What is begun in one pass of the loop shares a commit."""
    await parked(desk, 8)
    _, first, second = await asyncio.gather(
        desk.world.write("x"),
        desk.replay_many("a", items_max=5, per_second=1),
        desk.replay_many("b", items_max=5, per_second=1),
    )
    assert sorted([first.replayed, second.replayed]) == [3, 5]
    (span,) = await desk.world.rows(
        "SELECT extract(epoch FROM max(due_time) - min(due_time))::float AS seconds FROM delivery"
    )
    assert span["seconds"] == 7.0


async def test_a_later_bulk_replay_waits_no_longer_than_the_one_before(desk: Desk) -> None:
    await parked(desk, 20)
    await desk.replay_many("a", items_max=10, per_second=10)
    desk.world.advance(60)
    answer = await desk.replay_many("b", items_max=10, per_second=10)
    now = desk.world.clock.now()
    rows = await desk.world.rows("SELECT min(due_time) AS first FROM delivery WHERE due_time >= $1", now)
    assert (answer.replayed, rows) == (10, [{"first": now}])


async def test_the_progress_of_a_bulk_replay_can_be_read(desk: Desk) -> None:
    items = [await desk.park() for _ in range(3)]
    desk.system.apply_faults.append(refusing(Refused("ERP_REFUSED")))
    (replay_id,) = (await desk.replay_many("k", per_second=1, reason="mended")).replay_ids

    async def progress() -> operations_pb2.Replay:
        return (await desk.servicer.GetReplay(pb.GetReplayRequest(replay_id=replay_id), CALL)).replay

    begun = await progress()
    assert (begun.items, begun.waiting, begun.delivered, begun.reason) == (3, 3, 0, "mended")
    await desk.relay.run_once()
    desk.world.advance(1)
    await desk.relay.run_once()
    await desk.relay.run_once()
    half = await progress()
    assert (half.items, half.waiting, half.delivered, half.parked) == (3, 1, 1, 1)
    found = await desk.servicer.GetException(pb.GetExceptionRequest(exception_id=items[0]), CALL)
    assert found.exception.replay_id == replay_id


async def test_a_bulk_replay_of_another_tenant_is_not_found(desk: Desk) -> None:
    await parked(desk, 1)
    (replay_id,) = (await desk.replay_many("k")).replay_ids
    with using(a_context("other")), pytest.raises(Refused, match="NOT_FOUND"):
        await desk.servicer.GetReplay(pb.GetReplayRequest(replay_id=replay_id), CALL)


async def test_items_become_due_at_the_pace_asked_for(desk: Desk) -> None:
    await parked(desk, 50)
    answer = await desk.replay_many("k", per_second=10)
    (span,) = await desk.world.rows(
        "SELECT extract(epoch FROM max(due_time) - min(due_time))::float AS seconds FROM delivery"
    )
    assert (answer.replayed, span["seconds"]) == (50, 4.9)


async def test_the_same_key_replays_nothing_more(desk: Desk) -> None:
    await parked(desk, 10)
    first = await desk.replay_many("k", items_max=4)
    assert await desk.replay_many("k", items_max=4) == first
    assert sorted(await desk.world.states()) == ["IN_DOUBT"] * 4 + ["PARKED"] * 6


async def test_only_what_the_filter_names_is_replayed(desk: Desk) -> None:
    await parked(desk, 3)
    await desk.park("TAX_CODE_UNKNOWN")
    assert (await desk.replay_many("k", filter="reason = TAX_CODE_UNKNOWN")).replayed == 1
    assert (await desk.world.states()).count("PARKED") == 3


async def test_a_filter_by_state_is_refused_because_only_parked_items_are_replayed(desk: Desk) -> None:
    with pytest.raises(Refused, match="FILTER_INVALID"):
        await desk.replay_many("k", filter="state = DELIVERED")


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
