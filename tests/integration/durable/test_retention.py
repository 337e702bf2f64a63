"""What is old goes, in bounded steps; what is under way stays, and what is left of an audit can still be verified."""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from libs.common.durable import sweep
from libs.common.durable.retention import FORGET_AUDIT, FORGET_DELIVERIES, FORGET_EVENTS, Retention
from libs.common.durable.tx import verify_audit
from libs.common.errors import Refused
from tests.integration.durable.world import ERP, Recorder, World

KEPT = Retention(history=timedelta(days=400), audit=timedelta(days=3660))
DAY = 86_400.0


async def forget(world: World, retention: Retention = KEPT) -> dict[str, int]:
    return await sweep.forget_history(world.unit.store, world.clock.now(), retention, asyncio.Event())


async def deliver_all(world: World, *outcomes: Exception) -> None:
    relay = world.new_relay({ERP: Recorder(*outcomes)})
    while await relay.run_once():
        pass


async def test_history_that_is_done_goes_with_its_attempts_and_events(world: World) -> None:
    await world.write("old", ERP)
    await deliver_all(world)
    world.advance(399 * DAY)
    await world.write("young", ERP)
    await deliver_all(world)
    assert await forget(world) == {"delivery": 0, "event": 0, "audit": 0}

    world.advance(2 * DAY)
    assert await forget(world) == {"delivery": 1, "event": 1, "audit": 0}

    assert [await world.count(table) for table in ("delivery", "attempt", "event", "notes")] == [1, 1, 1, 2]


async def test_what_is_under_way_or_parked_stays_however_old(world: World) -> None:
    await world.write("parked", ERP)
    await deliver_all(world, Refused("ERP_REFUSED", "no"))
    await world.write("waits", ERP)
    world.advance(5000 * DAY)

    assert (await forget(world, Retention(history=timedelta(days=1)))) == {"delivery": 0, "event": 0}
    assert await world.states() == ["PARKED", "PENDING"]
    assert await world.count("event") == 2


async def test_a_late_success_is_kept_as_long_as_any(world: World) -> None:
    await world.write("late", ERP)
    world.advance(500 * DAY)
    await deliver_all(world)

    assert (await forget(world))["delivery"] == 0


async def test_nothing_goes_without_a_term(world: World) -> None:
    await world.write("old", ERP)
    await deliver_all(world)
    world.advance(36_500 * DAY)

    assert await forget(world, Retention.of_days(0, 0)) == {}


async def test_history_goes_step_by_step_past_what_stays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "STEP", 2)
    await world.write("parked", ERP)
    await deliver_all(world, Refused("ERP_REFUSED", "no"))
    for number in range(6):
        await world.write(f"done {number}", ERP)
    await deliver_all(world)
    world.advance(401 * DAY)

    assert await forget(world) == {"delivery": 6, "event": 6, "audit": 0}
    assert await world.states() == ["PARKED"]


async def test_an_audit_without_its_oldest_rows_verifies_from_its_anchor(world: World) -> None:
    note_id = await world.write("first")
    await world.change(note_id, "second")
    world.advance(3650 * DAY)
    await world.change(note_id, "third")
    await world.change(note_id, "fourth")
    world.advance(20 * DAY)

    assert (await forget(world))["audit"] == 2
    rows = await world.rows("SELECT * FROM audit ORDER BY position")
    (anchor,) = await world.rows("SELECT * FROM audit_anchor")
    (note,) = await world.rows("SELECT audit_hash FROM notes")

    assert (anchor["subject"], anchor["rows_removed"]) == (f"notes/{note_id}", 2)
    assert verify_audit(rows, bytes(note["audit_hash"]), bytes(anchor["hash"])) is None  # type: ignore[call-overload]
    assert verify_audit(rows[1:], None, bytes(anchor["hash"])) == rows[1]["position"]  # type: ignore[call-overload]
    assert verify_audit(rows) == rows[0]["position"]


async def test_the_anchor_moves_on_when_more_goes(world: World) -> None:
    note_id = await world.write("first")
    for number in range(3):
        world.advance(DAY)
        await world.change(note_id, f"text {number}")
    world.advance(3659 * DAY - DAY)

    gone = []
    for _ in range(3):
        world.advance(DAY)
        gone.append((await forget(world))["audit"])
    rows = await world.rows("SELECT * FROM audit ORDER BY position")
    (anchor,) = await world.rows("SELECT * FROM audit_anchor")

    assert (sum(gone), anchor["rows_removed"]) == (4 - len(rows), 4 - len(rows))
    assert len(rows) < 4
    assert verify_audit(rows, None, bytes(anchor["hash"])) is None  # type: ignore[call-overload]


@pytest.mark.parametrize("statement", [FORGET_DELIVERIES, FORGET_EVENTS, FORGET_AUDIT])
async def test_no_step_looks_through_a_whole_table(world: World, statement: str) -> None:
    await world.execute(
        "INSERT INTO event (event_id, tenant, type, subject, sequence, data, source_system, actor, correlation_id,"
        " causation_id, traceparent, contract_version, occurred_time)"
        " SELECT 'evt_' || n, 'acme', 't', 'notes/' || n % 500, n, '', '', '', '', '', '', 'v1', now()"
        " FROM generate_series(1, 20000) n"
    )
    await world.execute(
        "INSERT INTO delivery (tenant, event_id, target, subject, sequence, state, due_time, create_time)"
        " SELECT tenant, event_id, 'stream', subject, sequence, 'DELIVERED', now(), now() FROM event"
    )
    await world.execute(
        "INSERT INTO audit (tenant, subject, field, old_value, new_value, source_system, actor, rule, correlation_id,"
        " occurred_time, hash) SELECT tenant, subject, '', '', '', '', '', '', '', occurred_time, '' FROM event"
    )
    await world.execute(
        "INSERT INTO attempt (delivery_id, number, start_time, took_us, outcome, reason, mapping, verdict, operation,"
        " request_digest, response_digest, sealed_exchange)"
        " SELECT delivery_id, 1, now(), 0, '', '', '', '', '', '', '', '' FROM delivery"
    )
    await world.execute("ANALYZE")
    moment = world.clock.now()
    arguments = [5000, moment, 100, moment] if statement is FORGET_AUDIT else [5000, moment, 100]

    async with world.unit.store.driver() as driver:
        plan = await driver.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *arguments)

    assert not [node for node in _nodes(plan[0]["Plan"]) if node["Node Type"] == "Seq Scan"]


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)
