"""The relay as a loop: lanes that hold up nobody else, a breaker that spends no attempts, an end that loses nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from libs.common.durable import claims
from libs.common.durable import relay as relay_module
from libs.common.durable.lanes import OPEN_AFTER_FAILURES, OPEN_MIN, LanePolicy
from libs.common.durable.model import Delivered, Delivery, Outcome
from libs.common.durable.operations.commands import Replay, replay_exception
from libs.common.durable.relay import AFTER_FAULT, POLL, Relay
from libs.common.durable.unit import Handler
from libs.common.errors import NotDone, OrdermeshError, Refused
from libs.common.retry import RetryPolicy
from libs.common.testing.faults import DatabaseLink, MemorySystem
from libs.common.testing.records import NoteTx, a_key
from tests.integration.durable.world import ERP, Recorder, World, connector_target, until, until_set

STAGE = "stage:next"
OTHER = "stage:other"
WAITING_FOR_A_LOCK = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = $1"
SOON = 5.0
"""Seconds within which what has to happen happens, on the slowest machine."""


class Gate:
    """A target that answers only once it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.entered = asyncio.Semaphore(0)
        self.in_flight = 0
        self.in_flight_max = 0

    async def deliver(self, delivery: Delivery) -> Outcome:
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight, self.in_flight_max)
        self.entered.release()
        try:
            await self.open.wait()
        finally:
            self.in_flight -= 1
        return Delivered()

    async def wait_for(self, count: int) -> None:
        """Until so many calls have arrived."""
        for _ in range(count):
            await self.entered.acquire()


class Failing:
    """A target that fails until it is mended."""

    def __init__(self, error: OrdermeshError) -> None:
        self.error: OrdermeshError | None = error
        self.calls = 0

    async def deliver(self, delivery: Delivery) -> Outcome:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return Delivered()


@asynccontextmanager
async def running(relay: Relay[NoteTx]) -> AsyncIterator[asyncio.Event]:
    """The loop, told to stop in the end at the latest."""
    stop = asyncio.Event()
    task = asyncio.create_task(relay.run(stop))
    try:
        async with asyncio.timeout(SOON):
            yield stop
            stop.set()
            await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def at_rest(world: World, relay: Relay[NoteTx]) -> None:
    """Until the loop waits with nothing under way; then time goes by one poll."""
    await world.clock.someone_waits(AFTER_FAULT)
    world.clock.advance(POLL)
    await asyncio.sleep(0)


async def all_delivered(world: World) -> bool:
    return set(await world.states()) == {"DELIVERED"}


async def drained(relay: Relay[NoteTx]) -> int:
    tried = 0
    while count := await relay.run_once():
        tried += count
    return tried


# Lanes --------------------------------------------------------------------------------------------------


async def test_no_more_than_its_bound_runs_at_once_in_a_lane(world: World) -> None:
    await asyncio.gather(*(world.write(str(number), STAGE) for number in range(10)))
    gate = Gate()
    relay = world.new_relay({STAGE: gate}, policy=LanePolicy(concurrency_max=3))

    async with running(relay):
        await gate.wait_for(3)
        await world.clock.someone_waits(AFTER_FAULT)
        assert gate.in_flight == 3
        gate.open.set()
        await gate.wait_for(7)

    assert gate.in_flight_max == 3
    assert await world.states() == ["DELIVERED"] * 10
    assert relay.lanes[STAGE].in_flight == 0


async def test_a_dead_target_does_not_delay_another(world: World) -> None:
    await asyncio.gather(*(world.write(str(number), STAGE, OTHER) for number in range(10)))
    hangs, works = Gate(), Recorder()
    relay = world.new_relay({STAGE: hangs, OTHER: works}, policy=LanePolicy(concurrency_max=4))

    async with running(relay):
        await hangs.wait_for(4)
        while len(works.seen) < 10:
            await at_rest(world, relay)
        assert hangs.in_flight == 4
        hangs.open.set()

    assert len(works.seen) == 10


async def test_the_breaker_opens_spends_no_attempts_probes_and_closes(world: World) -> None:
    await asyncio.gather(*(world.write(str(number), ERP) for number in range(20)))
    target = Failing(NotDone("SYSTEM_UNAVAILABLE"))
    policy = LanePolicy(concurrency_max=OPEN_AFTER_FAILURES, retry=RetryPolicy(attempts_max=3))
    relay = world.new_relay({ERP: target}, policy=policy)
    lane = relay.lanes[ERP]

    assert await relay.run_once() == OPEN_AFTER_FAILURES
    assert lane.is_open(world.clock.now())
    assert await relay.run_once() == 0
    for span in (OPEN_MIN, OPEN_MIN * 2, OPEN_MIN * 4, OPEN_MIN * 8):
        world.clock.advance(span - timedelta(milliseconds=1))
        assert await relay.run_once() == 0
        world.clock.advance(timedelta(milliseconds=1))
        assert await relay.run_once() == 1  # one probe, and shut again

    rows = await world.rows("SELECT state, attempt FROM delivery")
    assert {row["state"] for row in rows} == {"PENDING", "RETRYING"}
    assert {row["attempt"] for row in rows} == {0}

    target.error = None
    world.advance(600)
    assert await relay.run_once() == 1
    assert await drained(relay) == 19
    assert await world.states() == ["DELIVERED"] * 20


async def test_a_target_that_is_away_for_long_parks_nothing(world: World) -> None:
    await world.write("x", ERP)
    target = Failing(NotDone("SYSTEM_UNAVAILABLE"))
    relay = world.new_relay({ERP: target})

    for _ in range(50):
        world.advance(3600)
        await relay.run_once()

    assert target.calls == 50
    assert await world.states() == ["RETRYING"]


async def test_a_target_that_asks_to_slow_down_pauses_its_own_lane_only(world: World) -> None:
    await asyncio.gather(*(world.write(str(number), ERP, OTHER) for number in range(6)))
    busy = Failing(NotDone("SYSTEM_THROTTLED", retry_after=timedelta(seconds=90)))
    works = Recorder()
    relay = world.new_relay({ERP: busy, OTHER: works}, policy=LanePolicy(concurrency_max=2))

    assert await relay.run_once() == 4
    assert await drained(relay) == 4
    assert (busy.calls, len(works.seen)) == (2, 6)
    world.advance(89.9)
    assert await relay.run_once() == 0

    busy.error = None
    world.advance(0.2)
    assert await drained(relay) == 6
    assert {row["attempt"] for row in await world.rows("SELECT attempt FROM delivery")} == {1}


async def test_a_success_under_way_does_not_end_a_pause(world: World) -> None:
    await asyncio.gather(*(world.write(str(number), ERP) for number in range(4)))
    busy = NotDone("SYSTEM_THROTTLED", retry_after=timedelta(seconds=90))
    relay = world.new_relay({ERP: Recorder(busy)}, policy=LanePolicy(concurrency_max=2))

    assert await relay.run_once() == 2  # one is told to slow down, the other succeeds
    assert await relay.run_once() == 0
    world.advance(91)
    assert await relay.run_once() == 2


async def test_what_waits_behind_a_parked_delivery_is_put_off_and_due_again_with_it(world: World) -> None:
    """However much waits, no claim looks through it again and again."""
    stuck = await world.write("0", STAGE)
    for number in range(3):
        await world.change(stuck, str(number))
    free = await world.write("1", STAGE)
    target = Recorder(Refused("STOCK_SHORT"))
    relay = world.new_relay({STAGE: target}, policy=LanePolicy(concurrency_max=1))
    assert await relay.run_once() == 1

    async with running(relay):
        await until_set(lambda: len(target.seen) == 2)
        await until(lambda: put_off(world, 3))
    assert target.seen[-1] == f"notes/{free}#1"

    row = await world.delivery(f"notes/{stuck}")
    await act_on(world, Replay(int(str(row["delivery_id"])), "", ""), replay_exception)
    assert await drained(relay) == 4
    assert await world.states() == ["DELIVERED"] * 5


async def test_what_was_put_off_is_looked_at_again_in_the_end(world: World) -> None:
    """Even when the parked delivery was mended behind everybody's back."""
    stuck = await world.write("0", STAGE)
    await world.change(stuck, "1")
    relay = world.new_relay({STAGE: Recorder(Refused("CREDIT_HOLD"))})
    await relay.run_once()
    async with world.unit.store.driver() as driver:
        assert await claims.set_back(driver, [STAGE], world.clock.now())

    await world.execute("UPDATE delivery SET state = 'DISCARDED' WHERE state = 'PARKED'")
    assert await relay.run_once() == 0
    world.clock.advance(claims.SET_BACK_SPAN)
    assert await relay.run_once() == 1


async def put_off(world: World, count: int) -> bool:
    rows = await world.rows("SELECT 1 FROM delivery WHERE due_time > $1", world.clock.now())
    return len(rows) == count


async def act_on(world: World, command: object, act: Handler[NoteTx, object]) -> None:
    def render(row: object) -> StringValue:
        return StringValue()

    await world.unit.run_once(act, command, render, a_key(repr(command)))


# The loop -----------------------------------------------------------------------------------------------


async def test_a_bell_starts_what_is_due_at_once(world: World) -> None:
    target = Recorder()
    relay = world.new_relay({STAGE: target})

    async with running(relay):
        await world.clock.someone_waits(AFTER_FAULT)
        await world.write("x", STAGE)
        relay.bell.set()
        await until_set(lambda: target.seen)


async def test_without_a_bell_what_is_due_starts_at_the_next_poll(world: World) -> None:
    target = Recorder()
    relay = world.new_relay({STAGE: target})

    async with running(relay):
        await world.clock.someone_waits(AFTER_FAULT)
        await world.write("x", STAGE)
        assert world.clock.due_in == POLL
        world.clock.advance(POLL)
        await until_set(lambda: target.seen)


async def test_stopping_lets_what_is_under_way_end_and_settles_it(world: World) -> None:
    await asyncio.gather(*(world.write(str(number), STAGE) for number in range(6)))
    gate = Gate()
    relay = world.new_relay({STAGE: gate}, policy=LanePolicy(concurrency_max=4))

    async with running(relay) as stop:
        await gate.wait_for(4)
        stop.set()
        await asyncio.sleep(0)
        gate.open.set()

    assert sorted(await world.states()) == ["DELIVERED"] * 4 + ["PENDING"] * 2
    assert await world.rows("SELECT 1 FROM delivery WHERE lease_id IS NOT NULL") == []


async def test_stopping_an_idle_loop_takes_no_time(world: World) -> None:
    relay = world.new_relay({STAGE: Recorder()})

    async with running(relay):
        await world.clock.someone_waits(AFTER_FAULT)


async def test_what_is_claimed_while_stopping_is_handed_back_untried(world: World) -> None:
    await world.write("x", STAGE)
    target = Recorder()
    relay = world.new_relay({STAGE: target})
    stop = asyncio.Event()

    async with relay._unit.store.driver() as driver:  # the claim waits for this lock
        transaction = driver.transaction()
        await transaction.start()
        await driver.execute("LOCK TABLE delivery")
        task = asyncio.create_task(relay.run(stop))
        await until(lambda: world.rows(WAITING_FOR_A_LOCK, f"ordermesh-{world.service}"))
        stop.set()
        await transaction.rollback()
    async with asyncio.timeout(SOON):
        await task

    row = await world.delivery()
    assert target.seen == []
    assert (row["state"], row["attempt"], row["lease_id"]) == ("PENDING", 0, None)
    assert relay.lanes[STAGE].in_flight == 0


async def test_handing_back_amid_another_transaction_ends_no_loop(world: World) -> None:
    """What cannot be handed back is due when its lease ends."""
    await world.execute(
        "CREATE FUNCTION in_the_way() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$"
    )
    await world.execute(
        "CREATE TRIGGER in_the_way BEFORE UPDATE ON delivery FOR EACH ROW"
        " WHEN (new.attempt < old.attempt) EXECUTE FUNCTION in_the_way()"
    )
    await world.write("x", STAGE)
    relay = world.new_relay({STAGE: Recorder()})
    claimed = await relay.claim()

    await relay._hand_back(claimed)

    assert relay.lanes[STAGE].in_flight == 0
    assert (await world.delivery())["lease_id"] is not None
    world.clock.advance(2 * relay_module.LEASE)
    assert await relay.run_once() == 1
    assert await world.states() == ["DELIVERED"]


async def test_a_loop_that_is_cancelled_leaves_no_task_and_no_lane_occupied(world: World) -> None:
    await asyncio.gather(*(world.write(str(number), STAGE) for number in range(3)))
    gate = Gate()
    relay = world.new_relay({STAGE: gate})
    task = asyncio.create_task(relay.run(asyncio.Event()))
    await gate.wait_for(3)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [left for left in asyncio.all_tasks() if "Relay" in repr(left)] == []
    assert relay.lanes[STAGE].in_flight == gate.in_flight == 0


async def test_the_loop_goes_on_when_the_database_was_away(world: World) -> None:
    async with DatabaseLink(world.postgres.folder) as link:
        target = Recorder()
        relay = world.new_relay({STAGE: target}, unit=world.new_unit(url=link.url))
        await link.cut()
        await world.write("x", STAGE)

        async with running(relay):
            await world.clock.someone_waits(AFTER_FAULT)
            assert world.clock.due_in == AFTER_FAULT
            await link.mend()
            world.clock.advance(AFTER_FAULT)
            while "DELIVERED" not in await world.states():
                await at_rest(world, relay)
        await world.close()

    assert len(target.seen) == 1


async def test_the_loop_goes_on_when_a_table_was_away(world: World) -> None:
    """For instance because a migration has not run yet."""
    target = Recorder()
    relay = world.new_relay({STAGE: target})
    await world.write("x", STAGE)
    await world.execute("ALTER TABLE delivery RENAME TO away")

    async with running(relay):
        await world.clock.someone_waits(AFTER_FAULT)
        await world.execute("ALTER TABLE away RENAME TO delivery")
        world.clock.advance(AFTER_FAULT)
        while not target.seen:
            await at_rest(world, relay)


async def test_what_was_delivered_while_the_database_went_away_is_asked_about_later(world: World) -> None:
    async with DatabaseLink(world.postgres.folder) as link:
        system = MemorySystem(gate=asyncio.Event())
        relay = world.new_relay({ERP: connector_target(system)}, unit=world.new_unit(url=link.url))
        note_id = await world.write("x", ERP)
        async with running(relay):
            await system.arrived.wait()
            await link.cut()
            system.gate.set()  # type: ignore[union-attr]
            await until_set(lambda: system.documents)
        await world.close()

    assert await world.states() == ["PENDING"]
    world.clock.advance(relay_module.LEASE)
    after = world.new_relay({ERP: connector_target(system)}, unit=world.new_unit())
    await after.run_once()
    assert system.calls == [f"apply {note_id}", f"find {note_id}"]
    assert await world.states() == ["DELIVERED"]


async def test_no_more_is_begun_than_can_be_settled(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "UNSETTLED_MAX", 2)
    await asyncio.gather(*(world.write(str(number), STAGE) for number in range(6)))
    relay = world.new_relay({STAGE: Recorder()}, policy=LanePolicy(concurrency_max=2))

    for delivery in await relay.claim():
        await relay._try_and_queue(delivery)

    assert await relay.claim() == []


async def test_many_deliveries_flow_through_the_loop_once_each_and_in_order(world: World) -> None:
    ids = await asyncio.gather(*(world.write(str(number), STAGE, OTHER) for number in range(60)))
    targets = {STAGE: Recorder(), OTHER: Recorder()}
    relay = world.new_relay(targets)

    async with running(relay):
        await until(lambda: all_delivered(world))

    for target in targets.values():
        assert sorted(target.seen) == sorted(f"notes/{note_id}#1" for note_id in ids)
